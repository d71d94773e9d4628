"""The recorder keeps good footage only, whole clips only, and continues where it stopped."""

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nfd_gym.data.sources import open_source
from nfd_gym.games.luanti import recorder
from nfd_gym.games.luanti.gate import GameDied
from nfd_gym.games.luanti.recorder import Recorder, Recording, clip_name

SIZE = (32, 24)


class FakeWorld:
    """Moves 0.2 m per tick and turns as told; the picture's first pixel counts the ticks. From tick
    `dark_from` on it is night. `fails` worlds die in their first step."""

    dark_from: int | None = None
    fails: tuple[int, ...] = ()

    def __init__(self, size: tuple[int, int], preset: str, world_seed: int, **_: Any) -> None:
        assert (size, preset) == (SIZE, "minerl")
        self.number = world_seed

    def reset(self, seed: int) -> tuple[np.ndarray, dict[str, Any]]:
        self.tick, self.yaw = 0, 0.0
        return self._now()

    def step(self, action: dict[str, Any]) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        if self.number in self.fails:
            raise GameDied("the game has ended")
        self.tick += 1
        self.yaw += float(action["camera"][1])
        frame, info = self._now()
        return frame, 0.0, False, False, info

    def _now(self) -> tuple[np.ndarray, dict[str, Any]]:
        night = self.dark_from is not None and self.tick >= self.dark_from
        frame = np.zeros((24, 32, 3), np.uint8)
        if not night:
            frame[:, ::2] = 200
            frame[:8, :8] = self.tick % 200
        digs = [{"type": "dig", "node": "default:sand", "pos": [0, 0, 0]}]
        around = {"kinds": "f" * 8, "distances": [7] * 8, "pointed": "", "reach": 9}
        around["trunk"] = None
        info = {
            "position": (0.2 * self.tick, 9.0, 0.0), "yaw": self.yaw, "pitch": 5.0,
            "tick": self.tick, "biome": "desert", "light": 15,
            "on_ground": True, "in_liquid": False, "head_in_liquid": False,
            "hotbar": 0, "surroundings": around,
            "stats": {"mine_block:default:sand": (self.tick + 1) // 100},
            "events": digs if self.tick % 100 == 99 else [],
        }  # fmt: skip
        return frame, info

    def close(self) -> None:
        pass


@pytest.fixture(autouse=True)
def fake(monkeypatch: pytest.MonkeyPatch) -> type[FakeWorld]:
    class World(FakeWorld):
        pass

    monkeypatch.setattr(recorder, "LuantiEnv", World)
    monkeypatch.setattr(recorder, "LENGTHS", (300, 301))
    monkeypatch.setattr(recorder, "SHORTEST", 150)
    return World


def record(folder: Path, frames: int, workers: int = 1) -> Recorder:
    hours = frames / recorder.TICKS_PER_HOUR
    made = Recorder(Recording(out=folder, hours=hours, workers=workers, size=SIZE))
    made.run()
    return made


def test_rows_are_aligned_with_the_frames(tmp_path: Path) -> None:
    """Yaw is the sum of the turns that produced the frames so far, and each dig is in its frame."""
    record(tmp_path, 300)
    source = open_source(tmp_path)
    clip = source.read(0)
    assert len(clip) == 301 and source.names == [clip_name(1, 0)]
    turns = source.codec.rotation(clip.actions)[1]  # type: ignore[attr-defined]
    assert np.allclose(np.cumsum(turns), clip.state["yaw"], atol=0.01)
    assert np.allclose(np.diff(clip.state["xpos"]), 0.2, atol=2e-3)
    assert [event.frame for event in clip.events] == [99, 199, 299]
    counter = clip.frames[:, 2, 2, 0].astype(int)
    assert np.abs(counter - np.arange(301) % 200).max() < 12  # lossy video, right order


def test_a_bad_end_is_cut_and_a_bad_start_dropped(tmp_path: Path, fake: type[FakeWorld]) -> None:
    fake.dark_from = 200
    made = record(tmp_path / "a", 150)
    assert open_source(tmp_path / "a").lengths[0] == 199  # the dark frames and the one before
    assert made.writer.entries[clip_name(1, 0)]["ended"] == "dark"
    fake.dark_from = 100

    def give_up(self: Recorder) -> bool:
        return len(self.endings) >= 4

    original = Recorder.full
    Recorder.full = property(give_up)  # type: ignore[assignment, method-assign]
    try:
        made = record(tmp_path / "b", 150)
    finally:
        Recorder.full = original  # type: ignore[method-assign]
    assert made.endings == ["dark, dropped"] * 4 and not list((tmp_path / "b").glob("*.mp4"))


def test_it_continues_and_never_records_a_clip_twice(tmp_path: Path) -> None:
    record(tmp_path, 300)
    first = (tmp_path / f"{clip_name(1, 0)}.jsonl").read_bytes()
    again = record(tmp_path, 900)
    assert sum(again.steps) == 600
    names = [clip_name(1, clip) for clip in range(3)]
    assert list(again.writer.entries) == names
    assert (tmp_path / f"{names[0]}.jsonl").read_bytes() == first
    assert sum(record(tmp_path, 900).steps) == 0


def test_workers_share_a_store(tmp_path: Path) -> None:
    made = record(tmp_path, 1200, workers=2)
    assert len(made.writer.entries) >= 4 and all(made.steps)
    assert len(open_source(tmp_path).names) == len(made.writer.entries)


def test_a_lost_world_costs_only_itself(tmp_path: Path, fake: type[FakeWorld]) -> None:
    fake.fails = (1, 2)
    made = record(tmp_path, 300)
    assert list(made.writer.entries) == [clip_name(3, 0)] and len(made.errors) == 2


def test_a_game_that_never_starts_ends_in_an_error(tmp_path: Path, fake: type[FakeWorld]) -> None:
    fake.fails = tuple(range(1, 20))
    with pytest.raises(RuntimeError, match="not complete: world 3"):
        record(tmp_path, 300)


def test_settings_are_checked(tmp_path: Path) -> None:
    for bad in ({"hours": 0.0}, {"hours": 1.0, "workers": 0}, {"hours": 1.0, "seed": 0}):
        with pytest.raises(ValueError, match="must be above 0"):
            Recording(out=tmp_path, **bad)  # type: ignore[arg-type]


def test_names_never_repeat() -> None:
    names = [clip_name(*pair) for pair in itertools.product(range(1, 40), range(5))]
    assert len(set(names)) == len(names)
