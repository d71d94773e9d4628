"""The vector env: one batch, every autoreset mode, and what SyncVectorEnv offers."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium.error import ResetNeeded
from gymnasium.vector import AsyncVectorEnv, AutoresetMode

from nfd_gym.envs.nfd_env import NFDEnv
from nfd_gym.envs.vector_env import NFDVectorEnv
from nfd_gym.world import World
from tests.conftest import alike


def make(folder: Path, num_envs: int = 3, **more: Any) -> NFDVectorEnv:
    kwargs = {"engine": "eager", "max_episode_steps": 3} | more
    env: Any = gymnasium.make_vec("NFD-v0", num_envs=num_envs, world=str(folder), **kwargs)
    assert isinstance(env, NFDVectorEnv)
    return env


def actions(env: NFDVectorEnv, count: int) -> list[Any]:
    env.action_space.seed(0)
    return [env.action_space.sample() for _ in range(count)]


def test_env_i_is_the_single_env_with_its_seed(tiny_world_path: Path) -> None:
    env = make(tiny_world_path, max_episode_steps=50)
    first, _ = env.reset(seed=10)
    steps = actions(env, 5)
    frames = [env.step(a)[0] for a in steps]
    for i in range(3):
        single = NFDEnv(tiny_world_path, engine="eager")
        observation, _ = single.reset(seed=10 + i)
        assert (observation == first[i]).all()
        for batch, frame in zip(steps, frames, strict=True):
            shown = single.step(batch[i])[0]
            assert alike(shown, frame[i])


def test_same_step_returns_the_new_episode_and_keeps_the_last_frame(tiny_world_path: Path) -> None:
    env, single = make(tiny_world_path, 2), NFDEnv(tiny_world_path, engine="eager")
    assert env.metadata["autoreset_mode"] is AutoresetMode.SAME_STEP
    env.reset(seed=4)
    single.reset(seed=4)
    for tick, batch in enumerate(actions(env, 6), start=1):
        frames, rewards, ended, cut, info = env.step(batch)
        expected = single.step(batch[0])[0]
        assert rewards.shape == (2,) and not ended.any()
        if tick % 3:
            assert not cut.any() and "final_obs" not in info
        else:
            assert cut.all() and info["_final_obs"].all()
            assert alike(info["final_obs"][0], expected)
            assert info["final_info"]["drift"].shape == (2,)
            expected, _ = single.reset()  # the stream of random numbers goes on, as in the batch
        assert alike(frames[0], expected)


def test_next_step_resets_one_step_later_and_ignores_the_action(tiny_world_path: Path) -> None:
    env = make(tiny_world_path, 2, autoreset_mode=AutoresetMode.NEXT_STEP)
    env.reset(seed=4)
    batches = actions(env, 8)
    flags = []
    for batch in batches:
        frames, rewards, _, cut, info = env.step(batch)
        flags.append(bool(cut.all()))
        if len(flags) in (4, 8):
            clip = env.dream.begun[0].start
            assert (frames[0] == clip.frames[-1]).all() and rewards[0] == 0.0
        assert "final_obs" not in info
    assert flags == [False, False, True, False, False, False, True, False]


def test_disabled_waits_for_the_reset_mask(tiny_world_path: Path) -> None:
    env = make(tiny_world_path, 2, autoreset_mode="Disabled")
    env.reset(seed=4)
    batches = actions(env, 4)
    for batch in batches[:3]:
        frames, _, _, cut, _ = env.step(batch)
    assert cut.all()
    with pytest.raises(ResetNeeded, match=r"envs \[0, 1\] have ended"):
        env.step(batches[3])
    mask = np.array([True, False])
    again, info = env.reset(seed=[8, 9], options={"reset_mask": mask})
    assert (again[1] == frames[1]).all() and (again[0] != frames[0]).any()
    assert info["_drift"].tolist() == [True, False]
    with pytest.raises(ResetNeeded, match=r"envs \[1\]"):
        env.step(batches[3])
    for bad in ([True, False], np.array([1, 0]), np.zeros(2, bool), np.ones(3, bool)):
        with pytest.raises(ValueError, match="reset_mask"):
            env.reset(options={"reset_mask": bad})


def test_envs_may_end_at_different_times(tiny_world_path: Path) -> None:
    env = make(tiny_world_path, 3, max_episode_steps=4)
    env.reset(seed=0)
    batches = actions(env, 6)
    env.step(batches[0])
    env.reset(options={"reset_mask": np.array([False, True, False])})
    cuts = [env.step(batch)[3].tolist() for batch in batches[1:6]]
    off, late = [False, False, False], [False, True, False]
    assert cuts == [off, off, [True, False, True], late, off]


def test_torch_output_stays_a_tensor_and_may_be_kept(tiny_world_path: Path) -> None:
    env = make(tiny_world_path, 2, output="torch")
    first, _ = env.reset(seed=1)
    copy = first.clone()
    later, rewards, *_ = env.step(actions(env, 1)[0])
    assert isinstance(later, torch.Tensor) and later.dtype == torch.uint8
    assert isinstance(rewards, np.ndarray)
    assert (first == copy).all()
    later.zero_()
    numpy = make(tiny_world_path, 2)
    numpy.reset(seed=1)
    numpy.step(actions(env, 1)[0])
    batch = actions(env, 2)[1]
    assert (env.step(batch)[0].numpy() == numpy.step(batch)[0]).all()
    with pytest.raises(ValueError, match="'numpy' or 'torch'"):
        make(tiny_world_path, output="jax")


def test_saved_envs_continue_alike(tiny_world_path: Path) -> None:
    env, other = make(tiny_world_path, 2), make(tiny_world_path, 2)
    env.reset(seed=1)
    batches = actions(env, 7)
    for batch in batches[:2]:
        env.step(batch)
    state = env.save_state()
    expected = [env.step(batch)[0] for batch in batches[2:]]  # over an autoreset
    other.load_state(state)
    for batch, frames in zip(batches[2:], expected, strict=True):
        assert (other.step(batch)[0] == frames).all()


def test_call_get_attr_set_attr(tiny_world_path: Path) -> None:
    env = make(tiny_world_path, 2, render_mode="rgb_array")
    assert env.call("render") == (None, None)
    env.reset(seed=0)
    pictures = env.call("render")
    assert len(pictures) == 2 and pictures[0].shape == (32, 48, 3)
    assert env.get_attr("render_mode") == ("rgb_array", "rgb_array")
    assert len(env.np_random) == 2
    env.set_attr("output", ["torch", "torch"])
    assert env.output == "torch"
    with pytest.raises(ValueError, match="cannot differ"):
        env.set_attr("output", ["torch", "numpy"])
    with pytest.raises(ValueError, match="needs 2 values"):
        env.set_attr("output", ["torch"])
    with pytest.raises(AttributeError, match="no attribute 'outptu'"):
        env.set_attr("outptu", "torch")
    with pytest.raises(ValueError, match="need as many seeds"):
        env.reset(seed=[1])
    with pytest.raises(ValueError, match="serves one env"):
        make(tiny_world_path, speculate="ahead")
    env.close()
    env.close()


@pytest.mark.parametrize("preset", ["multidiscrete", "discrete", "box", "minerl"])
def test_every_action_space_batches(tiny_world_path: Path, preset: str) -> None:
    env = make(tiny_world_path, 2, action_space=preset)
    env.reset(seed=0)
    frames, *_ = env.step(env.action_space.sample())
    assert frames in env.observation_space


def test_seeds_may_be_numpys_and_are_told(tiny_world_path: Path) -> None:
    env = make(tiny_world_path, 2)
    first, _ = env.reset(seed=np.int64(5))  # type: ignore[arg-type]
    assert env.np_random_seed == (5, 6)
    again, _ = env.reset(seed=np.array([5, 6]))  # type: ignore[arg-type]
    assert (first == again).all()
    assert env.get_attr("np_random_seed") == (5, 6) and len(env.get_attr("np_random")) == 2
    fresh = make(tiny_world_path, 2)
    assert len(set(fresh.np_random_seed)) == 2


def test_attributes_are_neither_split_nor_compared_by_truth(tiny_world_path: Path) -> None:
    env = make(tiny_world_path, 2)
    env.pair = (1, 2)  # type: ignore[attr-defined]
    assert env.get_attr("pair") == ((1, 2), (1, 2))
    env.set_attr("pair", [np.zeros(3), np.zeros(3)])
    with pytest.raises(ValueError, match="cannot differ"):
        env.set_attr("pair", [np.zeros(3), np.ones(3)])
    with pytest.raises(ValueError, match="no autoreset_mode 'SameStp'; did you mean 'SameStep'"):
        make(tiny_world_path, autoreset_mode="SameStp")


def test_eyes_and_events_of_a_batch(camera_world: World) -> None:
    env = NFDVectorEnv(camera_world, 2, engine="eager", action_space="minerl")
    _, info = env.reset(seed=0)
    codec = camera_world.codec.with_preset("minerl")
    one, other = codec.decode(codec.vector(["attack"])), codec.noop()
    batch = {key: np.stack([one[key], other[key]]) for key in one}
    info = env.step(batch)[4]
    assert np.stack(list(info["eye"])).shape == (2, 5)
    assert [len(events) for events in info["events"]] == [1, 0]


ASYNC = """
import sys, torch, gymnasium, nfd_gym
torch.set_num_threads(2)
env = gymnasium.make_vec("NFD-v0", num_envs=2, vectorization_mode="async", world=sys.argv[1],
                         engine="eager")
