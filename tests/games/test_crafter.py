"""Crafter: the same everywhere, the real game, read and counted as the game counts."""

import subprocess
import sys
import warnings
from pathlib import Path

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from nfd_gym.data.check import check_source
from nfd_gym.data.sources import open_source
from nfd_gym.games.crafter import spec
from nfd_gym.games.crafter.readings import HudReader, Look, Rules, achieved, view_of
from nfd_gym.games.episodes import record

pytest.importorskip("crafter")

from crafter import constants

from nfd_gym.games.crafter.chance import chances, looks_of
from nfd_gym.games.crafter.env import CrafterEnv
from nfd_gym.games.crafter.players import Achiever, Wanderer
from nfd_gym.games.crafter.recorder import CrafterFootage, make_player, rich_start

ROOT = Path(__file__).parents[2]
NUMBER = spec.NUMBER
EPISODE = """
import hashlib, numpy as np
from nfd_gym.games.crafter.env import CrafterEnv
env, rng, total = CrafterEnv(), np.random.default_rng(0), hashlib.sha256()
junk = [object() for _ in range(int(np.random.default_rng().integers(100_000)))]
frame, info = env.reset(seed=3, options={"time": 120})
for _ in range(200):
    total.update(frame.tobytes() + info["semantic"].tobytes())
    frame, _, dead, _, info = env.step(int(rng.integers(17)))
    if dead:
        break
print(total.hexdigest())
"""


@pytest.fixture(scope="module")
def env():
    """One game, whose episodes are the tests': making a map takes a second."""
    return CrafterEnv(render_mode="rgb_array")


def play(env, player, seed, steps, **options):
    """[(info before, action, frame, reward, dead, info after)] of one episode."""
    frame, info = env.reset(seed=seed, options=options or None)
    ticks = [(None, 0, frame, 0.0, False, info)]
    for _ in range(steps):
        action = player.act(info)
        frame, reward, dead, _, after = env.step(action)
        ticks.append((info, action, frame, reward, dead, after))
        info = after
        if dead:
            break
    return ticks


@pytest.fixture(scope="module")
def episode(env):
    return play(env, Achiever(np.random.default_rng(0), 0.05), 1001, 170)


def test_the_rules_are_the_installed_games():
    assert list(spec.ACTIONS) == constants.actions
    assert list(spec.MATERIALS) == constants.materials
    assert list(spec.WALKABLE) == constants.walkable
    assert list(spec.COUNTS) == list(constants.items)
    assert all(item["max"] == spec.MOST for item in constants.items.values())
    initial = {name: item["initial"] for name, item in constants.items.items() if item["initial"]}
    assert initial == spec.INITIAL
    assert list(spec.ACHIEVEMENTS) == constants.achievements
    for thing, rule in spec.PLACE.items():
        real = constants.place[thing]
        assert (rule.uses, set(rule.where)) == (real["uses"], set(real["where"]))
    for thing, rule in spec.MAKE.items():
        real = constants.make[thing]
        assert (rule.uses, list(rule.nearby)) == (real["uses"], real["nearby"])
    assert set(spec.PLACE) == set(constants.place) and set(spec.MAKE) == set(constants.make)
    real = {name: rule for rule in constants.collect.items() for name in rule[1]["receive"]}
    assert set(real) == set(spec.COLLECT)
    for thing, rule in spec.COLLECT.items():
        tile, said = real[thing]
        assert (rule.where, rule.uses) == ((tile,), said["require"])
        assert said.get("probability", 1) == (spec.SAPLING if thing == "sapling" else 1)


def test_tile_numbers_are_the_games(env):
    env.reset(seed=0)
    for name in spec.MATERIALS:
        assert env.game._world._mat_ids[name] == NUMBER[name]
    names = {kind.__name__.lower(): n for kind, n in env.game._sem_view._obj_ids.items()}
    assert names == {name: NUMBER[name] for name in names} and len(names) == 6


@pytest.mark.slow
def test_an_episode_is_the_same_in_every_process():
    """The game's sets iterate by memory address, which differs from process to process."""
    runs = [
        subprocess.run(
            [sys.executable, "-c", EPISODE], capture_output=True, text=True, check=True, cwd=ROOT
        )
        for _ in range(3)
    ]
    assert len({run.stdout.split()[-1] for run in runs}) == 1


def test_two_games_play_the_same_episode(env):
    other = CrafterEnv()
    rng = np.random.default_rng(1)
    assert np.array_equal(env.reset(seed=8)[0], other.reset(seed=8)[0])
    for _ in range(60):
        action = int(rng.integers(17))
        (one, *_, mine), (two, *_, theirs) = env.step(action), other.step(action)
        assert np.array_equal(one, two) and np.array_equal(mine["semantic"], theirs["semantic"])
    assert isinstance(next(iter(env.game._world.chunks.values())).add, type(env.reset))


