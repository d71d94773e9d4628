"""The shipped island's legs: an eye gathers speed within a tick, as in the game."""

import gymnasium
import numpy as np
import pytest

import nfd_gym  # noqa: F401

PLACE = {"position": (-20.0, -8.0), "yaw": 60.0, "pitch": 8.0}  # flat, then an edge


@pytest.mark.slow
def test_an_eye_at_rest_starts_by_one_three_and_five_parts_and_comes_to_rest_again() -> None:
    """The game's steps along the ground from rest: .041, .115, .184 m, then .195."""
    env = gymnasium.make("NFD-Minecraft-v0", action_space="minerl").unwrapped
    _, info = env.reset(seed=0, options={"place": PLACE})
    action = {key: np.zeros_like(value) for key, value in env.action_space.sample().items()}
    eyes = [info["eye"][:3]]
    for key in ("forward",) * 6 + ("none",) * 4:
        *_, info = env.step({**action, "forward": int(key == "forward")})
        eyes.append(info["eye"][:3])
    env.close()
    steps = np.linalg.norm(np.diff(np.array(eyes)[:, [0, 2]], axis=0), axis=1)
    assert np.allclose(steps[:3], [0.041, 0.115, 0.184], atol=0.012), steps
    assert np.allclose(steps[3:6], 0.195, atol=0.012), steps
    assert (np.diff(steps[5:]) < 0).all() and steps[-1] < 0.02, steps
