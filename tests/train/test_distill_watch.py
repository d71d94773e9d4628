"""The failure signs are seen when they are there, and only then."""

import pytest
import torch

from nfd_gym.train.distill_watch import Alarm, edge, psnr, signs

HEALTHY = {
    f"{key}_{steps}": value
    for steps in (1, 2)
    for key, value in {
        "psnr": 24.0, "edge": 0.9, "from_teacher": 0.2, "run_psnr": 20.0, "run_edge": 0.85,
        "run_std": 1.0,
    }.items()
}  # fmt: skip


def test_a_healthy_run_has_no_signs() -> None:
    assert signs([HEALTHY, HEALTHY], (1, 2)) == []


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"psnr_2": 23.0}, "2 steps are worse than 1"),
        ({"from_teacher_1": 0.3}, "move away from the teacher"),
        ({"run_std_1": 0.7}, "mean regression"),
        ({"run_std_2": 1.4}, "overshoot"),
        ({"run_edge_1": 0.5}, "lose their edges"),
    ],
)
def test_each_sign_is_named(change: dict[str, float], words: str) -> None:
    (sign,) = signs([HEALTHY, {**HEALTHY, **change}], (1, 2))
    assert words in sign


def test_alarms_ring_once_in_200_steps() -> None:
    alarm = Alarm()
    rung = [step for step in range(900) if alarm.hear(step, {"pixel_accuracy": 0.97})]
    assert rung == [201, 401, 601, 801]
    alarm = Alarm()
    for step in range(100):
        assert alarm.hear(step, {"tangent": 1.0, "pixel_accuracy": 0.7}) == []
    assert "jumped" in alarm.hear(100, {"tangent": 30.0})[0]


def test_figures() -> None:
    real = torch.rand(1, 2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    assert psnr(real + 0.2, real) == pytest.approx(20, abs=1e-3)  # 4 / 0.04 = 20 dB
    assert edge(real * 0.5) == pytest.approx(0.5 * edge(real))