print(env.reset(seed=5)[0].shape, env.step(env.action_space.sample())[0].shape)
env.close()
"""


@pytest.mark.slow
def test_async_workers_may_be_forked(tiny_world_path: Path) -> None:
    """It hung for ever: Gymnasium's own env in the parent had started OpenMP."""
    run = subprocess.run(
        [sys.executable, "-c", ASYNC, str(tiny_world_path)],
        capture_output=True, text=True, timeout=100, env={**os.environ, "OMP_NUM_THREADS": "2"},
    )  # fmt: skip
    assert run.stdout.strip() == "(2, 32, 48, 3) (2, 32, 48, 3)", run.stderr


@pytest.mark.slow
def test_async_workers_are_spawned_with_their_own_model(tiny_world_path: Path) -> None:
    def one() -> gymnasium.Env[Any, Any]:
        import nfd_gym  # noqa: F401  a spawned process starts empty

        return gymnasium.make("NFD-v0", world=str(tiny_world_path), engine="eager")

    env = AsyncVectorEnv([one, one], context="spawn")
    try:
        first, _ = env.reset(seed=5)
        alone = one()
        assert (alone.reset(seed=6)[0] == first[1]).all()
        env.step(env.action_space.sample())
    finally:
        env.close()


@pytest.mark.parametrize(
    "world", ["tiny", "camera", pytest.param("minecraft-island", marks=pytest.mark.slow)]
)
def test_a_held_action_is_so_many_ticks(
    world: str, tiny_world_path: Path, camera_world: World
) -> None:
    folder = {"tiny": tiny_world_path, "camera": camera_world}.get(world, world)
    task = None if world == "tiny" else "travel"
    one = NFDVectorEnv(folder, 2, task=task, action_space="discrete")
    held = NFDVectorEnv(folder, 2, task=task, action_space="discrete", frame_skip=3)
    assert np.array_equal(one.reset(seed=5)[0], held.reset(seed=5)[0])
    rewards = np.zeros(2)
    for action in (1, 9, 14):
        total = np.zeros(2)
        for _ in range(3):
            frames, gained, _, _, infos = one.step(np.array([action, 2]))
            total += gained
        shown, got, *_, told = held.step(np.array([action, 2]))
        assert np.array_equal(frames, shown)
        assert np.allclose(total, got)
        rewards += got
        if world != "tiny":
            assert np.array_equal(infos["eye"], told["eye"])
    assert world == "tiny" or rewards.max() > 0
    assert held.save_state() == one.save_state()


