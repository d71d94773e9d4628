"""The island's tasks: metres to a landmark, blocks of one's own under the feet."""

import json

import pytest

from nfd_gym.data.clip import Event
from nfd_gym.envs.tasks import TASKS, Facts, make_task
from nfd_gym.games.luanti.spec import EYE_HEIGHT, LANDMARKS, SPEC
from nfd_gym.games.luanti.task import ARRIVED, BONUS

X, Z = LANDMARKS["tower"]


def at(x: float, z: float) -> Facts:
    return Facts((x, 9.0, z))


def standing(top: int, *events: Event, x: float = 0.2) -> Facts:
    """The feet on the upper face of the block at height `top`."""
    return Facts((x, top + 0.5 + EYE_HEIGHT, -0.3), events)


def put(y: int, kind: str = "place") -> Event:
    return Event(1, kind, "island:brick", (0.0, float(y), 0.0))


def test_goto_pays_each_metre_nearer_once_and_ends_on_arrival() -> None:
    task = make_task("goto-tower")
    task.reset(at(X - 30, Z))
    rewards, ends, _ = zip(*(task.step(at(X - d, Z)) for d in (25, 28, 25, 20, 8)), strict=True)
    assert rewards == pytest.approx((5, 0, 0, 5, 12 + BONUS))
    assert ends == (False, False, False, False, True)


def test_goto_pays_nothing_for_walking_away_and_back() -> None:
    task = make_task("goto-hut")
    x, z = LANDMARKS["hut"]
    task.reset(at(x, z - 20))
    assert sum(task.step(at(x, z - d))[0] for d in (30, 25, 20)) == 0
    with pytest.raises(ValueError, match="needs positions"):
        task.step(Facts())


def test_every_landmark_of_a_task_is_on_the_island() -> None:
    for name in SPEC.tasks:
        task = make_task(name)
        assert task.name == name and name in TASKS
        if name.startswith("goto-"):
            task.reset(at(0, 0))
            assert ARRIVED < task.get_state() < 50


def test_a_pillar_counts_own_blocks_under_the_feet_once() -> None:
    task = make_task("tower")
    task.reset(standing(4))
    assert task.step(standing(5))[0] == 0, "a rock is not one's own"
    assert task.step(standing(5, put(5)))[0] == 1
    assert task.step(Facts((0.2, 7.0 + EYE_HEIGHT, -0.3), (put(6),)))[0] == 0, "in the air"
    assert task.step(standing(6))[0] == 1
    assert task.step(standing(5))[0] == 0
    assert task.step(standing(6))[0] == 0, "climbed once"
    assert task.step(standing(6, x=2.0))[0] == 0, "beside it"


def test_a_pillar_that_is_dug_away_below_no_longer_counts() -> None:
    task = make_task("tower")
    task.reset(standing(4))
    task.step(standing(5, put(5), put(6)))
    assert task.step(standing(6, put(5, "dig")))[0] == 0
    assert task.step(standing(6, put(5)))[0] == 1


@pytest.mark.parametrize("name", ["goto-tower", "tower"])
def test_states_are_exact(name: str) -> None:
    task, other = make_task(name), make_task(name)
    task.reset(standing(4))
    task.step(standing(5, put(5)))
    other.set_state(json.loads(json.dumps(task.get_state())))
    assert task.step(standing(6, put(6))) == other.step(standing(6, put(6)))
