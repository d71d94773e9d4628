"""The single env keeps Gymnasium's contract, and a dream is a value."""

import json
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
from numpy.typing import NDArray

from nfd_gym.actions import ActionError
from nfd_gym.envs.nfd_env import NFDEnv
from nfd_gym.envs.tasks import Facts
from nfd_gym.envs.vector_env import NFDVectorEnv
from nfd_gym.model.device import DeviceError
from nfd_gym.runtime.engines.engine import EngineError
from nfd_gym.runtime.state import StateError
from nfd_gym.world import World, WorldError, load_world
from tests.camera import camera_clip
from tests.conftest import alike, make_tiny_world

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


def test_gymnasium_accepts_a_world_with_a_camera(camera_world: World, quiet: None) -> None:
    check_env(NFDEnv(camera_world, engine="eager", depth=True), skip_render_check=True)


def test_the_spec_survives_json_and_module_ids_work(tiny_world_path: Path) -> None:
    env = gymnasium.make(
        "nfd_gym:NFD-v0", world=str(tiny_world_path), engine="eager", action_space="discrete"
    )
    again = gymnasium.make(EnvSpec.from_json(env.spec.to_json()))  # type: ignore[union-attr]
    assert again.action_space == env.action_space
    assert again.unwrapped.dream.how.max_episode_steps == 1000  # type: ignore[attr-defined]
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
    single = NFDEnv(tiny_world_path, engine="eager", max_episode_steps=4)
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


def test_episodes_begin_in_the_split_that_is_asked_for(tiny_world_path: Path) -> None:
    world = load_world(tiny_world_path)
    for split in ("train", "test"):
        env = make(tiny_world_path, split=split)
        dream = env.unwrapped.dream  # type: ignore[attr-defined]
        begun = set()
        for seed in range(20):
            env.reset(seed=seed)
            begun.add(dream.starts.names[dream.begun[0].clip])
        assert begun == set(world.splits[split])
    with pytest.raises(ValueError, match=r"of the split 'val'.*its splits are train, test"):
        make(tiny_world_path, split="val")
    with pytest.raises(ValueError, match="no start clips of the split 'test'"):
        NFDEnv(replace(world, splits={}), split="test")


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
        ({"frames": np.zeros((1, 32, 48, 3), np.uint8), "eye": np.zeros((1, 5))}, "takes no 'eye'"),
        ({"depth": 0}, "give 'frames' too"),
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
    with pytest.raises(WorldError, match=r"no world '.*nowhere'"):
        make(tmp_path / "nowhere")
    with pytest.raises(WorldError, match=r"no world\.json"):
        make(tmp_path)
    (tmp_path / "world.json").write_text("{")
    with pytest.raises(WorldError, match="not JSON"):
        make(tmp_path)
    with pytest.raises(DeviceError, match="use 'cpu' or 'cuda'"):
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
    weights = next(tmp_path.glob("denoiser.*"))
    weights.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(WorldError, match="damaged"):
        make(tmp_path)


def test_tasks_that_a_world_cannot_pay_are_refused(tiny_world_path: Path) -> None:
    with pytest.raises(WorldError, match="'chop' needs events and world 'tiny-test' reports none"):
        make(tiny_world_path, task="chop")
    with pytest.raises(WorldError, match="'travel' needs positions"):
        make(tiny_world_path, task="travel")
    with pytest.raises(ValueError, match="did you mean 'chop'"):
        make(tiny_world_path, task="chopp")


class Calm:
    """A task of one's own that needs nothing: it counts ticks."""

    name = "calm"
    needs_position = False

    def __init__(self) -> None:
        self.ticks = 0

    def reset(self, facts: Facts) -> None:
        self.ticks = 0

    def step(self, facts: Facts) -> tuple[float, bool, dict[str, float]]:
        self.ticks += 1
        return float(self.ticks), False, {}

    def get_state(self) -> int:
        return self.ticks

    def set_state(self, state: int) -> None:
        self.ticks = int(state)


def test_a_task_of_ones_own_is_taken_in_any_world(
    tiny_world_path: Path, camera_world: World
) -> None:
    for world in (tiny_world_path, camera_world):
        env = NFDEnv(world, engine="eager", task=Calm())
        env.reset(seed=0)
        assert [env.step(env.codec.noop())[1] for _ in range(3)] == [1.0, 2.0, 3.0]
        env.undo(2)
        assert env.step(env.codec.noop())[1] == 2.0