@pytest.mark.slow
def test_the_registered_env_passes_gymnasiums_and_sb3s_checks():
    sb3 = pytest.importorskip("stable_baselines3.common.env_checker")
    env = gymnasium.make("Crafter-v0", size=(36, 36), render_mode="rgb_array").unwrapped
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        check_env(env)
        sb3.check_env(env)


def test_a_start_is_what_was_asked_for(env):
    bag = {"wood": 5, "iron_pickaxe": 1, "drink": 3}
    beside = ["table", "furnace", "ripe_plant", "cow"]
    options = {"inventory": bag, "time": 200, "place": "stone", "beside": beside}
    frame, info = env.reset(seed=5, options=options)
    assert {name: info["inventory"][name] for name in bag} == bag
    assert info["daylight"] < 0.05 and info["achievements"]["collect_wood"] == 0
    look = Look.of_info(info)
    for name in beside:
        assert (look.view[2:7, 1:6] == NUMBER[name]).any(), name
    assert look.view[4, 3] == NUMBER["player"]
    again, _ = env.reset(seed=5, options=options)
    assert np.array_equal(frame, again)
    x, y = info["position"]
    _, moved = env.reset(seed=5, options={"place": (x, y)})
    assert moved["position"] == (x, y)


@pytest.mark.parametrize(
    "options", [{"plce": 1}, {"inventory": {"gold": 1}}, {"place": "gold"}, {"beside": ["gold"]}]
)
def test_bad_options_are_named(env, options):
    with pytest.raises(ValueError, match=r"plce|gold"):
        env.reset(seed=1, options=options)


def test_the_view_is_a_window_of_the_map():
    tiles = np.arange(64 * 64).reshape(64, 64) % 19 + 1
    assert np.array_equal(view_of(tiles, (20, 30)), tiles[16:25, 27:34])
    corner = view_of(tiles, (0, 63))
    assert (corner[:4] == 0).all() and (corner[:, 4:] == 0).all()
    assert np.array_equal(corner[4:, :4], tiles[:5, 60:])


def test_counts_and_achievements_are_read_as_the_game_counts_them(episode):
    rules, frames, real = Rules(Look.of_info(episode[0][5])), [], []
    for before, action, frame, reward, dead, after in episode[1:]:
        names = {f"{kind}_{what}" for kind, what in after["events"] if kind != "hurt"}
        fresh = {name for name in names if before["achievements"][name] == 0}
        got = rules.step(action, Look.of_info(after))
        assert got[0] == pytest.approx(reward, abs=1e-9) and got[1:] == (dead, fresh)
        frames.append(frame)
        real.append(list(after["inventory"].values()))
    assert rules.flags.sum() >= 10
    counts, error = HudReader.from_game().read(np.stack(frames))
    assert np.array_equal(counts, real) and error.max() == 0


@pytest.mark.slow
def test_no_error_in_two_thousand_frames(env):
    """All kinds of play, rich starts included: every count, every achievement, every reward."""
    reader, steps, seed, seen = HudReader.from_game(), 0, 0, set()
    while steps < 2000:
        rng = np.random.default_rng(seed)
        name = ("rich", "achiever", "sloppy")[seed % 3]
        ticks = play(
            env,
            make_player(name, rng),
            seed,
            300,
            **(rich_start(rng) if name == "rich" else {}),
        )
        rules = Rules(Look.of_info(ticks[0][5]))
        for before, action, _, reward, dead, after in ticks[1:]:
            fresh = {
                n
                for n, count in after["achievements"].items()
                if count and not before["achievements"][n]
            }
            got = rules.step(action, Look.of_info(after))
            assert got[0] == pytest.approx(reward, abs=1e-9) and got[1:] == (dead, fresh)
            seen |= fresh
        counts, _ = reader.read(np.stack([tick[2] for tick in ticks]))
        assert np.array_equal(counts, [list(tick[5]["inventory"].values()) for tick in ticks])
        steps, seed = steps + len(ticks), seed + 1
    assert len(seen) >= 18


def look(around=(), facing=(1, 0), asleep=False, **counts):
    view = np.full(spec.VIEW, NUMBER["grass"])
    view[4, 3] = NUMBER["player"]
    for (dx, dy), name in around:
        view[4 + dx, 3 + dy] = NUMBER[name]
    bag = {**dict.fromkeys(spec.COUNTS, 0), **spec.INITIAL, **counts}
    return Look(np.array(list(bag.values())), view, facing, asleep)


