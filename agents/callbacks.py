"""What happens beside the learning: checkpoints, a clock, a progress bar, films of episodes."""

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.logger import TensorBoardOutputFormat

from agents.saving import save_agent
from nfd_gym.eval.video import write_gif, write_mp4
from nfd_gym.train.distributed import Team, agree

LAST = "last.zip"


class Keep(BaseCallback):
    """Checkpoints: OUT/last.zip to resume from, OUT/agent-TICKS.zip every `every` ticks.

    `facts` is asked at each save, so that the file knows its own ticks and seconds.
    """

    def __init__(self, out: Path, every: int, facts: Callable[[], dict[str, Any]]) -> None:
        super().__init__()
        self.out, self.every, self.facts = out, every, facts
        self._next = every

    def _on_training_start(self) -> None:
        self._next = (self.facts()["ticks"] // self.every + 1) * self.every

    def _on_step(self) -> bool:
        return True

    def _on_rollout_end(self) -> None:
        """Between two updates: the model is whole."""
        facts = self.facts()
        if facts["ticks"] >= self._next:
            self._next = (facts["ticks"] // self.every + 1) * self.every
            save_agent(self.model, self.out / f"agent-{facts['ticks']:09d}.zip", facts)
            save_agent(self.model, self.out / LAST, facts)

    def _on_training_end(self) -> None:
        facts = self.facts()
        save_agent(self.model, self.out / f"agent-{facts['ticks']:09d}.zip", facts)
        save_agent(self.model, self.out / LAST, facts)


class Clock(BaseCallback):
    """Ends the training after `minutes`; all ranks at the same step. Also counts the seconds."""

    def __init__(self, minutes: float | None, team: Team = Team(), before_s: float = 0.0) -> None:  # noqa: B008
        super().__init__()
        self.minutes, self.team, self.before_s = minutes, team, before_s
        self._began, self._over = time.monotonic(), False

    @property
    def seconds(self) -> float:
        """Since the training began, earlier runs included."""
        return self.before_s + time.monotonic() - self._began

    def _on_training_start(self) -> None:
        self._began = time.monotonic()

    def _on_rollout_end(self) -> None:
        if self.minutes is not None:
            self._over = agree(self.seconds >= 60 * self.minutes, self.team)

    def _on_step(self) -> bool:
        return not self._over


class Progress(BaseCallback):
    """A progress bar on a terminal, in ticks of the world."""

    def __init__(self, total: int, ticks: Callable[[], int]) -> None:
        super().__init__()
        self.total, self.ticks = total, ticks

    def _on_training_start(self) -> None:
        from tqdm import tqdm

        self._bar = tqdm(
            total=self.total, initial=self.ticks(), unit="tick", disable=not sys.stderr.isatty()
        )

    def _on_step(self) -> bool:
        self._bar.update(self.ticks() - self._bar.n)
        return True

    def _on_rollout_end(self) -> None:
        episodes = [episode["r"] for episode in self.model.ep_info_buffer or ()]
        if episodes:
            self._bar.set_postfix(reward=f"{np.mean(episodes):.2f}")

    def _on_training_end(self) -> None:
        self._bar.close()


class Film(BaseCallback):
    """An episode of lane 0 as a film every `every` ticks: OUT/films/TICKS.mp4, and in TensorBoard.

    TensorBoard's own add_video needs moviepy to make a gif; ours comes from PyAV.
    """

    def __init__(self, out: Path, every: int, fps: float, ticks: Callable[[], int]) -> None:
        super().__init__()
        self.folder, self.every, self.fps, self.ticks = out / "films", every, fps, ticks
        self._next = 0
        self._frames: list[NDArray[np.uint8]] | None = None

    def _on_step(self) -> bool:
        ended = bool(self.locals["dones"][0])
        if ended and self._frames is not None:
            self._write(self.locals["infos"][0]["episode"]["r"])
            self._frames = None
        if ended and self._frames is None and self.ticks() >= self._next:
            self._next = self.ticks() + self.every
            self._frames = []
        if self._frames is not None:
            self._frames.append(np.array(self.training_env.get_images()[0]))
        return True

    def _write(self, reward: float) -> None:
        assert self._frames is not None
        self.folder.mkdir(parents=True, exist_ok=True)
        name = f"{self.ticks():09d}-reward-{reward:g}"
        film = np.stack(self._frames)
        write_mp4(self.folder / f"{name}.mp4", film, self.fps)
        boards = [o for o in self.logger.output_formats if isinstance(o, TensorBoardOutputFormat)]
        if boards:
            gif = self.folder / f"{name}.gif"
            write_gif(gif, film, self.fps)
            for board in boards:
                _add_gif(
                    board, "episode/imagined", gif.read_bytes(), film.shape, self.num_timesteps
                )
            gif.unlink()


def _add_gif(
    board: TensorBoardOutputFormat, tag: str, gif: bytes, shape: tuple[int, ...], step: int
) -> None:
    from tensorboard.compat.proto.summary_pb2 import Summary

    image = Summary.Image(height=shape[1], width=shape[2], colorspace=3, encoded_image_string=gif)
    board.writer.file_writer.add_summary(Summary(value=[Summary.Value(tag=tag, image=image)]), step)