def walk(codec: Any, *keys: str) -> Any:
    return codec.with_preset("minerl").decode(codec.vector(keys))


def test_position_and_events_come_from_the_worlds_body(camera_world: World) -> None:
    env = NFDEnv(camera_world, engine="eager", task="travel", action_space="minerl")
    _, info = env.reset(seed=0)
    start = np.array(info["eye"])
    total = 0.0
    for _ in range(8):
        _, reward, _, _, info = env.step(walk(env.codec, "forward"))
        total += reward
    away = np.array(info["eye"]) - start
    assert total == pytest.approx(float(np.hypot(away[0], away[2])), rel=1e-5) and total > 2
    assert info["events"] == []
    dug = env.step(walk(env.codec, "attack"))[4]
    assert dug["events"][0]["type"] == "dig" and len(dug["events"][0]["pos"]) == 3
    placed = env.step(walk(env.codec, "use"))[4]["events"][0]
    assert (placed["type"], placed["node"]) == ("place", "brick")
    digging = NFDEnv(camera_world, engine="eager", task="dig", action_space="minerl")
    digging.reset(seed=0)
    held = [walk(env.codec, *keys) for keys in (("attack",), (), ("use",), ("attack",))]
    assert [digging.step(action)[1] for action in held] == [1.0, 0.0, 0.0, 1.0]


def test_exploring_pays_for_new_cells_and_undo_takes_them_back(camera_world: World) -> None:
    env = NFDEnv(camera_world, engine="eager", task="explore", action_space="minerl")
    env.reset(seed=0)
    forward = walk(env.codec, "forward")
    assert 3 <= sum(env.step(forward)[1] for _ in range(24)) <= 6  # 12 m, aslant over cells of 4
    state = env.save_state()
    cells = env.step(forward)[4]["reward_terms"]["cells"]
    env.undo(1)
    assert env.step(forward)[4]["reward_terms"]["cells"] == cells
    env.load_state(state)
    assert env.step(forward)[4]["reward_terms"]["cells"] == cells


def test_the_shipped_kinds_of_memory_and_body_play_from_a_folder(points_world_path: Path) -> None:
    """Start clips with depth and poses out of a store, points and eye: saved, undone, forked."""
    env = NFDEnv(points_world_path, engine="eager", depth=True, task="travel")
    frame, info = env.reset(seed=0)
    assert len(info["eye"]) == 5 and info["depth"].shape == frame.shape[:2]
    env.action_space.seed(0)
    actions = [env.action_space.sample() for _ in range(4)]
    shown = [env.step(action)[0] for action in actions]
    env.undo(3)
    state = env.save_state()
    assert (env.step(actions[1])[0] == shown[1]).all()
    env.load_state(state)
    fork = env.fork(2)
    assert alike(fork.step(np.stack([actions[1]] * 2))[0][0], shown[1])
    assert (env.step(actions[1])[0] == shown[1]).all()


def own_clip(count: int = 6) -> dict[str, Any]:
    clip = camera_clip(2, count)
    return {"frames": clip.frames, "actions": clip.actions, "depth": clip.depth, "eye": clip.pose}


def test_own_frames_of_a_camera_world_bring_depth_and_eye(camera_world: World) -> None:
    env = NFDEnv(camera_world, engine="eager", depth=True)
    given = own_clip()
    frame, info = env.reset(seed=1, options=given)
    assert (frame == given["frames"][-1]).all()
    assert info["eye"] == tuple(given["eye"][-1]) and (info["depth"] == given["depth"][-1]).all()
    for missing in ("depth", "eye"):
        part = {key: value for key, value in given.items() if key != missing}
        with pytest.raises(ValueError, match=rf"give options \['{missing}'\].*'start': i"):
            env.reset(options=part)
    with pytest.raises(ValueError, match=r"options\['eye'\] must be"):
        env.reset(options=given | {"eye": given["eye"][:, :3]})
    with pytest.raises(ValueError, match=r"options\['depth'\] must be uint16"):
        env.reset(options=given | {"depth": given["depth"].astype(np.float32)})
    with pytest.raises(WorldError, match="has no depth"):
        NFDEnv(make_tiny_world(), depth=True)


