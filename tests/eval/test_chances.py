"""Chances one step ahead: recordings give back what was recorded, what vanishes counts as lost."""

from collections.abc import Iterator

import numpy as np
import pytest

pytest.importorskip("crafter")

from nfd_gym.data.clip import Clip
from nfd_gym.eval import chances
from nfd_gym.eval.rollout import stack
from nfd_gym.games.crafter.readings import HudReader, Look
from nfd_gym.games.crafter.recorder import CrafterFootage
from nfd_gym.games.crafter.spec import COUNTS, NUMBER
from nfd_gym.games.crafter.tiles import TileReader


class Recorded:
    """A source of a few clips of the real game."""

    def __init__(self, clips: list[Clip]) -> None:
        self.clips = clips
        self.names = tuple(clip.name for clip in clips)
        self.lengths = tuple(len(clip) for clip in clips)

    def read(self, index: int, start: int = 0, stop: int | None = None) -> Clip:
        clip = self.clips[index]
        return clip.cut(start, len(clip) if stop is None else stop)


@pytest.fixture(scope="module")
def source() -> Recorded:
    def clips() -> Iterator[Clip]:
        for seed in range(3):
            ticks = list(CrafterFootage(length=120).episode("sloppy", seed))
            rows = [tick.state for tick in ticks]
            state = {name: np.array([row[name] for row in rows]) for name in rows[0]}
            frames = np.stack([tick.frame for tick in ticks])
            actions = np.stack([tick.action for tick in ticks])
            yield Clip(frames, actions, name=f"crafter-{seed}", fps=10.0, state=state)

    return Recorded(list(clips()))


def test_recordings_give_back_their_own_rates(source: Recorded) -> None:
    hud, tiles = HudReader.from_game(), TileReader()
    found = chances.asked(source, 3)  # type: ignore[arg-type]
    assert len(found["cow_moves"]) > 10 and len(found["sapling"]) > 2
    cows = stack(found["cow_moves"], 3)
    rate, _, kept, tries = chances.figures("cow_moves", cows, cows.real, hud, tiles)
    assert 0.05 < rate < 0.9 and kept > 0.8 and tries > 10
    still = cows.last[:, None]  # nobody moves, as long as the player stays
    assert chances.figures("cow_moves", cows, still, hud, tiles)[0] != rate
    gone = np.full_like(still, 127)
    assert chances.figures("cow_moves", cows, gone, hud, tiles)[2:] == [0.0, 0]
    picked = stack(found["sapling"], 3)
    gains = [clip.state["counts"][-1, 4] > clip.state["counts"][-2, 4] for clip in found["sapling"]]
    rate, _, tries = chances.figures("sapling", picked, picked.real, hud, tiles)
    assert tries <= len(gains) and abs(rate * tries - sum(gains)) <= 1


def test_a_sleeper_whose_energy_rises_is_counted() -> None:
    def look(energy: int, asleep: bool = True) -> Look:
        counts = np.full(16, 5)
        counts[COUNTS.index("energy")] = energy
        return Look(counts, np.full((9, 7), NUMBER["grass"]), (0, 1), asleep)

    for before, after, asleep, wanted in (
        (5, 6, True, (1, 1)), (5, 5, True, (0, 1)), (9, 9, True, (0, 0)), (5, 6, False, (0, 0)),
    ):  # fmt: skip
        looks = [look(before, asleep), look(after, asleep)]
        assert chances.counted(looks, [0, 0])["wakes_up"] == wanted
