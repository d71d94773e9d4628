"""Denoising steps are taken at trained noise levels only."""

import pytest

from nfd_gym.world import WorldError, WorldSettings


def test_steps_of_a_distilled_world_are_among_its_trained_levels() -> None:
    trained = (1.0, 5 / 6, 4 / 6, 3 / 6, 2 / 6, 1 / 6)
    how = WorldSettings(sigmas=(1.0, 0.5), trained=trained)
    assert how.with_steps(None) is how and how.with_steps(2) is how
    for steps in (1, 3, 4, 6):
        sigmas = how.with_steps(steps).sigmas
        assert len(sigmas) == steps and sigmas[0] == 1.0 and set(sigmas) <= set(trained)
    for steps in (0, 7):
        with pytest.raises(WorldError, match=f"from 1 to 6, got {steps}.*no other noise levels"):
            how.with_steps(steps)


def test_a_teacher_takes_any_number_of_steps() -> None:
    how = WorldSettings(method="euler")
    assert how.with_steps(4).sigmas == (1.0, 0.75, 0.5, 0.25)
    with pytest.raises(WorldError, match="at least 1"):
        how.with_steps(0)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"sigmas": (0.5,)}, "sigmas must fall from 1.0"),
        ({"sigmas": ()}, "sigmas must fall from 1.0"),
        ({"sigmas": (1.0, 1.0)}, "sigmas must fall from 1.0"),
        ({"trained": (1.0, 0.0)}, "trained must fall from 1.0"),
        ({"fps": 0.0}, "fps must be positive"),
        ({"temperature": -1.0}, "temperature must not be negative"),
        ({"hold": float("nan")}, "hold must not be negative"),
        ({"context": "clean"}, "context must be one of"),
        ({"method": "rk4"}, "method must be one of"),
    ],
)
def test_impossible_settings_are_refused_by_name(wrong: dict[str, object], message: str) -> None:
    with pytest.raises(WorldError, match=message):
        WorldSettings(**wrong)  # type: ignore[arg-type]
