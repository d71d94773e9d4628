"""Recording environments: what the recorder saw is what the source gives back."""

import gymnasium
import numpy as np
import pytest

from nfd_gym.actions import ActionError, KeysAndMouse
from nfd_gym.data.cli_record import RecordSettings, make_env, record
from nfd_gym.data.clip import DataError, Event
from nfd_gym.data.sources import open_source
from nfd_gym.data.sources.gymnasium import find_codec, find_policy, record_episode
from nfd_gym.data.store import ClipWriter

SIZE = (32, 48)


class Panning(gymnasium.Env):
    """Shows a texture that the action moves: one column per step to the right or left."""

    metadata = {"render_modes": ["rgb_array"], "render_fps": 15}
    observation_space = gymnasium.spaces.Box(0, 255, (*SIZE, 3), np.uint8)
    action_space = gymnasium.spaces.Discrete(3)

    def __init__(self, render_mode=None, length=12):
        self.render_mode, self.length = render_mode, length

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.texture = self.np_random.integers(0, 256, (SIZE[0], 400, 3), dtype=np.uint8)
        self.column, self.steps = 200, 0
        return self.picture(), {}

    def step(self, action):
        self.column += int(action) - 1
        self.steps += 1
        info = {"events": [("dig", "default:tree")]} if action == 2 else {}
        return self.picture(), float(action), self.steps >= self.length, False, info

    def picture(self):
        return self.texture[:, self.column : self.column + SIZE[1]].copy()


class Numbers(gymnasium.Env):
    """Observes numbers; only render() shows a picture."""

    metadata = {"render_modes": ["rgb_array"], "render_fps": 10}
    observation_space = gymnasium.spaces.Box(-1, 1, (3,), np.float32)
    action_space = gymnasium.spaces.Box(-2, 2, (2,), np.float32)

    def __init__(self, render_mode=None):
        self.render_mode = render_mode

    def reset(self, *, seed=None, options=None):
        return np.zeros(3, np.float32), {}

    def step(self, action):
        return np.zeros(3, np.float32), 0.5, False, False, {}

    def render(self):
        return np.full((16, 16, 3), 80, np.uint8)


for name, cls in (("Panning-v0", Panning), ("Numbers-v0", Numbers)):
    gymnasium.register(f"nfd-tests/{name}", cls, disable_env_checker=True)


def always_right(observation, env):
    return 2


def test_frames_actions_and_rewards_line_up(tmp_path):
    """Frame i of the clip is the texture moved by the sum of actions up to i: one pixel each."""
    frames, clips = record(
        "nfd-tests/Panning-v0", "random", 30, str(tmp_path), RecordSettings(crf=0), []
    )
    source = open_source(tmp_path)
    assert frames == 30 and source.lengths == [13, 13, 4] and clips == 3 and source.fps == 15
    env = make_env("nfd-tests/Panning-v0", [])
    for number in range(3):
        clip = source.read(number)
        first, _ = env.reset(seed=number)
        chosen = clip.actions.argmax(axis=1)
        assert np.array_equal(clip.frames[0], first) and chosen[0] == 0
        for index in range(1, len(clip)):
            picture, reward, *_ = env.step(chosen[index])
            assert np.array_equal(clip.frames[index], picture)
            assert clip.rewards[index] == reward
    env.close()


def test_the_same_seed_records_the_same(tmp_path):
    for name in "ab":
        record(
            "nfd-tests/Panning-v0", "random", 20, str(tmp_path / name), RecordSettings(seed=5), []
        )
    a, b = (open_source(tmp_path / name).read(0) for name in "ab")
    assert np.array_equal(a.actions, b.actions) and np.array_equal(a.frames, b.frames)


def test_recording_continues_where_it_stopped(tmp_path):
    settings = RecordSettings(crf=0)
    record("nfd-tests/Panning-v0", "random", 15, str(tmp_path), settings, [])
    before = open_source(tmp_path).read(0)
    frames, _ = record("nfd-tests/Panning-v0", "random", 40, str(tmp_path), settings, [])
    source = open_source(tmp_path)
    assert frames == 40 and sum(source.lengths) == 40
    assert np.array_equal(source.read(0).frames, before.frames)


def test_long_episodes_are_cut(tmp_path):
    record(
        "nfd-tests/Numbers-v0", "random", 25, str(tmp_path), RecordSettings(episode_frames=10), []
    )
    assert open_source(tmp_path).lengths == [10, 10, 5]


def test_pictures_come_from_render_when_the_observation_is_none(tmp_path):
    record("nfd-tests/Numbers-v0", "random", 8, str(tmp_path), RecordSettings(crf=0), [])
    source = open_source(tmp_path)
    clip = source.read(0)
    assert source.codec.kind == "continuous" and (clip.frames == 80).all()
    decoded = np.stack([source.codec.decode(action) for action in clip.actions])
    assert not decoded[0].any() and decoded[1:].any()


