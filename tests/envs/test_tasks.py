"""Tasks: reward follows the facts, the same in the real game and in a learned world."""

import json

import pytest

from nfd_gym.data.clip import Event
from nfd_gym.envs.tasks import Facts, make_task


def total(name: str | None, steps: list[Facts], start: Facts | None = None) -> float:
    task = make_task(name)
    task.reset(start or Facts((0.0, 0.0, 0.0)))
    return sum(task.step(facts)[0] for facts in steps)


def at(x: float, z: float) -> Facts:
    return Facts((x, 9.0, z))


def dug(*nodes: str) -> Facts:
    return Facts(events=[Event(1, "dig", node) for node in nodes])


def test_explore_pays_each_cell_once_and_never_the_first() -> None:
    assert total("explore", [at(1, 1), at(3.9, 3.9)]) == 0
    assert total("explore", [at(5, 0), at(1, 1), at(5, 0)]) == 1
    assert total("explore", [at(-0.1, 0), at(0, -0.1), at(-0.1, -0.1)]) == 3


def test_explore_pays_a_straight_walk_by_its_length() -> None:
    steps = [at(0.2 * tick, 0.0) for tick in range(1, 501)]  # 100 m
    assert total("explore", steps) == 25


def test_travel_pays_metres_from_the_start_once() -> None:
    assert total("travel", [at(3, 4), at(0, 0), at(3, 4)]) == pytest.approx(5)
    assert total("travel", [at(0, 0), at(3, 0), at(0, 3), at(-3, 0)]) == pytest.approx(3)
    assert total("travel", [at(0, 0), at(3, 0), at(0, 4)]) == pytest.approx(4)
    with pytest.raises(ValueError, match="travel needs positions"):
        make_task("travel").reset(Facts())


def test_explore_refuses_a_world_without_positions() -> None:
    with pytest.raises(ValueError, match="reports none"):
        make_task("explore").reset(Facts())


def test_chop_pays_trunks_and_dig_pays_everything() -> None:
    day = [
        dug("default:tree"), dug("default:leaves"), dug("default:pine_tree", "default:dirt"),
        dug("minecraft:oak_log"), Facts(events=[Event(1, "place", "default:tree")]),
    ]  # fmt: skip
    assert total("chop", day) == 3
    assert total("dig", day) == 5
    assert total(None, day) == 0


@pytest.mark.parametrize("name", ["explore", "travel", "chop", "dig", None])
def test_no_task_ends_an_episode_and_states_are_exact(name: str | None) -> None:
    task, other = make_task(name), make_task(name)
    task.reset(at(0, 0))
    assert not task.step(at(5, 5))[1]
    other.reset(at(0, 0))
    other.set_state(json.loads(json.dumps(task.get_state())))
    assert task.step(at(9, 1)) == other.step(at(9, 1))


def test_reset_forgets_the_episode() -> None:
    task = make_task("dig")
    task.reset(Facts())
    assert task.step(dug("a", "b"))[2] == {"blocks": 2.0}
    task.reset(Facts())
    assert task.step(dug("a"))[2] == {"blocks": 1.0}


def test_an_unknown_task_names_the_nearest() -> None:
    with pytest.raises(ValueError, match="did you mean 'explore'"):
        make_task("explor")
