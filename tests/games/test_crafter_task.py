"""The task of a learned Crafter: on the real game's own frames it pays what the game pays."""

import json

import numpy as np
import pytest

from nfd_gym.envs.tasks import Facts, make_task
from nfd_gym.errors import UsageError
from nfd_gym.games.crafter import sprites
from nfd_gym.games.crafter.spec import KEYS, SPEC
from nfd_gym.games.crafter.task import Crafter

pytest.importorskip("crafter")

from nfd_gym.games.crafter.env import CrafterEnv
from nfd_gym.games.crafter.players import Achiever
from nfd_gym.games.crafter.readings import drawn_counts
from nfd_gym.games.crafter.tiles import drawn_sprites
from nfd_gym.play.bindings import MOVES, Bindings
from nfd_gym.play.controls import make_controls
from nfd_gym.play.inputs import Sample

TASK = "nfd_gym.games.crafter.task:Crafter"


def test_shipped_sprites_are_the_games() -> None:
    assert np.array_equal(sprites.counts(), drawn_counts())
    for mine, drawn in zip(sprites.tiles(), drawn_sprites(), strict=True):
        assert mine[:2] == drawn[:2] and np.array_equal(mine[2], drawn[2])


@pytest.mark.slow
def test_rewards_and_flags_of_real_frames_are_the_games_own() -> None:
    env, task = CrafterEnv(), make_task(TASK)
    player = Achiever(np.random.default_rng(3), noise=0.1)
    frame, info = env.reset(seed=3)
    task.reset(Facts(frame=frame))
    paid, real = [], []
    for step in range(160):
        action = player.act(info)
        frame, reward, dead, _, info = env.step(action)
        facts = Facts(frame=frame, action=env.codec.encode(action))
        got, ended, terms = task.step(facts)
        paid.append(got)
        real.append(reward)
        assert not ended or dead
        if step == 80:  # a saved task goes on as if nothing had happened
            state = json.loads(json.dumps(task.get_state()))
            task = make_task(TASK)
            task.set_state(state)
    assert np.allclose(paid, real, atol=1e-6) and sum(reward >= 1 for reward in real) >= 3
    assert all(terms[name] == float(count > 0) for name, count in info["achievements"].items())
    assert all(terms[name] == count for name, count in info["inventory"].items())


def test_a_task_without_frames_is_refused() -> None:
    with pytest.raises(UsageError, match="reads frames"):
        make_task(TASK).reset(Facts())


def test_every_action_but_rest_has_a_key() -> None:
    assert set(KEYS.values()) == set(range(1, SPEC.codec.width))
    hands = make_controls(SPEC.codec, Bindings(), keys=KEYS)
    for name, action in KEYS.items():
        if name in MOVES:
            held = Sample(held=frozenset({MOVES[name][0]}), dx=0.0, dy=0.0, wheel=0)
            assert hands.vector(held).argmax() == action
    rest = Sample(held=frozenset(), dx=0.0, dy=0.0, wheel=0)
    assert hands.vector(rest).argmax() == 0


def test_tasks_share_what_reads_pictures() -> None:
    """A fork of a Crafter env makes a task: it must not cost a quarter of a second."""
    one, other = Crafter(), Crafter()
    assert one._tiles is other._tiles and one._hud is other._hud
