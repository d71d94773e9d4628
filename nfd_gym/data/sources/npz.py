"""npz shards: one clip per file.

frames uint8 (T, H, W, 3); actions, one row per frame or one less (chosen on frame i, as Gymnasium
records them; with `aligned` = 1 they produced frame i); optional rewards, fps, codec (JSON text).
Whole-number actions (T,) become Discrete, real ones (T, A) Continuous within their measured range,
unless a codec is given. Opening reads the actions and the headers of the frames, not the frames.
"""

import json
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from nfd_gym.actions import ActionCodec, ActionError, Continuous, Discrete, codec_from_json
from nfd_gym.data.clip import Clip, DataError
from nfd_gym.data.codecs import fitting
from nfd_gym.data.sources.whole import WholeClips


class NpzSource(WholeClips):
    """Every NAME.npz of a folder, or one file."""

    def __init__(self, path: Path, codec: ActionCodec | None = None) -> None:
        super().__init__(path)
        files = sorted(self.path.glob("*.npz")) if self.path.is_dir() else [self.path]
        if not files:
            raise DataError(f"{path}: no .npz files in this folder.")
        self.files = files
        self.names = [file.stem for file in files]
        first = read_npz(files[0], frames=False)
        self.fps = float(first.get("fps", 20.0))
        self.size = (first["shape"][1], first["shape"][2])
        self.codec, self.lengths = self._survey(first, codec)

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

    def _survey(
        self, first: dict[str, Any], codec: ActionCodec | None
    ) -> tuple[ActionCodec, list[int]]:
        """The codec that fits every file and the length of each."""
        lengths, lows, highs = [], [], []
        for file in self.files:
            data = read_npz(file, frames=False)
            if data["shape"][1:3] != self.size:
                raise DataError(f"{file}: frames of another size than in {self.files[0].name}.")
            if data["actions"].shape[1:] != first["actions"].shape[1:]:
                raise DataError(f"{file}: actions of another width than in {self.files[0].name}.")
            if str(data.get("codec")) != str(first.get("codec")):
                raise DataError(f"{file}: another codec than in {self.files[0].name}.")
            lengths.append(data["shape"][0])
            lows.append(data["actions"].min(axis=0))
            highs.append(data["actions"].max(axis=0))
        if "codec" in first:
            return codec_from_json(json.loads(str(first["codec"]))), lengths
        low, high = np.min(lows, axis=0), np.max(highs, axis=0)
        if first["actions"].dtype.kind in "iu" and first["actions"].ndim == 1:
            return fitting(Discrete(max(0, int(high)) + 1), codec), lengths
        high = np.where(high > low, high, low + 1)
        return fitting(Continuous(len(low), low.tolist(), high.tolist()), codec), lengths


def read_npz(path: Path, frames: bool = True) -> dict[str, Any]:
    """The arrays of one shard and "shape", that of its frames; never unpickles anything.

    With frames=False their pixels are left in the file.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            wanted = [name for name in file.files if frames or name != "frames"]
            data: dict[str, Any] = {name: file[name] for name in wanted}
        shape, dtype = _frames_header(path)
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise DataError(
            f"{path}: cannot be read as npz ({error}); it is damaged or holds pickled objects, "
            "write it again with np.savez_compressed(frames=..., actions=...)."
        ) from error
    if shape is None or "actions" not in data:
        raise DataError(f"{path}: needs frames and actions, holds {sorted(data)}.")
    if dtype != np.uint8 or len(shape) != 4 or shape[-1] != 3 or not shape[0]:
        raise DataError(f"{path}: frames must be uint8 (T, H, W, 3), got {dtype} {shape}.")
    actions = data["actions"]
    if actions.ndim not in (1, 2) or len(actions) not in (shape[0], shape[0] - 1):
        raise DataError(f"{path}: {shape[0]} frames but actions of shape {actions.shape}.")
    if actions.dtype.kind not in "iuf" or not np.isfinite(actions).all():
        bad = (
            0 if actions.dtype.kind not in "iuf" else int(np.argwhere(~np.isfinite(actions))[0][0])
        )
        raise DataError(f"{path}:{bad}: the action is not a finite number.")
    return {**data, "shape": shape}


def _frames_header(path: Path) -> tuple[tuple[int, ...] | None, Any]:
    """(shape, dtype) of the array "frames", from its header; (None, None) without one."""
    with zipfile.ZipFile(path) as archive:
        if "frames.npy" not in archive.namelist():
            return None, None
        with archive.open("frames.npy") as member:
            version = np.lib.format.read_magic(member)
            if version == (1, 0):
                shape, _, dtype = np.lib.format.read_array_header_1_0(member)
            else:
                shape, _, dtype = np.lib.format.read_array_header_2_0(member)
            if dtype.hasobject:
                raise ValueError("frames are pickled objects")
            return tuple(shape), dtype
