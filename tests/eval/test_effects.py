"""Effects of Crafter's actions and coming back: what is counted is what the game says happened."""

import numpy as np
import pytest

pytest.importorskip("crafter")

from nfd_gym.eval.effects import VERBS, happened, verb_of
from nfd_gym.eval.returning import STEPS, Walker, compared, overlap
from nfd_gym.games.crafter.env import CrafterEnv
from nfd_gym.games.crafter.players import Achiever
from nfd_gym.games.crafter.readings import view_of
from nfd_gym.games.crafter.spec import ACTIONS, COUNTS, NUMBER
from nfd_gym.games.crafter.tiles import Reading

BAG = dict.fromkeys(COUNTS, 5)


@pytest.mark.slow
def test_recorded_effects_are_the_games_events() -> None:
    """What counts, places and makes is read from states as the game itself counts it."""
    env, seen = CrafterEnv(), dict.fromkeys(VERBS, 0)
    for seed in range(3):
        player = Achiever(np.random.default_rng(seed), noise=0.3)
        _, info = env.reset(seed=seed, options={"inventory": BAG, "beside": ["table", "furnace"]})
        infos, told = [info], [0]
        for _ in range(150):
            told.append(player.act(infos[-1]))
            infos.append(env.step(told[-1])[-1])
        state = {
            "asleep": np.array([i["asleep"] for i in infos]),
            "facing": np.array([i["facing"] for i in infos]),
            "position": np.array([i["position"] for i in infos]),
            "counts": np.array([[i["inventory"][name] for name in COUNTS] for i in infos]),
            "view": np.array([view_of(i["semantic"], i["position"]) for i in infos]),
        }
        for row in range(1, len(infos)):
            name = ACTIONS[told[row]]
            verb = verb_of(name, state, row - 1)
            full = bool((state["counts"][row - 1] >= 9).any())  # nothing grows beyond nine
            if verb in ("collect", "place", "make") and not full:
                kinds = {kind for kind, _ in infos[row]["events"]}
                assert happened(verb, name, state, row) == (verb in kinds)
                seen[verb] += 1
    assert seen["collect"] and seen["place"] and seen["make"]


def test_a_walker_comes_back_to_where_it_left() -> None:
    walker, at = Walker(np.random.default_rng(0)), (5, 5)
    walker.at = at
    moves = {action: step for step, action in STEPS.items()}
    for number in range(60):
        away = number < 20
        action = walker.away() if away else walker.back()
        step = moves.get(action, (0, 0))
        blocked = number % 5 == 3  # something stands in the way
        at = at if blocked else (at[0] + step[0], at[1] + step[1])
        walker.went(at, away)
    assert at == (5, 5) and not walker.way


def test_only_ground_that_left_the_view_is_compared_by_day() -> None:
    near = overlap((2, 0), (0, 0), (9, 7))
    assert near[2:].all() and not near[:2].any()
    view = np.full((2, 9, 7), NUMBER["grass"], np.uint8)
    flat = np.zeros((2, 9, 7), np.float32)
    light = np.array([1.0, 0.2], np.float32)
    first = Reading(view, np.zeros((2, 2), int), np.zeros(2, bool), light, flat)
    changed = view.copy()
    changed[:, 0, 0], changed[:, 1, 0] = NUMBER["stone"], NUMBER["cow"]
    last = Reading(changed, first.facing, first.asleep, light, flat)
    lost = np.zeros((2, 9, 7), bool)
    lost[:, :3, 0] = True
    assert compared(first, last, [(0, 0)] * 2, [(0, 0)] * 2, lost) == (1, 2)
    assert compared(first, last, [(0, 0)] * 2, [(1, 0)] * 2, lost)[1] == 1  # one column is gone