def test_a_policy_of_the_user(tmp_path):
    env = gymnasium.make("nfd-tests/Panning-v0")
    writer = ClipWriter(tmp_path, find_codec(env), fps=15, size=SIZE)
    record_episode(env, always_right, writer, "a", frames=6, seed=0)
    clip = open_source(tmp_path).read(0)
    assert clip.actions.argmax(axis=1).tolist() == [0, 2, 2, 2, 2, 2]
    assert clip.events == tuple(Event(n, "dig", "default:tree") for n in range(1, 6))
    env.close()


def test_ctrl_c_keeps_the_frames_of_the_episode(tmp_path):
    env = gymnasium.make("nfd-tests/Panning-v0")
    writer = ClipWriter(tmp_path, find_codec(env), fps=15, size=SIZE)

    def impatient(observation, env):
        if env.unwrapped.steps == 4:
            raise KeyboardInterrupt
        return 1

    with pytest.raises(KeyboardInterrupt):
        record_episode(env, impatient, writer, "a", frames=50, seed=0)
    assert open_source(tmp_path).lengths == [5]
    env.close()


def test_an_environment_with_a_codec_of_its_own():
    class Keyboard(Numbers):
        codec = KeysAndMouse("minerl")
        action_space = codec.space()

    assert find_codec(Keyboard()).kind == "keys_and_mouse"


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("clever", "random or MODULE:CALLABLE"),
        ("no_such_module:f", "PYTHONPATH"),
        ("math:nothing", "PYTHONPATH"),
        ("math:pi", "cannot be called"),
    ],
)
def test_policies_that_are_none(name, sentence):
    with pytest.raises(DataError, match=sentence):
        find_policy(name, Panning())


@pytest.mark.parametrize(
    ("env", "make", "sentence"),
    [
        ("NoSuchEnv-v0", [], "NoSuchEnv"),
        ("no_such_package:Env-v0", [], "install the package"),
        ("nfd-tests/Panning-v0", ["length"], "name=value"),
    ],
)
def test_environments_that_are_none(env, make, sentence):
    with pytest.raises(DataError, match=sentence):
        make_env(env, make)


def test_make_arguments_are_json_or_words():
    env = make_env("nfd-tests/Panning-v0", ["length=3"])
    assert env.unwrapped.length == 3
    env.close()


def test_an_environment_without_pictures(tmp_path):
    class Blind(Numbers):
        def render(self):
            return None

    gymnasium.register("nfd-tests/Blind-v0", Blind, disable_env_checker=True)
    with pytest.raises(DataError, match="rgb_array"):
        record("nfd-tests/Blind-v0", "random", 8, str(tmp_path), RecordSettings(), [])


def test_an_action_space_nobody_knows(tmp_path):
    class Odd(Numbers):
        action_space = gymnasium.spaces.MultiBinary(3)

    gymnasium.register("nfd-tests/Odd-v0", Odd, disable_env_checker=True)
    with pytest.raises(ActionError, match="no codec for the action space"):
        record("nfd-tests/Odd-v0", "random", 8, str(tmp_path), RecordSettings(), [])


def test_an_environment_that_reports_objects_as_events(tmp_path):
    """Luanti's events are objects with a place; reading them as pairs lost the clip at hand."""

    class Digging(Panning):
        def step(self, action):
            *rest, _ = super().step(action)
            event = {"type": "dig", "node": "island:dirt", "pos": [1, 2, 3]}
            return *rest, {"events": [event] if self.steps == 2 else []}

    gymnasium.register("nfd-tests/Digging-v0", Digging, disable_env_checker=True)
    record("nfd-tests/Digging-v0", "random", 5, str(tmp_path), RecordSettings(), [])
    clip = open_source(tmp_path).read(0)
    assert clip.events == (Event(2, "dig", "island:dirt", (1.0, 2.0, 3.0)),)


def test_depth_and_eye_of_an_environment_are_recorded(tmp_path):
    class Seeing(Panning):
        codec = KeysAndMouse("minerl")
        action_space = codec.space()

        def seen(self):
            depth = np.full(SIZE, 1000 + self.steps, np.uint16)
            return {"depth": depth, "eye": (self.steps / 8, 1.5, -2.0, 10.0 * self.steps, -5.0)}

        def reset(self, **options):
            return super().reset(**options)[0], self.seen()

        def step(self, action):
            *rest, _ = super().step(1)
            return *rest, self.seen()

    gymnasium.register("nfd-tests/Seeing-v0", Seeing, disable_env_checker=True)
    record("nfd-tests/Seeing-v0", "random", 9, str(tmp_path), RecordSettings(), [])
    source = open_source(tmp_path)
    clip = source.read(0)
    assert source.index.depth and source.index.fov_y == 72
    assert clip.depth[:, 0, 0].tolist() == list(range(1000, 1009))
    assert np.allclose(clip.pose[:, 0], np.arange(9) / 8)
    assert np.allclose(clip.pitch, -5) and np.allclose(clip.pose[:, 3], 10 * np.arange(9))
