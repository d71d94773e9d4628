"""The recorder keeps whole clips with depth and pose, and continues where it stopped."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nfd_gym.data.sources import open_source
from nfd_gym.errors import UsageError
from nfd_gym.games.luanti import recorder
from nfd_gym.games.luanti.gate import GameDied
from nfd_gym.games.luanti.probes import PROBES
from nfd_gym.games.luanti.recorder import Recorder, Recording, mix_plans

SIZE = (32, 24)


class FakeWorld:
    """Moves 0.2 m per tick and turns as told; the picture's first pixels count the ticks. `fails`
    are seeds whose game dies in its first step."""

    fails: tuple[int, ...] = ()

    def __init__(self, size: tuple[int, int], preset: str, depth: bool) -> None:
        assert (size, preset, depth) == (SIZE, "minerl", True)

    def reset(self, seed: int, options: Any) -> tuple[np.ndarray, dict[str, Any]]:
        self.tick, self.yaw, self.seed = 0, 0.0, seed
        return self._now()

    def step(self, action: dict[str, Any]) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        if self.seed in self.fails:
            raise GameDied("the game has ended")
        self.tick += 1
        self.yaw += float(action["camera"][1])
        frame, info = self._now()
        return frame, 0.0, False, False, info

    def _now(self) -> tuple[np.ndarray, dict[str, Any]]:
        frame = np.full((24, 32, 3), 90, np.uint8)
        frame[:8, :8] = self.tick % 200
        around = {"kinds": "f" * 8, "distances": [7] * 8, "pointed": "", "reach": 9, "trunk": None}
        places = [{"type": "place", "node": "island:brick", "pos": [0, 1, 2]}]
        info = {
            "position": (0.2 * self.tick, 9.0, 0.0), "yaw": self.yaw, "pitch": 5.0,
            "eye": (0.2 * self.tick, 10.6, 0.0, self.yaw, 5.0), "biome": "island",
            "depth": np.full((24, 32), self.tick, np.uint16), "on_ground": True,
            "in_liquid": False, "hotbar": 0, "surroundings": around,
            "events": places if self.tick % 100 == 99 else [],
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
    return World


def record(folder: Path, frames: int, workers: int = 1) -> Recorder:
    hours = frames / recorder.TICKS_PER_HOUR
    made = Recorder(Recording(out=folder, hours=hours, workers=workers, size=SIZE))
    made.run()
    return made


def names(count: int) -> list[str]:
    return [plan.name for _, plan in zip(range(count), mix_plans(1), strict=False)]


def test_frames_depth_poses_and_events_belong_together(tmp_path: Path) -> None:
    record(tmp_path, 300)
    source = open_source(tmp_path)
    clip = source.read(0)
    assert len(clip) == 300 and source.names == names(1)
    assert clip.depth is not None and clip.pose is not None
    assert np.array_equal(clip.depth[:, 0, 0], np.arange(300))
    turns = source.codec.rotation(clip.actions)[1]  # type: ignore[attr-defined]
    assert np.allclose(np.cumsum(turns), clip.pose[:, 3], atol=0.01)
    assert np.allclose(np.diff(clip.pose[:, 0]), 0.2, atol=2e-3)
    assert [(event.frame, event.name, event.pos) for event in clip.events] == [
        (tick, "island:brick", (0.0, 1.0, 2.0)) for tick in (99, 199, 299)
    ]
    counter = clip.frames[:, 2, 2, 0].astype(int)
    assert np.abs(counter - np.arange(300) % 200).max() < 12  # lossy video, right order


def test_clips_are_as_long_as_asked(tmp_path: Path) -> None:
    hours = 130 / recorder.TICKS_PER_HOUR
    Recorder(Recording(out=tmp_path, hours=hours, size=SIZE, length=70)).run()
    assert open_source(tmp_path).lengths == [70, 70]
    with pytest.raises(UsageError, match="at least 2, got 1"):
        Recording(out=tmp_path, hours=hours, length=1)


def test_it_continues_and_never_records_a_clip_twice(tmp_path: Path) -> None:
    record(tmp_path, 300)
    first = (tmp_path / f"{names(1)[0]}.jsonl").read_bytes()
    again = record(tmp_path, 900)
    assert sum(again.steps) == 2 * 299
    assert list(again.writer.entries) == names(3)
    assert (tmp_path / f"{names(1)[0]}.jsonl").read_bytes() == first
    assert sum(record(tmp_path, 900).steps) == 0


def test_workers_share_a_store(tmp_path: Path) -> None:
    made = record(tmp_path, 1200, workers=2)
    assert len(made.writer.entries) >= 4 and all(made.steps)
    assert len(open_source(tmp_path).names) == len(made.writer.entries)


def test_a_lost_clip_costs_only_itself_and_is_made_up_for(
    tmp_path: Path, fake: type[FakeWorld]
) -> None:
    fake.fails = (1, 2)
    made = record(tmp_path, 300)
    assert list(made.writer.entries) == names(3)[2:] and len(made.errors) == 2
    fake.fails = ()
    assert list(record(tmp_path, 600).writer.entries) == [names(3)[2], names(1)[0]]


def test_a_game_that_never_starts_ends_in_an_error(tmp_path: Path, fake: type[FakeWorld]) -> None:
    fake.fails = tuple(range(1, 20))
    with pytest.raises(RuntimeError, match="not complete: island-0000003"):
        record(tmp_path, 300)


def test_a_full_disk_stops_all_workers_and_keeps_what_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record(tmp_path, 300)
    original = recorder._add

    def full(file: Any, frame: Any, action: Any, info: dict[str, Any]) -> None:
        if info["eye"][0] > 20:
            raise OSError(28, "No space left on device")
        original(file, frame, action, info)

    monkeypatch.setattr(recorder, "_add", full)
    with pytest.raises(RuntimeError, match="No space left on device"):
        record(tmp_path, 900, workers=2)
    assert open_source(tmp_path).names == names(1)
    assert not list(tmp_path.glob(".*"))


def test_probes_are_recorded_once_each(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    few = {name: PROBES[name] for name in ("turn-45", "jump")}
    monkeypatch.setattr(recorder, "PROBES", few)
    for _ in range(2):
        Recorder(Recording(out=tmp_path, probes=True, size=SIZE)).run()
    source = open_source(tmp_path)
    assert source.names == ["probe-turn-45", "probe-jump"]
    assert list(source.lengths) == [probe.length for probe in few.values()]


def test_a_missing_probe_is_told(
    tmp_path: Path, fake: type[FakeWorld], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recorder, "PROBES", {name: PROBES[name] for name in ("jump", "fall")})
    fake.fails = (1,)  # the second
    with pytest.raises(RuntimeError, match="not complete: probe-fall"):
        Recorder(Recording(out=tmp_path, probes=True, size=SIZE)).run()


def test_settings_are_checked(tmp_path: Path) -> None:
    for bad in ({"hours": 0.0}, {"hours": 1.0, "workers": 0}, {"hours": 1.0, "seed": 0}):
        with pytest.raises(ValueError, match="must be above 0"):
            Recording(out=tmp_path, **bad)  # type: ignore[arg-type]