def test_what_memory_offers_is_handed_on(camera_world: World, tiny_world: World) -> None:
    env = NFDEnv(camera_world, engine="eager")
    frame, _ = env.reset(seed=0)
    assert (env.map()[0] == frame).all()
    with pytest.raises(WorldError, match="has no points; use a world with a memory of points"):
        env.points()


def test_the_time_limit_knows_of_undo_load_and_fork(tiny_world_path: Path) -> None:
    env = NFDEnv(tiny_world_path, engine="eager", max_episode_steps=5)
    env.reset(seed=0)
    still = env.codec.noop()
    for _ in range(4):
        assert not env.step(still)[3]
    state = env.save_state()
    fork = env.fork(2)
    assert fork.step(np.stack([still, still]))[3].all()
    env.undo(4)
    assert [env.step(still)[3] for _ in range(5)] == [False] * 4 + [True]
    env.load_state(state)
    assert env.step(still)[3]
    made = make(tiny_world_path)
    assert made.unwrapped.dream.how.max_episode_steps == 1000  # type: ignore[attr-defined]
    assert NFDEnv(tiny_world_path).dream.how.max_episode_steps is None


def test_refused_actions_and_states_leave_no_gap_between_the_undo_stacks(
    tiny_world_path: Path,
) -> None:
    env = NFDEnv(tiny_world_path, engine="eager")
    env.reset(seed=0)
    env.step(env.codec.noop())
    session = env.dream.session
    with session._alone(), pytest.raises(RuntimeError, match="another thread"):
        env.step(env.codec.noop())
    assert len(env.dream._past) == session.undoable == 1
    state = env.save_state()
    head, rest = state.split(b"\n", 2)[1:]
    for key, value in (("rng", {}), ("rngs", [])):
        facts = json.loads(head)
        facts["extra"] = {key: value}
        with pytest.raises(StateError, match="header is damaged"):
            env.load_state(
                state.split(b"\n")[0] + b"\n" + json.dumps(facts).encode() + b"\n" + rest
            )
    assert len(env.dream._past) == session.undoable == 1
    assert (env.undo(1) == env.dream.starts.clip(env.dream.begun[0].clip or 0).frames[-1]).all()


def test_a_wrong_argument_is_named(tiny_world_path: Path) -> None:
    with pytest.raises(TypeError, match="no argument 'speculat'; did you mean 'speculate'"):
        NFDEnv(tiny_world_path, speculat="ahead")


def test_making_an_env_changes_no_process_setting(
    tiny_world_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from nfd_gym.runtime import threads

    monkeypatch.setattr(threads, "keep_memory_mapped", lambda: pytest.fail("malloc was changed"))
    NFDEnv(tiny_world_path), NFDVectorEnv(tiny_world_path, 2)


def test_a_strange_picture_ends_the_episode_when_asked(tiny_world_path: Path) -> None:
    env = make(tiny_world_path, max_drift=1.2)
    dream = env.unwrapped.dream  # type: ignore[attr-defined]
    _, info = env.reset(seed=0)
    ordinary = info["drift"]
    grey = np.full((1, 32, 48, 3), 128, np.uint8)
    _, info = env.reset(options={"frames": grey})
    assert info["drift"] > 3 * ordinary
    assert dream.how.max_drift == 1.2
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


def test_undo_takes_back_held_actions_whole(tiny_world_path: Path) -> None:
    one = make(tiny_world_path, action_space="discrete").unwrapped
    held = make(tiny_world_path, action_space="discrete", frame_skip=3).unwrapped
    for env in (one, held):
        env.reset(seed=1)
    for action in (2, 7, 5):
        held.step(action)
        for _ in range(3):
            one.step(action)
    assert np.array_equal(held.undo(2), one.undo(6))
    assert held.save_state() == one.save_state()
    with pytest.raises(ValueError, match="cannot undo 6 frames"):
        held.undo(2)


def test_a_log_of_held_actions_is_refused(tiny_world_path: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="log with frame_skip=1"):
        make(tiny_world_path, frame_skip=3, log=tmp_path / "log")


def test_a_task_that_asks_what_was_dug_is_refused_where_the_world_does_not_say() -> None:
    with pytest.raises(WorldError, match="'chop' needs names of dug blocks"):
        gymnasium.make("NFD-Minecraft-v0", task="chop")
