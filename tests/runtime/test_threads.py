"""Process settings: large tensors stay mapped, and nothing is set behind the caller's back."""

import subprocess
import sys

import pytest

from nfd_gym.runtime.threads import keep_memory_mapped


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc only")
def test_large_blocks_are_reused_instead_of_mapped_anew() -> None:
    """Page faults of 20 rounds that fill and free 20 MB: every round anew without the setting."""
    program = (
        "import resource, sys, numpy as np\n"
        "from nfd_gym.runtime.threads import keep_memory_mapped\n"
        "assert sys.argv[1] == 'plain' or keep_memory_mapped()\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt\n"
        "for _ in range(20): blocks = [np.ones(250_000) for _ in range(10)]; blocks.clear()\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)\n"
    )
    faults = {
        how: int(
            subprocess.run(
                [sys.executable, "-c", program, how], capture_output=True, text=True, check=True
            ).stdout
        )
        for how in ("plain", "kept")
    }
    assert keep_memory_mapped()
    assert faults["kept"] < 0.2 * faults["plain"]


@pytest.mark.slow
def test_importing_the_runtime_changes_no_thread_settings() -> None:
    program = (
        "import os, torch\n"
        "before = torch.get_num_threads()\n"
        "import nfd_gym.envs.nfd_env\n"
        "assert torch.get_num_threads() == before and 'OMP_WAIT_POLICY' not in os.environ\n"
        "from nfd_gym.runtime.threads import settle\n"
        "settle(threads=1)\n"
        "assert torch.get_num_threads() == 1\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
