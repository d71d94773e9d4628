"""Minari 0.5 datasets (arrow or hdf5), read without importing minari."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from nfd_gym.actions import Continuous, Discrete
from nfd_gym.data.clip import Clip, DataError, Frames
from nfd_gym.data.sources.whole import WholeClips
from nfd_gym.data.video import decode_picture
from nfd_gym.extras import need

PICTURE_KEYS = ("pixels", "image", "rgb", "pov", "observation")


class MinariSource(WholeClips):
    """One dataset folder (it holds data/metadata.json). The observation must contain a picture."""

    def __init__(self, path: Path, fps: float = 20.0) -> None:
        super().__init__(path)
        self.data = self.path / "data" if (self.path / "data").is_dir() else self.path
        meta_path = self.data / "metadata.json"
        try:
            meta = json.loads(meta_path.read_text("utf-8"))
            self.format = str(meta["data_format"])
            observation = json.loads(meta["observation_space"])
            action = json.loads(meta["action_space"])
            episodes = range(int(meta["total_episodes"]))
        except (OSError, ValueError, KeyError) as error:
            raise DataError(
                f"{meta_path}: not the metadata of a Minari dataset ({error})."
            ) from error
        found = _find_picture(observation)
        if found is None:
            raise DataError(
                f"{meta_path}: the observations hold no uint8 (H, W, 3) picture; record the "
                "dataset with gymnasium.wrappers.AddRenderObservation."
            )
        self.keys, shape = found
        self.size = (int(shape[0]), int(shape[1]))
        self.codec = _codec(action, meta_path)
        self.fps = fps  # Minari does not record it
        self.names = [f"episode_{number:06d}" for number in episodes]
        self.lengths = [self._length(number) for number in episodes]

    def load(self, index: int) -> Clip:
        raw = self._arrow(index) if self.format == "arrow" else self._hdf5(index)
        frames = np.stack([self._picture(value) for value in raw["observations"]])
        steps = len(frames) - 1
        vectors = [self.codec.encode(action) for action in raw["actions"][:steps]]
        return Clip.align(
            frames,
            np.stack(vectors) if vectors else np.zeros((0, self.codec.width), np.float32),
            self.codec.encode(self.codec.noop()),
            rewards=np.asarray(raw["rewards"][:steps], np.float32),
            name=self.names[index],
            fps=self.fps,
        )

    def _picture(self, value: Any) -> Frames:
        # Pictures under 32 pixels and datasets with jpeg_encoding=False are stored as they are.
        plain = np.frombuffer(value, np.uint8) if isinstance(value, bytes) else np.asarray(value)
        if plain.size == np.prod(self.size) * 3:
            return plain.astype(np.uint8).reshape(*self.size, 3)
        return decode_picture(plain.astype(np.uint8).tobytes(), str(self.path))

    def _length(self, number: int) -> int:
        if self.format == "arrow":
            path = self.data / str(number) / "metadata.json"
            try:
                return int(json.loads(path.read_text("utf-8"))["total_steps"]) + 1
            except (OSError, ValueError, KeyError) as error:
                raise DataError(f"{path}: not the metadata of an episode ({error}).") from error
        with self._open_hdf5() as file:
            return int(file[f"episode_{number}"].attrs["total_steps"]) + 1

    def _arrow(self, number: int) -> dict[str, Any]:
        ipc = need("pyarrow.ipc", "data")
        columns: dict[str, list[Any]] = {"observations": [], "actions": [], "rewards": []}
        for path in sorted((self.data / str(number)).glob("*.arrow")):
            try:
                with ipc.open_file(str(path)) as file:
                    table = file.read_all()
            except (OSError, ValueError) as error:
                raise DataError(f"{path}: cannot be read ({error}); copy it again.") from error
            for name, values in columns.items():
                column = table.column(name)
                if name == "observations":
                    for key in self.keys:
                        column = column.combine_chunks().field(key)
                values.extend(column.to_pylist())
        return {
            name: values if name == "observations" else _rows(values)
            for name, values in columns.items()
        }

    def _hdf5(self, number: int) -> dict[str, Any]:
        with self._open_hdf5() as file:
            group = file[f"episode_{number}"]
            pictures = group["observations"]
            for key in self.keys:
                pictures = pictures[key]
            return {
                "observations": list(pictures[()]),
                "actions": group["actions"][()],
                "rewards": group["rewards"][()],
            }

    def _open_hdf5(self) -> Any:
        h5py = need("h5py", "data")
        try:
            return h5py.File(self.data / "main_data.hdf5", "r")
        except OSError as error:
            raise DataError(
                f"{self.data / 'main_data.hdf5'}: cannot be read ({error}); copy it again."
            ) from error


def _rows(values: list[Any]) -> np.ndarray:
    return np.array(values[:-1])  # Minari pads the last row of an arrow episode


def _find_picture(space: dict[str, Any]) -> tuple[tuple[str, ...], list[int]] | None:
    """Which part of the observation is the picture: a path of keys and its shape."""
    if space.get("type") == "Box" and space.get("dtype") == "uint8":
        shape = space["shape"]
        return ((), shape) if len(shape) == 3 and shape[-1] == 3 else None
    if space.get("type") == "Dict":
        # A likely name first: some datasets have several cameras.
        subspaces = sorted(space["subspaces"].items(), key=lambda item: item[0] not in PICTURE_KEYS)
        for name, subspace in subspaces:
            found = _find_picture(subspace)
            if found is not None:
                return (name, *found[0]), found[1]
    return None


def _codec(space: dict[str, Any], where: Path) -> Discrete | Continuous:
    if space.get("type") == "Discrete" and not space.get("start"):
        return Discrete(int(space["n"]))
    if space.get("type") == "Box" and len(space["shape"]) == 1:
        return Continuous(space["shape"][0], space["low"], space["high"])
    raise DataError(
        f"{where}: actions of type {space.get('type')} are not supported, only Discrete and Box."
    )