def test_a_frame_that_nobody_sees_is_not_drawn_where_memory_draws_alone(monkeypatch) -> None:
    env = NFDVectorEnv("minecraft-island", 1, action_space="discrete", frame_skip=4)
    env.reset(seed=0)
    reads = []
    memory = type(env.dream.world.memory)
    read = memory.read
    monkeypatch.setattr(memory, "read", lambda *given: reads.append(1) or read(*given))
    env.step(np.array([1]))
    assert len(reads) == 1


class Ends:
    """Ends at its second tick; every tick gives 1."""

    name = "ends"
    needs_position = False

    def reset(self, facts: object) -> None:
        self.ticks = 0

    def step(self, facts: object) -> tuple[float, bool, dict[str, float]]:
        self.ticks += 1
        return 1.0, self.ticks == 2, {"ticks": float(self.ticks)}

    def get_state(self) -> int:
        return self.ticks

    def set_state(self, state: int) -> None:
        self.ticks = state


@pytest.mark.parametrize(("most", "reward", "terminated"), [(None, 2, True), (1, 1, False)])
def test_what_follows_an_end_on_the_way_counts_for_nothing(
    tiny_world_path: Path, most: int | None, reward: int, terminated: bool
) -> None:
    env = NFDVectorEnv(tiny_world_path, 1, task=Ends(), frame_skip=4, max_episode_steps=most)
    env.reset(seed=0)
    _, got, ended, truncated, told = env.step(np.stack([env.codec.noop()]))
    assert got == reward and ended == terminated and truncated != terminated
    assert told["final_info"]["reward_terms"]["ticks"] == reward
