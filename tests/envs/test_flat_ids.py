"""The flat worlds that ship, by their ids: poses are no eyes, and their tasks pay from pictures."""

import gymnasium
import numpy as np
import pytest

import nfd_gym  # noqa: F401  registers the ids
from nfd_gym.errors import UsageError
from nfd_gym.games.crafter import sprites
from nfd_gym.games.crafter.tiles import TileReader
from nfd_gym.play.stage import Stage
from nfd_gym.runtime.open_world import open_world
from nfd_gym.runtime.starts import starts_of
from nfd_gym.world import WorldError

WIDTHS = {"NFD-Crafter-v0": 3, "NFD-PushT-v0": 5}


@pytest.mark.parametrize("name", WIDTHS)
def test_a_flat_world_says_its_pose_and_undoes_its_steps(name: str) -> None:
    env = gymnasium.make(name, engine="eager").unwrapped
    _, info = env.reset(seed=2)
    assert (
        "eye" not in info
        and len(info["pose"]) == WIDTHS[name]
        and env.takes
        == (
            "frames",
            "actions",
        )
    )
    env.action_space.seed(0)
    actions = [env.action_space.sample() for _ in range(3)]
    steps = [env.step(action) for action in actions]
    assert all(np.isfinite(step[1]) for step in steps) and steps[-1][4]["reward_terms"]
    env.undo(2)
    again = env.step(actions[1])
    assert np.array_equal(again[0], steps[1][0]) and again[1] == steps[1][1]
    assert again[4]["pose"] == steps[1][4]["pose"]
    env.close()


@pytest.mark.parametrize("name", WIDTHS)
def test_places_in_a_picture_are_no_positions(name: str) -> None:
    with pytest.raises(WorldError, match="needs positions"):
        gymnasium.make(name, task="explore")


def test_crafters_memory_draws_a_map() -> None:
    env = gymnasium.make("NFD-Crafter-v0", engine="eager").unwrapped
    env.reset(seed=0)
    before = np.asarray(env.map())
    for _ in range(6):
        env.step(2)
    assert np.asarray(env.map()).shape[-1] == 3 and before.any()
    chart = Stage(env, "crafter").map()
    assert chart.ndim == 3 and np.array_equal(chart, env.map()[0])
    env.close()


def test_pusht_begins_at_a_state_and_crafter_does_not() -> None:
    from nfd_gym.games.pusht.pictures import states

    env = gymnasium.make("NFD-PushT-v0", engine="eager")
    state = np.array([120.0, 340.0, 250.0, 260.0, 1.2])
    frame, info = env.reset(seed=0, options={"state": state})
    assert np.abs(states(frame) - state).max() < 1.5 and len(info["pose"]) == 5
    for bad, message in (
        ({"state": state[:3]}, "must be 5 finite numbers"),
        ({"state": state, "start": 0}, r"give options\['state'\] alone"),
    ):
        with pytest.raises(UsageError, match=message):
            env.reset(options=bad)
    other = gymnasium.make("NFD-Crafter-v0", engine="eager")
    with pytest.raises(UsageError, match="begins from pictures"):
        other.reset(options={"state": state})


def test_pushts_task_is_told_the_state_that_its_picture_shows() -> None:
    from nfd_gym.games.pusht.pictures import states

    env = gymnasium.make("NFD-PushT-v0", engine="eager")
    env.reset(seed=3)
    env.action_space.seed(3)
    for _ in range(4):
        frame, _, _, _, info = env.step(env.action_space.sample())
        told = [info["reward_terms"][name] for name in ("agent_x", "agent_y", "block_x", "block_y")]
        assert np.abs(states(frame)[:4] - told).max() < 3.0


@pytest.mark.slow
def test_nobody_sleeps_where_an_episode_of_crafter_begins() -> None:
    world = open_world("crafter")
    reader, starts = TileReader(sprites.tiles()), starts_of(world)
    frames = np.stack([starts.clip(index).frames[-1] for index in range(len(starts))])
    assert not reader.read(frames).asleep.any()


def test_openings_of_crafter_are_first_pictures_of_the_game() -> None:
    env = gymnasium.make("NFD-Crafter-v0", engine="eager", split="openings")
    starts = env.unwrapped.dream.starts  # type: ignore[attr-defined]
    world = env.unwrapped.dream.world  # type: ignore[attr-defined]
    assert len(world.splits["openings"]) == 100 and len(starts) == 140
    begun = set()
    for seed in range(3):
        env.reset(seed=seed)
        begun.add(env.unwrapped.dream.begun[0].clip)  # type: ignore[attr-defined]
        _, _, _, _, info = env.step(0)
        told = info["reward_terms"]
        assert [told[name] for name in ("health", "food", "drink", "energy")] == [9] * 4
        assert not any(told[name] for name in ("wood", "sapling", "wood_pickaxe"))
    assert all(starts.names[i] in world.splits["openings"] for i in begun)
    env.close()
