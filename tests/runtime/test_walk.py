"""The way of an action from `env.step` to attention is the one that docs/CONTRIBUTING.md shows."""

import re
import sys
from pathlib import Path

import pytest
import torch.nn.functional as F

import nfd_gym
from nfd_gym.envs.nfd_env import NFDEnv
from tests.pages import text


def test_the_walk_of_an_action(tiny_world_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    env = NFDEnv(tiny_world_path, engine="eager")
    env.reset(seed=0)
    home, walk = str(Path(nfd_gym.__file__).parent), list[str]()
    attend = F.scaled_dot_product_attention

    def watched(*given, **named):
        if not walk:
            frame = sys._getframe(1)
            while frame is not None:
                if frame.f_code.co_filename.startswith(home):
                    walk.append(f"{Path(frame.f_code.co_filename).stem}.{frame.f_code.co_name}")
                frame = frame.f_back
        return attend(*given, **named)

    monkeypatch.setattr(F, "scaled_dot_product_attention", watched)
    env.step(env.action_space.sample())
    env.close()
    (shown,) = re.findall(r"```\n(nfd_env\.step.*?)```", text("docs/CONTRIBUTING.md"), re.DOTALL)
    assert re.findall(r"[\w.<>]+", shown.replace("->", " ")) == walk[::-1], " -> ".join(walk[::-1])