def test_what_cannot_be_seen_in_the_counts():
    do = spec.ACTIONS.index("do")
    water = look([((1, 0), "water")])
    assert achieved(water, do, water) == {"collect_drink"}  # a full count stays 9
    zombie = look([((1, 0), "zombie")])
    assert achieved(zombie, do, look()) == {"defeat_zombie"}
    assert achieved(zombie, do, look(), {"cow": 9, "zombie": 2, "skeleton": 9}) == set()
    assert achieved(zombie, do, look([((2, 0), "zombie")])) == set()  # it stepped back
    two = look([((1, 0), "zombie"), ((1, 1), "zombie")])
    assert achieved(two, do, look([((1, 0), "zombie")])) == {"defeat_zombie"}
    asleep = look(asleep=True)
    assert achieved(asleep, do, look()) == {"wake_up"}
    assert achieved(look(asleep=True, energy=4), do, look()) == set()
    stone = look([((1, 0), "stone")])
    assert achieved(stone, do, look(stone=1)) == set()  # there is no pickaxe
    table = [((-1, 1), "table")]
    make = spec.ACTIONS.index("make_wood_pickaxe")
    assert achieved(look(table, wood=1), make, look()) == {"make_wood_pickaxe"}
    assert achieved(look([((-2, 1), "table")], wood=1), make, look()) == set()


def test_chances_follow_creatures_through_the_players_steps():
    right, noop, do = (spec.ACTIONS.index(name) for name in ("move_right", "noop", "do"))
    looks = [
        look([((2, 1), "cow"), ((-2, 0), "zombie")]),
        look([((1, 1), "cow"), ((-3, 0), "zombie")]),  # the player stepped: both stood still
        look([((1, 2), "cow"), ((-2, 0), "zombie")]),  # both moved
        look([((1, 2), "cow"), ((-2, 0), "zombie")], sapling=1),
    ]
    found = chances(looks, [noop, right, noop, do])
    assert found == {"cow_moves": (1, 3), "zombie_nearer": (1, 3), "sapling": (1, 1)}
    beside = look([((1, 0), "zombie")])
    assert chances([beside, beside], [noop, noop])["zombie_nearer"] == (0, 0)
    herd = look([((2, 1), "cow"), ((2, 2), "cow")])
    assert chances([herd, herd], [noop, noop])["cow_moves"] == (0, 0)  # who is who?


def test_the_achiever_achieves(episode):
    assert sum(count > 0 for count in episode[-1][5]["achievements"].values()) >= 10


def test_the_wanderer_comes_back(env):
    hand = Wanderer(np.random.default_rng(3))
    hand.DISTANCES = (10,)
    ticks = play(env, hand, 21, 70)
    places = [tick[5]["position"] for tick in ticks]
    away = [abs(x - places[0][0]) + abs(y - places[0][1]) for x, y in places]
    far = int(np.argmax(np.array(away) >= 5))
    assert far and min(away[far:]) == 0


def test_footage_is_clean_lossless_and_continues_where_it_stopped(tmp_path):
    footage = CrafterFootage(length=24)
    footage.shares = {"rich": 0.6, "random": 0.4}
    record(footage, tmp_path / "parts", 24)
    record(footage, tmp_path / "parts", 40)
    source = open_source(tmp_path / "parts")
    report = check_source(source)
    assert report.frames == 40 and not report.problems and not report.notes
    assert (source.fps, source.size) == (10, (144, 144))
    clip = source.read(1)
    again = list(footage.episode(source.index.about[clip.name]["player"], 1))
    assert np.array_equal(clip.frames, [tick.frame for tick in again[: len(clip)]])
    looks = looks_of(clip, HudReader.from_game())
    assert np.array_equal([one.counts for one in looks], clip.state["counts"])
    assert clip.state["view"].shape == (len(clip), *spec.VIEW)
    rules = Rules(looks[0])
    for index in range(1, len(clip)):
        reward, _, _ = rules.step(int(clip.actions[index].argmax()), looks[index])
        assert reward == pytest.approx(clip.rewards[index], abs=1e-6)


@pytest.mark.parametrize("place", [(5, 63), (63, 5), (0, 9), (9, 0)])
def test_a_tired_player_at_the_edge_of_the_map_decides(place: tuple[int, int]) -> None:
    """What is faced there lies beyond the map."""
    env = CrafterEnv()
    _, info = env.reset(seed=0)
    bag = {**info["inventory"], "energy": 3, "stone": 1, "wood_pickaxe": 1}
    grass = np.full((64, 64), NUMBER["grass"], np.uint8)
    out = tuple(int(np.sign(at - 32)) * (at in (0, 63)) for at in place)
    told = {**info, "inventory": bag, "semantic": grass, "position": place, "facing": out,
            "daylight": 0.1}  # fmt: skip
    for seed in range(3):
        assert 0 <= Achiever(np.random.default_rng(seed), noise=0.0).act(told) < 17
