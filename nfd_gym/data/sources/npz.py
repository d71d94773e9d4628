"""npz shards: one clip per file.

frames uint8 (T, H, W, 3); actions, one row per frame or one less (chosen on frame i, as Gymnasium
records them; with `aligned` = 1 they produced frame i); optional rewards, fps, codec (JSON text).
Whole-number actions (T,) become Discrete, real ones (T, A) Continuous within their measured range.
"""

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from nfd_gym.actions import ActionCodec, ActionError, Continuous, Discrete, codec_from_json
from nfd_gym.data.clip import Clip, DataError
from nfd_gym.data.sources.whole import WholeClips


class NpzSource(WholeClips):
    """Every NAME.npz of a folder, or one file."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        files = sorted(self.path.glob("*.npz")) if self.path.is_dir() else [self.path]
        if not files:
            raise DataError(f"{path}: no .npz files in this folder.")
        self.files = files
        self.names = [file.stem for file in files]
        first = read_npz(files[0])
        self.fps = float(first.get("fps", 20.0))
        self.size = (first["frames"].shape[1], first["frames"].shape[2])
        self.codec, self.lengths = self._survey(first)

    def load(self, index: int) -> Clip:
        data = read_npz(self.files[index])
        frames, actions = data["frames"], data["actions"]
        rewards = None if "rewards" not in data else data["rewards"].astype(np.float32)
        own = "codec" in data and actions.ndim == 2 and actions.dtype == np.float32
        try:
            vectors = (
                actions if own else np.stack([self.codec.encode(action) for action in actions])
            )
        except ActionError as error:
            raise DataError(f"{self.files[index]}: {error}") from error
        rest: dict[str, Any] = {"name": self.names[index], "fps": self.fps}
        if data.get("aligned", 0):
            return Clip(frames, vectors, rewards=rewards, **rest)
        noop = self.codec.encode(self.codec.noop())
        return Clip.align(frames, vectors, noop, rewards=rewards, **rest)

    def _survey(self, first: dict[str, Any]) -> tuple[ActionCodec, list[int]]:
        """The codec that fits every file and the length of each."""
        lengths, lows, highs = [], [], []
        for file in self.files:
            data = read_npz(file)
            if data["frames"].shape[1:3] != self.size:
                raise DataError(f"{file}: frames of another size than in {self.files[0].name}.")
            if data["actions"].shape[1:] != first["actions"].shape[1:]:
                raise DataError(f"{file}: actions of another width than in {self.files[0].name}.")
            lengths.append(len(data["frames"]))
            lows.append(data["actions"].min(axis=0))
            highs.append(data["actions"].max(axis=0))
        if "codec" in first:
            return codec_from_json(json.loads(str(first["codec"]))), lengths
        low, high = np.min(lows, axis=0), np.max(highs, axis=0)
        if first["actions"].dtype.kind in "iu" and first["actions"].ndim == 1:
            return Discrete(int(high) + 1), lengths
        high = np.where(high > low, high, low + 1)
        return Continuous(len(low), low.tolist(), high.tolist()), lengths


def read_npz(path: Path) -> dict[str, Any]:
    """The arrays of one shard, checked; never unpickles anything."""
    try:
        with np.load(path, allow_pickle=False) as file:
            data: dict[str, Any] = {name: file[name] for name in file.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise DataError(
            f"{path}: cannot be read as npz ({error}); it is damaged or holds pickled objects, "
            "write it again with np.savez_compressed(frames=..., actions=...)."
        ) from error
    if "frames" not in data or "actions" not in data:
        raise DataError(f"{path}: needs frames and actions, holds {sorted(data)}.")
    frames, actions = data["frames"], data["actions"]
    if frames.dtype != np.uint8 or frames.ndim != 4 or frames.shape[-1] != 3 or not len(frames):
        raise DataError(
            f"{path}: frames must be uint8 (T, H, W, 3), got {frames.dtype} {frames.shape}."
        )
    if actions.ndim not in (1, 2) or len(actions) not in (len(frames), len(frames) - 1):
        raise DataError(f"{path}: {len(frames)} frames but actions of shape {actions.shape}.")
    if actions.dtype.kind not in "iuf" or not np.isfinite(actions).all():
        bad = (
            0 if actions.dtype.kind not in "iuf" else int(np.argwhere(~np.isfinite(actions))[0][0])
        )
        raise DataError(f"{path}:{bad}: the action is not a finite number.")
    return data
