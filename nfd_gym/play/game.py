"""The game being played: a stage, its players and its recorder, advanced one tick at a time.

It knows no display and no thread but the one that calls `tick`; commands may come from any thread.
"""

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from nfd_gym.play.clock import Spread
from nfd_gym.play.inputs import Sample
from nfd_gym.play.players import Player
from nfd_gym.play.recorder import Recorder
from nfd_gym.play.stage import CannotError, Saved, Stage, Twin, View
from nfd_gym.play.still import save_still

TOAST_S = 3.0
CHART_TICKS = 5  # the map is drawn anew so often
LINE, DARK = 4, 13  # between picture and map: pixels, grey level
UNDO_TICKS = 20  # per press; a world may remember less


@dataclass(frozen=True)
class Shown:
    """What a viewer shows: the picture, the figures of the HUD, and which inputs it answers."""

    number: int  # counts every published picture
    frame: np.ndarray
    facts: dict[str, Any]
    since: float | None = None
    stamp: float | None = None


class Game:
    """Play, command by command and tick by tick.

    `most_stills` and `most_frames` bound what players may write to disk; None is no bound.
    """

    def __init__(
        self,
        stage: Stage | Twin,
        players: list[Player],
        *,
        folder: Path,
        seed: int = 0,
        most_stills: int | None = None,
        most_frames: int | None = None,
    ) -> None:
        self.twin = stage if isinstance(stage, Twin) else None
        self._single = stage if isinstance(stage, Stage) else None
        self.players = players
        self.player = players[0]
        self.folder = folder
        self.seed = seed
        self.most_stills, self.most_frames = most_stills, most_frames
        self.stills = 0  # screenshots taken
        self.recorded = 0  # frames of finished recordings
        self.recorder: Recorder | None = None
        self.saved: Saved | None = None
        self.paused = False
        self.single_step = False
        self.toast = ""
        self.toast_until = 0.0
        self.number = 0
        self.score = 0.0
        self.tick_ms = Spread()
        self.commands: deque[str] = deque(maxlen=32)  # a held-down key cannot pile up more
        self.does: dict[str, Callable[[], None]] = {
            "new place": self._new_place,
            "pause": self._pause,
            "single step": self._single_step,
            "save": self._save,
            "load": self._load,
            "undo": self._undo,
            "player": self._next_player,
            "fewer steps": lambda: self._steps(-1),
            "more steps": lambda: self._steps(+1),
            "screenshot": self._screenshot,
            "record": self._record,
            "switch": self._switch,
            "map": self._map,
        }
        self.chart: np.ndarray | None = None  # the remembered map, shown beside the picture
        self.view = self.stage.reset(seed)

    @property
    def stage(self) -> Stage:
        """The env in front of the player."""
        if self.twin is not None:
            return self.twin.active
        assert self._single is not None
        return self._single

    def command(self, name: str) -> None:
        """Ask for something at the next tick; names are those of the key bindings."""
        if name in self.does:
            self.commands.append(name)

    def tick(self, sample: Sample) -> Shown:
        """Run the queued commands, then step the world with the inputs of `sample`."""
        while self.commands:
            try:
                self.does[self.commands.popleft()]()
            except CannotError as error:
                self.say(str(error))
        if not self.paused or self.single_step:
            self.single_step = False
            self._advance(sample)
        return self.shown(sample)

    def shown(self, sample: Sample | None = None) -> Shown:
        """The current picture and figures, as a viewer takes them."""
        self.number += 1
        sample = sample or Sample()
        frame = self.view.frame if self.chart is None else beside(self.view.frame, self.chart)
        return Shown(self.number, frame, self.facts(), sample.since, sample.stamp)

    def facts(self) -> dict[str, Any]:
        """The figures behind the HUD; only what the env reported, None where it did not."""
        info, tick = self.view.info, self.tick_ms.recent_at(50, 99)
        return {
            "world": self.stage.title,
            "side": self.stage.side,
            "twin": self.twin is not None,
            "player": self.player.name,
            "paused": self.paused,
            "recording": self.recorder.frames if self.recorder else None,
            "toast": self.toast if time.monotonic() < self.toast_until else "",
            "seed": self.stage.seed,
            "score": self.score,
            "tick_ms": tick,
            "size": [self.view.frame.shape[1], self.view.frame.shape[0]],
            "steps": self.stage.steps,
            "rate": self.stage.rate,
            **world_facts(info),
        }

    def say(self, text: str) -> None:
        """Show a line to the player for a few seconds."""
        self.toast, self.toast_until = text, time.monotonic() + TOAST_S

    def close(self) -> None:
        """Finish the recording and close the envs. Safe to call twice."""
        self._stop_recording()
        for stage in (self.twin.real, self.twin.dream) if self.twin else (self.stage,):
            stage.close()

    def _advance(self, sample: Sample) -> None:
        vector = self.player.vector(sample, self.view.frame)
        start = time.perf_counter()
        self.view = self.stage.step(vector)
        self.tick_ms.add(1e3 * (time.perf_counter() - start))
        self.score += self.view.reward
        if self.chart is not None and self.number % CHART_TICKS == 0:
            self.chart = self.stage.map()
        if self.recorder:
            self.recorder.add(vector, self.view)
            if self._full():
                self._stop_recording()
        if self.view.ended:
            self.say(f"the episode ended with a reward of {self.score:g}")
            self._new_place()

    def _arrive(self, view: View) -> None:
        """A cut: the picture did not come from the last one by an action."""
        self.view = view
        if self.chart is not None:
            self.chart = self.stage.map()
        if self.recorder:
            self.recorder.cut(self.stage, view)

    def _new_place(self) -> None:
        self.seed += 1
        self.score = 0.0
        self._arrive(self.stage.reset(self.seed))
        self.say(f"a new place, seed {self.seed}")

    def _pause(self) -> None:
        self.paused = not self.paused

    def _single_step(self) -> None:
        self.paused = self.single_step = True

    def _save(self) -> None:
        self.saved = self.stage.save()
        self.say(f"saved, {len(self.saved.state) / 1e6:.1f} MB")

    def _load(self) -> None:
        if self.saved is None:
            raise CannotError("nothing is saved yet")
        self._arrive(self.stage.load(self.saved))
        self.say("loaded")

    def _undo(self) -> None:
        view, ticks = self.stage.undo(UNDO_TICKS)
        self._arrive(view)
        self.say(f"{ticks / self.stage.rate:g} s back")

    def _next_player(self) -> None:
        self.player = self.players[(self.players.index(self.player) + 1) % len(self.players)]
        self.say(f"{self.player.name} plays")

    def _steps(self, by: int) -> None:
        self._arrive(self.stage.change_steps(by))
        self.say(f"{self.stage.steps} denoising steps per frame")

    def _screenshot(self) -> None:
        if self.most_stills is not None and self.stills >= self.most_stills:
            raise CannotError(f"{self.stills} screenshots are the most; start play again for more")
        self.stills += 1
        self.say(f"screenshot {save_still(self.view.frame, self.folder)}")

    def _record(self) -> None:
        if self.recorder:
            self._stop_recording()
        elif self._full():
            raise CannotError(f"{self.recorded} recorded frames are the most; start play again")
        else:
            name = time.strftime("play-%Y%m%d-%H%M%S")
            self.recorder = Recorder(self.folder, self.stage, self.view, name)
            self.say(f"recording into {self.recorder.folder}")

    def _stop_recording(self) -> None:
        if self.recorder:
            recorder, self.recorder = self.recorder, None
            recorder.close()
            self.recorded += recorder.frames
            self.say(f"recorded {recorder.frames} frames into {recorder.folder}")

    def _full(self) -> bool:
        frames = self.recorded + (self.recorder.frames if self.recorder else 0)
        return self.most_frames is not None and frames >= self.most_frames

    def _map(self) -> None:
        self.chart = self.stage.map() if self.chart is None else None

    def _switch(self) -> None:
        if self.twin is None:
            raise CannotError("there is no real game to switch to: start play with --twin")
        self.chart = None  # the real game has none
        self._arrive(self.twin.switch())
        self.say("the dream" if self.twin.active is self.twin.dream else "the real game")


def beside(frame: np.ndarray, chart: np.ndarray) -> np.ndarray:
    """A frame (H,W,3) with a map (h,w,3) on its right, made as high by whole pixels."""
    height, (rows, columns) = frame.shape[0], chart.shape[:2]
    width = max(1, round(columns * height / rows))
    y, x = np.arange(height) * rows // height, np.arange(width) * columns // width
    line = np.full((height, LINE, 3), DARK, np.uint8)
    return np.concatenate([frame, line, chart[y][:, x]], axis=1)


def world_facts(info: dict[str, Any]) -> dict[str, Any]:
    """The part of the figures that the env reports in `info`."""
    timings = info.get("timings") or {}
    return {
        "ms": {name: float(value) for name, value in timings.items()},
        "speculation": info.get("speculation"),
        "drift": info.get("drift"),
    }
