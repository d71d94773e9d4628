"""Tasks: reward follows the facts, the same on the twin (logged) and in the dream (believed)."""

import math

import numpy as np
import pytest

from nfd_gym.actions import KeysAndMouse
from nfd_gym.data.clip import Event
from nfd_gym.envs.tasks import DeadReckoning, Facts, make_task


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


def test_a_belief_that_stays_high_counts_once() -> None:
    beliefs = [0.1, 0.6, 0.9, 0.7, 0.2, 0.49, 0.5]
    assert total("dig", [Facts(outputs={"dig": value}) for value in beliefs]) == 2
    assert total("chop", [Facts(outputs={"dig": value}) for value in beliefs]) == 0


@pytest.mark.parametrize("name", ["explore", "travel", "chop", "dig", None])
def test_only_the_end_head_ends_an_episode(name: str | None) -> None:
    task = make_task(name)
    task.reset(at(0, 0))
    assert not task.step(at(0, 0))[1]
    assert task.step(Facts((0.0, 0.0, 0.0), outputs={"end": 0.8}))[1]


def test_reset_forgets_the_episode() -> None:
    task = make_task("dig")
    task.reset(Facts())
    assert task.step(dug("a", "b"))[2] == {"blocks": 2.0}
    task.reset(Facts())
    assert task.step(dug("a"))[2] == {"blocks": 1.0}


def test_an_unknown_task_names_the_nearest() -> None:
    with pytest.raises(ValueError, match="did you mean 'explore'"):
        make_task("explor")


def test_dead_reckoning_walks_a_square_back_home() -> None:
    """Four legs of 2 s with right turns between them: 15.6 m each way less the start-up."""
    codec = KeysAndMouse()
    reckoning, corners = DeadReckoning(codec), []
    for _ in range(4):
        for _ in range(80):
            here = reckoning.step(codec.vector(["forward"]))
        corners.append((here[0], here[2]))
        for _ in range(10):
            here = reckoning.step(codec.vector((), 0.0, 9.0))
    assert math.dist(corners[0], (0, 0)) == pytest.approx(3.9 * 4, rel=0.05)
    assert corners[0][1] > 0 and corners[1][0] < -10  # yaw 0 faces +z, then right is -x
    assert math.dist((here[0], here[2]), (0, 0)) < 1.0


def test_sneaking_is_slower_and_diagonals_are_not_faster() -> None:
    codec = KeysAndMouse()

    def reach(*keys: str) -> float:
        reckoning = DeadReckoning(codec)
        for _ in range(60):
            x, _, z = reckoning.step(codec.vector(keys))
        return float(np.hypot(x, z))

    assert reach("forward", "left") == pytest.approx(reach("forward"), rel=1e-6)
    assert reach("forward", "sneak") < 0.5 * reach("forward")
    assert reach("forward", "back") == 0
