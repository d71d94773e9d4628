"""The single env keeps Gymnasium's contract, and a dream is a value."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.envs.registration import EnvSpec
from gymnasium.error import ResetNeeded
from gymnasium.utils.env_checker import check_env
from gymnasium.utils.env_match import check_environments_match
from nfd_gym.model.heads import HeadsConfig, RewardHeads
from nfd_gym.runtime.engine import EngineError
from numpy.typing import NDArray

from nfd_gym.actions import ActionError
from nfd_gym.runtime.state import StateError
from nfd_gym.world import WorldError, WorldModel
from tests.conftest import alike

PRESETS = ("multidiscrete", "discrete", "box", "minerl")


def make(folder: Path, **more: Any) -> gymnasium.Env[NDArray[np.uint8], Any]:
    return gymnasium.make("NFD-v0", world=str(folder), **({"engine": "eager"} | more))


@pytest.fixture
def quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    monkeypatch.setenv("SDL_AUDIODRIVER", "dummy")


@pytest.mark.filterwarnings("ignore:.*For Box action spaces")  # MineRL's camera is in degrees
@pytest.mark.parametrize("preset", PRESETS)
def test_gymnasium_accepts_every_action_space(
    tiny_world_path: Path, preset: str, quiet: None
) -> None:
    check_env(make(tiny_world_path, action_space=preset).unwrapped, skip_render_check=True)


@pytest.mark.filterwarnings("ignore:.*was not created.*")
def test_gymnasium_accepts_every_render_mode(tiny_world_path: Path, quiet: None) -> None:
    pytest.importorskip("pygame")
    check_env(make(tiny_world_path, render_mode="rgb_array").unwrapped)


@pytest.mark.parametrize("preset", [p for p in PRESETS if p != "minerl"])
def test_stable_baselines_accepts_every_space_it_can(tiny_world_path: Path, preset: str) -> None:
    checker = pytest.importorskip("stable_baselines3.common.env_checker")
    checker.check_env(make(tiny_world_path, action_space=preset, size=(72, 48)), warn=True)


def test_the_shipped_world_is_a_valid_env() -> None:
    env = gymnasium.make("nfd_gym:NFD-Minecraft-v0", engine="eager")
    check_env(env.unwrapped, skip_render_check=True)


def test_the_spec_survives_json_and_module_ids_work(tiny_world_path: Path) -> None:
    env = gymnasium.make(
        "nfd_gym:NFD-v0", world=str(tiny_world_path), engine="eager", action_space="discrete"
    )
    again = gymnasium.make(EnvSpec.from_json(env.spec.to_json()))  # type: ignore[union-attr]
    assert again.action_space == env.action_space
    assert again.spec.max_episode_steps == 1000  # type: ignore[union-attr]
    assert (again.reset(seed=1)[0] == env.reset(seed=1)[0]).all()


def test_fast_and_eager_envs_match(tiny_world_path: Path) -> None:
    pytest.importorskip("openvino")
    eager, fast = make(tiny_world_path), make(tiny_world_path, engine="openvino")
    # Observations are compared by tolerance below: Gymnasium's own test knows only equality.
    check_environments_match(
        eager, fast, num_steps=8, skip_obs=True, info_comparison="keys-superset"
    )
    eager.reset(seed=3), fast.reset(seed=3)
    for _ in range(8):
        action = eager.action_space.sample()
        a, b = eager.step(action)[0], fast.step(action)[0]
        assert alike(a, b, levels=2)


def test_one_lane_of_the_vector_env_is_the_single_env(tiny_world_path: Path) -> None:
    single = make(tiny_world_path, max_episode_steps=4)
    vector = gymnasium.make_vec(
        "NFD-v0", num_envs=1, world=str(tiny_world_path), engine="eager", max_episode_steps=4
    )
    check_environments_match(single, _FirstLane(vector), num_steps=10, info_comparison="skip")


class _FirstLane(gymnasium.Env[Any, Any]):
    """Lane 0 of a vector env as a single env; its autoreset is the checker's seeded reset."""

    def __init__(self, vector: Any) -> None:
        self.vector = vector
        self.action_space = vector.single_action_space
        self.observation_space = vector.single_observation_space

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        observation, _ = self.vector.reset(seed=seed, options=options)
        return observation[0], {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        observation, reward, ended, cut, info = self.vector.step(np.asarray(action)[None])
        last = info["final_obs"][0] if ended[0] or cut[0] else observation[0]
        return last, float(reward[0]), bool(ended[0]), bool(cut[0]), {}


def test_observations_are_small_on_request_and_info_is_plain(tiny_world_path: Path) -> None:
    env = make(tiny_world_path, size=(24, 16), timings=True, speculate="ahead")
    observation, _ = env.reset(seed=0)
    assert observation.shape == (16, 24, 3)
    assert observation in env.observation_space
    _, reward, ended, cut, info = env.step(env.action_space.sample())
    assert (reward, ended, cut) == (0.0, False, False)
    assert info["drift"] > 0 and info["timings"]["step"] > 0
    assert info["speculation"]["steps"] == 1
    json.dumps(info)
    env.close()


def test_small_observations_are_averages_of_the_frame(tiny_world_path: Path) -> None:
    env = make(tiny_world_path, size=(24, 16), render_mode="rgb_array")
    small, _ = env.reset(seed=0)
    whole = env.render()
    averaged = whole.reshape(16, 2, 24, 2, 3).mean((1, 3))
    assert np.abs(averaged - small).max() <= 0.5


def test_starts_can_be_chosen_and_limited(tiny_world_path: Path) -> None:
    env = make(tiny_world_path, start_index=1, num_starts=2)
    dream = env.unwrapped.dream  # type: ignore[attr-defined]
    begun = set()
    for seed in range(12):
        env.reset(seed=seed)
        begun.add(dream.begun[0].clip)
    assert begun == {1, 2}
    frame, _ = env.reset(seed=0, options={"start": 4})
    assert (frame == dream.starts.clip(4).frames[-1]).all()
    with pytest.raises(ValueError, match="from 0 to 4"):
        env.reset(options={"start": 5})
    with pytest.raises(ValueError, match="must lie within the 5 start clips"):
        make(tiny_world_path, start_index=4, num_starts=2)


@pytest.mark.parametrize("count", [1, 2, 9, 20])
def test_own_frames_of_any_number_start_a_dream(tiny_world_path: Path, count: int) -> None:
    env = make(tiny_world_path)
    rng = np.random.default_rng(0)
    frames = rng.integers(0, 256, (count, 32, 48, 3), dtype=np.uint8)
    env.action_space.seed(0)
    actions = [env.action_space.sample() for _ in range(count)]
    observation, _ = env.reset(options={"frames": frames, "actions": actions})
    assert (observation == frames[-1]).all()
    first = env.step(actions[0])[0]
    vectors = np.stack([env.unwrapped.codec.encode(a) for a in actions])  # type: ignore[attr-defined]
    env.reset(seed=1, options={"frames": frames, "actions": vectors})
    again = env.step(actions[0])[0]
    assert first.shape == again.shape == (32, 48, 3)


def test_only_the_tail_of_own_frames_counts_and_other_sizes_are_resized(
    tiny_world_path: Path,
) -> None:
    env = make(tiny_world_path)
    rng = np.random.default_rng(0)
    frames = rng.integers(0, 256, (12, 64, 96, 3), dtype=np.uint8)
    actions = [env.action_space.sample() for _ in range(12)]
    options = {"frames": frames, "actions": actions}
    env.reset(seed=5, options=options)
    long = env.step(actions[0])[0]
    tail = {"frames": frames[-5:], "actions": actions[-5:]}
    shown, _ = env.reset(seed=5, options=tail)
    assert (env.step(actions[0])[0] == long).all()
    assert np.abs(frames[-1].reshape(32, 2, 48, 2, 3).mean((1, 3)) - shown).max() <= 0.5


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"frames": np.zeros((2, 32, 48, 3), np.float32)}, "must be uint8"),
        ({"frames": np.zeros((32, 48, 3), np.uint8)}, r"uint8 \(T, H, W, 3\)"),
        ({"frames": np.zeros((0, 32, 48, 3), np.uint8)}, "T >= 1"),
        ({"frames": np.zeros((2, 32, 48, 3), np.uint8)}, "give options\\['actions'\\]"),
        ({"frames": np.zeros((2, 32, 48, 3), np.uint8), "actions": [0]}, "1 actions for 2 frames"),
        ({"actions": [0]}, "give 'frames' too"),
        ({"frmaes": 0}, "did you mean 'frames'"),
        ({"frames": np.zeros((1, 32, 48, 3), np.uint8), "start": 0}, "not both"),
        ({"frames": np.zeros((1, 32, 48, 3), np.uint8), "pitch": [0.0, 1.0]}, "must be 1 degrees"),
    ],
)
def test_bad_options_are_refused_by_name(
    tiny_world_path: Path, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        make(tiny_world_path, action_space="discrete").reset(options=options)


def test_bad_actions_are_refused_by_name(tiny_world_path: Path) -> None:
    for preset, action, message in (
        ("box", np.full(8, np.nan, np.float32), "finite"),
        ("box", np.full(8, 3.0, np.float32), "outside the space"),
        ("discrete", 99, "whole number from 0"),
        ("multidiscrete", np.full(11, 99), "outside the space"),
        ("multidiscrete", np.zeros(11, np.float32), "whole numbers"),
        ("minerl", {"camera": np.array([np.inf, 0.0])}, "finite"),
        ("minerl", {"frwrd": 1}, "did you mean 'forward'"),
    ):
        env = make(tiny_world_path, action_space=preset, disable_env_checker=True)
        env.reset(seed=0)
        with pytest.raises((ActionError, ValueError), match=message):
            env.step(action)
    with pytest.raises(ActionError, match="did you mean 'discrete'"):
        make(tiny_world_path, action_space="discreet")


def test_missing_worlds_devices_and_modes_are_refused_by_name(
    tiny_world_path: Path, tmp_path: Path
) -> None:
    with pytest.raises(WorldError, match="no folder and no shipped world"):
        make(tmp_path / "nowhere")
    with pytest.raises(WorldError, match=r"no world\.json"):
        make(tmp_path)
    (tmp_path / "world.json").write_text("{")
    with pytest.raises(WorldError, match="not JSON"):
        make(tmp_path)
    with pytest.raises(EngineError, match="use 'cpu' or 'cuda'"):
        make(tiny_world_path, device="tpu9")
    with pytest.raises(EngineError, match="did you mean 'eager'"):
        make(tiny_world_path, engine="eagre")
    with pytest.raises(ValueError, match="render_mode"):
        type(make(tiny_world_path).unwrapped)(tiny_world_path, render_mode="ascii")
    with pytest.raises(ValueError, match="at least 1, got 0"):
        make(tiny_world_path, steps=0)
    with pytest.raises(ValueError, match="size is"):
        make(tiny_world_path, size=(0, 16))


def test_a_truncated_weight_file_is_refused(tiny_world_path: Path, tmp_path: Path) -> None:
    for file in tiny_world_path.iterdir():
        if file.is_file():
            (tmp_path / file.name).write_bytes(file.read_bytes())
    weights = tmp_path / "denoiser.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(WorldError, match="damaged"):
        make(tmp_path)


def test_tasks_without_heads_name_the_command(tiny_world_path: Path) -> None:
    with pytest.raises(ValueError, match="python -m nfd_gym train heads"):
        make(tiny_world_path, task="chop")
    with pytest.raises(ValueError, match="did you mean 'chop'"):
        make(tiny_world_path, task="chopp")


def test_digging_pays_what_the_heads_believe(
    tiny_world: WorldModel, tiny_world_path: Path, tmp_path: Path
) -> None:
    heads = RewardHeads(HeadsConfig(size=16, frames=3, hidden=8)).requires_grad_(False)
    for offset, told in ((-50.0, 1.0), (50.0, 0.0)):  # heads that always believe, and never
        heads.offsets.fill_(offset)
        folder = tmp_path / str(offset)
        replace(tiny_world, heads=heads).save(folder)
        shutil.copytree(tiny_world_path / "starts", folder / "starts")
        env = make(folder, task="dig")
        env.reset(seed=0)
        rewards = [env.step(env.action_space.sample())[1] for _ in range(4)]
        assert sum(rewards) == told  # a belief that stays is one event
        env.close()


def test_exploring_a_dream_pays_for_new_cells(tiny_world_path: Path) -> None:
    env = make(tiny_world_path, task="explore", action_space="minerl")
    env.reset(seed=0)
    raw: Any = env.unwrapped
    walk = {"forward": 1, "camera": np.zeros(2, np.float32)}
    total = sum(raw.step(walk)[1] for _ in range(60))  # 3 s at 3.9 m/s: about 11 m, cells of 4 m
    assert 2 <= total <= 3
    state = raw.save_state()
    cells = raw.step(walk)[4]["reward_terms"]["cells"]
    raw.undo(1)
    assert raw.step(walk)[4]["reward_terms"]["cells"] == cells
    raw.load_state(state)
    assert raw.step(walk)[4]["reward_terms"]["cells"] == cells


def test_a_strange_picture_ends_the_episode_when_asked(tiny_world_path: Path) -> None:
    env = make(tiny_world_path, max_drift=1.0)
    dream = env.unwrapped.dream  # type: ignore[attr-defined]
    _, info = env.reset(seed=0)
    ordinary = info["drift"]
    grey = np.full((1, 32, 48, 3), 128, np.uint8)
    _, info = env.reset(options={"frames": grey})
    assert info["drift"] > 3 * ordinary
    assert dream.how.max_drift == 1.0
    assert env.step(env.action_space.sample())[3]


def test_saving_forking_and_undoing_change_nothing(tiny_world_path: Path) -> None:
    env, other = (make(tiny_world_path).unwrapped for _ in range(2))
    env.reset(seed=3)
    env.action_space.seed(0)
    actions = [env.action_space.sample() for _ in range(8)]
    for action in actions[:3]:
        env.step(action)
    state = env.save_state()  # type: ignore[attr-defined]
    fork = env.fork(3)  # type: ignore[attr-defined]
    forked = fork.step(np.stack([actions[3]] * 3))[0]
    expected = [env.step(action)[0] for action in actions[3:]]
    env.undo(2)  # type: ignore[attr-defined]
    assert (env.step(actions[6])[0] == expected[3]).all()
    other.reset(seed=99)
    other.load_state(state)  # type: ignore[attr-defined]
    for action, frame in zip(actions[3:], expected, strict=True):
        assert (other.step(action)[0] == frame).all()
    assert alike(forked, [expected[0]] * len(forked))
    drawn = [e.np_random.integers(1000) for e in (env, other)]
    assert drawn[0] == drawn[1]  # the next episode is the same one too
    with pytest.raises(StateError, match="no state of this version"):
        env.load_state(b"rubbish")  # type: ignore[attr-defined]


def test_nothing_works_before_reset(tiny_world_path: Path) -> None:
    env: Any = make(tiny_world_path).unwrapped
    for call in (env.save_state, env.undo, lambda: env.fork(2), lambda: env.step(0)):
        with pytest.raises(ResetNeeded, match=r"call reset\(\)"):
            call()
    env.close()
    env.close()
