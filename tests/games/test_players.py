"""The island's players and probes, without the game: deterministic, and each true to its name."""

from typing import Any

import numpy as np
import pytest

from nfd_gym.actions import KeysAndMouse
from nfd_gym.games.luanti.players import (
    MIX,
    Actor,
    Builder,
    Bumper,
    Explorer,
    Fidgeter,
    Returner,
    Stander,
)
from nfd_gym.games.luanti.probes import PROBES
from nfd_gym.games.luanti.recorder import INSIDE, mix_plans, probe_plans, start
from nfd_gym.keyboard import KEY_INDEX

CODEC = KeysAndMouse("minerl")


class Meadow:
    """Stands in for the game: open ground, walked at 0.2 m a tick, turned as told."""

    def __init__(self) -> None:
        self.position, self.yaw, self.pitch = np.array([3.0, 2.5, -8.0]), 20.0, 5.0

    def info(self) -> dict[str, Any]:
        around = {"kinds": "f" * 8, "distances": [7] * 8, "pointed": "island:grass", "reach": 2.0}
        return {
            "position": tuple(self.position), "yaw": self.yaw, "pitch": self.pitch,
            "on_ground": True, "in_liquid": False, "biome": "island",
            "surroundings": {**around, "trunk": (4, 5, -9)},
        }  # fmt: skip

    def step(self, action: dict[str, Any]) -> None:
        down, right = action["camera"]
        self.yaw, self.pitch = self.yaw + float(right), self.pitch + float(down)
        ahead = float(action["forward"]) - float(action["back"])
        y = np.radians(self.yaw)
        self.position += 0.2 * ahead * np.array([-np.sin(y), 0.0, np.cos(y)])


def play(player: Actor, ticks: int) -> tuple[np.ndarray, np.ndarray]:
    """(T, A) actions and (T, 3) positions."""
    meadow, actions, path = Meadow(), [], []
    for _ in range(ticks):
        action = player.act(meadow.info())
        actions.append(CODEC.encode(action))
        meadow.step(action)
        path.append(meadow.position.copy())
        assert -76 < meadow.pitch < 81
    return np.stack(actions), np.stack(path)


def held(actions: np.ndarray, *keys: str) -> float:
    """Share of the ticks in which any of the keys is down."""
    return float(np.mean([bool(set(keys) & set(CODEC.keys(row))) for row in actions]))


@pytest.mark.parametrize("kind", [Explorer, Builder, Returner, Bumper, Stander])
def test_same_seed_same_play_other_seed_other_play(kind: type[Actor]) -> None:
    first, again, other = (play(kind(seed), 400)[0] for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    if kind is not Stander:
        assert not np.array_equal(first, other)


def test_builders_have_their_hands_full_and_the_others_do_not() -> None:
    share = {kind: held(play(kind(3), 1500)[0], "attack", "use") for kind in {*MIX}}
    assert share[Builder] > 0.4
    assert max(share[Explorer], share[Bumper], share[Stander]) == 0 < share[Returner] < 0.2


def test_the_fidgeter_goes_every_way_and_never_long() -> None:
    actions, _ = play(Fidgeter(2), 3000)
    assert min(held(actions, key) for key in ("forward", "back", "left", "right", "jump")) > 0.12
    keys = actions[:, [KEY_INDEX[key] for key in ("forward", "back", "left", "right", "jump")]]
    changes = (np.diff(keys, axis=0) != 0).any(1)
    assert 0.1 < changes.mean() < 0.4


def test_the_stander_stands_for_ten_seconds() -> None:
    actions, path = play(Stander(1), 205)
    assert not actions.any() and np.ptp(path, axis=0).max() == 0
    assert sum(kind is Stander for kind in MIX) == len(MIX) // 10


def test_explorers_look_up_and_down_and_get_about() -> None:
    pitches, paths = [], []
    for seed in range(4):
        actions, path = play(Explorer(seed), 1200)
        pitches.append(5 + np.cumsum(CODEC.rotation(actions)[0]))
        paths.append(path)
    assert np.percentile(pitches, 2) < -20 and np.percentile(pitches, 98) > 20
    assert np.ptp(np.concatenate(paths), axis=0)[[0, 2]].min() > 40


def test_returners_come_back_to_where_they_looked() -> None:
    """After every turn away the same heading is held again."""
    actions, _ = play(Returner(5), 3000)
    yaw = 20 + np.cumsum(CODEC.rotation(actions)[1])
    still = np.array([not row.any() for row in actions])
    rests = [round(float(yaw[t])) for t in range(2, 3000) if still[t] and not still[t - 1]]
    back = sum(abs(rests[k] - rests[k + 2]) <= 1 for k in range(len(rests) - 2))
    assert back >= 5


def test_plans_are_reproducible_and_start_everywhere() -> None:
    plans = [plan for _, plan in zip(range(60), mix_plans(1), strict=False)]
    again = [plan for _, plan in zip(range(60), mix_plans(1), strict=False)]
    assert plans == again and len({plan.name for plan in plans}) == 60
    assert all(400 <= plan.length <= 800 for plan in plans)
    places = [start(np.random.default_rng(seed)) for seed in range(200)]
    assert 80 < sum(place is None for place in places) < 150
    assert any(place and place["position"] == INSIDE for place in places)


def test_probes_come_back_to_their_first_view() -> None:
    for name, probe in PROBES.items():
        right = sum(tick[1] for tick in probe.script)
        if name.startswith(("turn", "walk", "dig", "place", "stand")):
            assert right % 360 == pytest.approx(0), name
        if name.startswith("walk"):
            walked = sum("forward" in tick[0] for tick in probe.script)
            assert walked % 2 == 0
    assert len(PROBES["stand"].script) == 1200
    assert [plan.name for plan in probe_plans()] == [f"probe-{name}" for name in PROBES]


def test_a_probe_plays_its_script_whatever_happens() -> None:
    probe = PROBES["turn-90"]
    player = probe(0)
    actions = np.stack([CODEC.encode(player.act({})) for _ in range(probe.length - 1)])
    right = CODEC.rotation(actions)[1]
    assert right.max() == pytest.approx(3, abs=1e-4) and right.sum() == pytest.approx(0, abs=1e-3)
