"""What a picture of Crafter shows is read back exactly, but for the noise of the night."""

import numpy as np
import pytest

pytest.importorskip("crafter")

from nfd_gym.games.crafter.env import CrafterEnv
from nfd_gym.games.crafter.players import Achiever
from nfd_gym.games.crafter.readings import HudReader, Look, Rules
from nfd_gym.games.crafter.spec import ACTIONS, TILES
from nfd_gym.games.crafter.tiles import TileReader, looks_in


@pytest.fixture(scope="module")
def env():
    return CrafterEnv()


@pytest.fixture(scope="module")
def reader():
    return TileReader()


def play(env, seed, steps, act=None, **options):
    hand = Achiever(np.random.default_rng(seed), 0.1)
    frame, info = env.reset(seed=seed, options=options)
    frames, infos, actions, rewards = [frame], [info], [0], [0.0]
    for _ in range(steps):
        actions.append(hand.act(info) if act is None else act)
        frame, reward, _, _, info = env.step(actions[-1])
        frames.append(frame)
        infos.append(info)
        rewards.append(reward)
    return np.stack(frames), infos, actions, rewards


def test_by_day_every_tile_and_every_reward_comes_from_the_pixels_alone(env, reader):
    frames, infos, actions, rewards = play(env, 1001, 90, time=40)
    looks = looks_in(frames, HudReader.from_game(), reader)
    rules = Rules(looks[0])
    for index, (seen, info) in enumerate(zip(looks, infos, strict=True)):
        real = Look.of_info(info)
        assert np.array_equal(seen.view, real.view), index
        assert np.array_equal(seen.counts, real.counts)
        assert (seen.facing, seen.asleep) == (real.facing, real.asleep)
        if index:
            assert rules.step(actions[index], seen)[0] == pytest.approx(rewards[index], abs=1e-9)
    assert rules.flags.sum() >= 6


def test_at_night_the_middle_is_read_and_the_light_known(env, reader):
    beside = ["table", "furnace", "iron", "cow", "ripe_plant"]
    frames, infos, *_ = play(env, 5, 12, act=0, time=205, beside=beside)
    seen = reader.read(frames)
    for index, info in enumerate(infos):
        real = Look.of_info(info)
        assert np.array_equal(seen.view[index, 3:6, 2:5], real.view[3:6, 2:5])
        assert seen.facing[index].tolist() == list(real.facing) and not seen.asleep[index]
        assert abs(seen.daylight[index] - info["daylight"]) < 0.06
    assert {TILES[n] for n in seen.view[:, 2:7, 1:6].ravel()} >= set(beside)


def test_a_sleeper_is_seen(env, reader):
    frames, infos, *_ = play(
        env, 6, 4, act=ACTIONS.index("sleep"), inventory={"energy": 2}, time=60
    )
    seen = reader.read(frames)
    assert seen.asleep.tolist() == [info["asleep"] for info in infos]
    assert seen.asleep[1:].all() and not seen.asleep[0]
    real = np.stack([Look.of_info(info).view for info in infos])
    assert np.array_equal(seen.view, real)


def test_what_no_sprite_shows_has_a_large_error(env, reader):
    frames, *_ = play(env, 6, 0)
    spoiled = frames.copy()
    spoiled[0, 0:16, 0:16] = np.random.default_rng(0).integers(0, 256, 3, np.uint8)
    assert reader.read(frames).error.max() < 4
    assert reader.read(spoiled).error[0, 0, 0] > 100
