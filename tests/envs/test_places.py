"""Beginning at a place of the filmed land: the eye is there, memory shows it, seeds repeat it."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from nfd_gym.envs.nfd_env import NFDEnv
from nfd_gym.envs.vector_env import NFDVectorEnv
from nfd_gym.errors import UsageError
from nfd_gym.memory.atlas import Atlas, Faces
from nfd_gym.model.pixels import to_uint8
from nfd_gym.runtime.replay import read_log, replay
from nfd_gym.runtime.session import Session
from nfd_gym.runtime.starts import starts_of
from nfd_gym.world import World, load_world

EYE = 1.6


UP, DOWN = 3, 2  # facings
HILL = [(x, z) for x in range(-2, 3) for z in range(-3, 0)]
ROOFED = (4, 4)


def garden() -> Atlas:
    """A sea at height 0 around a hill at height 2; over one spot of the shore there is a roof."""
    sea = [(x, z) for x in range(-8, 9) for z in range(-8, 9) if (x, z) not in [*HILL, ROOFED]]
    faces = [((x, 0, z), UP) for x, z in sea] + [((x, 2, z), UP) for x, z in HILL]
    x, z = ROOFED
    faces += [((x, 1, z), UP), ((x, 4, z), DOWN)]
    nothing = np.zeros((0, 3))
    return Atlas(
        Faces(
            np.array([cell for cell, _ in faces], np.int16),
            np.array([facing for _, facing in faces], np.uint8),
            np.zeros(len(faces), np.uint8),
            np.random.default_rng(0).integers(0, 256, (len(faces), 16, 16, 3), dtype=np.uint8),
            nothing.astype(np.int16), np.zeros(0, np.uint8), nothing.astype(np.uint8),
        )
    )  # fmt: skip


@pytest.fixture
def world(points_world_path: Path) -> World:
    """The world of the room, its atlas another."""
    world = load_world(points_world_path)
    game = {"camera": {"eye_height": EYE}}
    return replace(world, game=game, memory=replace(world.memory, atlas=garden()))


def test_a_place_is_where_the_eye_is_and_what_memory_shows(world: World) -> None:
    env = NFDEnv(world, engine="eager")
    frame, info = env.reset(seed=0, options={"place": {"position": (1, -2), "yaw": 90}})
    assert np.allclose(info["eye"], (1, 2.5 + EYE, -2, 90, 5))
    pose = torch.tensor([info["eye"]])
    view = world.memory.read(world.memory.empty(1), torch.zeros(0), pose)
    assert np.array_equal(frame, to_uint8(view.colour)[0].numpy())
    _, info = env.reset(options={"place": {"position": (1, 9, 2)}})
    assert np.allclose(info["eye"], (1, 9 + EYE, 2, 0, 5))


def test_seeds_repeat_places_on_open_ground(world: World) -> None:
    env = NFDEnv(world, engine="eager", starts="anywhere")
    ground = {tuple(cell) for cell in world.memory.atlas.open_ground}
    eyes = [env.reset(seed=seed)[1]["eye"] for seed in (0, 1, 2, 3, 0)]
    assert len(ground) > 4 and len(set(eyes)) == 4 and eyes[0] == eyes[-1]
    assert all((x, round(y - 0.5 - EYE, 3), z) in ground for x, y, z, *_ in eyes)
    _, info = env.reset(seed=0, options={"start": 1})
    assert info["eye"] != eyes[0]


def test_open_ground_is_the_one_top_of_its_column_above_the_sea() -> None:
    atlas = garden()
    assert sorted(map(tuple, atlas.open_ground.tolist())) == sorted((x, 2, z) for x, z in HILL)
    assert [atlas.highest(x, z) for x, z in ((0, -2), (7, 7), ROOFED, (500, 0))] == [2, 0, 1, None]


def test_a_batch_begins_at_as_many_places_and_goes_on_at_others(world: World) -> None:
    envs = NFDVectorEnv(world, num_envs=3, engine="eager", starts="anywhere", max_episode_steps=2)
    _, infos = envs.reset(seed=5)
    begun = [tuple(eye) for eye in infos["eye"]]
    assert len(set(begun)) == 3
    for _ in range(3):  # the third resets
        *_, infos = envs.step(np.zeros_like(envs.action_space.sample()))
    assert not {tuple(eye) for eye in infos["eye"]} & set(begun)


def test_a_log_repeats_an_episode_that_began_at_a_place(world: World, tmp_path: Path) -> None:
    env = NFDEnv(world, engine="eager", starts="anywhere", log=tmp_path / "log")
    env.reset(seed=3)
    shown = [env.step(env.codec.noop())[0] for _ in range(3)]
    env.close()
    lines = read_log(tmp_path / "log")[1]
    played = list(replay(lines, Session(world, engine="eager"), starts_of(world)))
    assert all(same for _, _, same in played) and np.array_equal(played[-1][1], shown[-1])


@pytest.mark.parametrize(
    ("place", "said"),
    [
        ((1, 2), "is a position and angles"),
        ({"positon": (1, 2)}, "did you mean 'position'"),
        ({"position": (500, 0)}, "nothing was filmed of the place"),
        ({"position": (1, np.nan)}, "finite"),
    ],
)
def test_a_place_that_is_none_is_refused(world: World, place: object, said: str) -> None:
    env = NFDEnv(world, engine="eager")
    with pytest.raises(UsageError, match=said):
        env.reset(options={"place": place})
    with pytest.raises(UsageError, match="place'\\] alone"):
        env.reset(options={"place": {"position": (1, 2)}, "start": 0})


def test_worlds_without_filmed_land_say_so(tiny_world: World, world: World) -> None:
    with pytest.raises(UsageError, match="no filmed land"):
        NFDEnv(tiny_world).reset(options={"place": {"position": (1, 2)}})
    for blind in (tiny_world, world.without_atlas()):
        with pytest.raises(UsageError, match="no open land"):
            NFDEnv(blind, starts="anywhere").reset(seed=0)
    with pytest.raises(UsageError, match="starts is one of clips, anywhere, got 'there'"):
        NFDEnv(world, starts="there")
