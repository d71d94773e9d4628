"""Shards of records on disk, and batches drawn from them at random without reading pictures."""

import json
import shutil
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from nfd_gym.errors import NfdError
from nfd_gym.train.views import Legs, Record

PER_SHARD = 2048


class ShardWriter:
    """Collects records and body ticks; every full shard is a folder written at once."""

    def __init__(self, folder: Path, name: str) -> None:
        self.folder, self.name, self.number = folder, name, 0
        self.records: list[Record] = []
        self.legs: list[Legs] = []
        folder.mkdir(parents=True, exist_ok=True)

    def add(self, record: Record | None, legs: Legs) -> None:
        self.legs.append(legs)
        if record is not None:
            self.records.append(record)
            if len(self.records) == PER_SHARD:
                self.flush()

    def flush(self) -> None:
        """Writes what was collected."""
        if not self.records:
            return
        place = self.folder / f"{self.name}-{self.number:03d}"
        hidden = place.with_name(f".{place.name}")
        hidden.mkdir(exist_ok=True)
        for kind, rows in (("view", self.records), ("legs", self.legs)):
            for field, *_ in zip(type(rows[0])._fields, strict=False):
                values = np.stack([getattr(row, field) for row in rows])
                np.save(hidden / f"{kind}.{field}.npy", values)
        (hidden / "count.json").write_text(json.dumps(len(self.records)))
        if place.exists():  # of a run that was killed before it noted this shard; the same records
            shutil.rmtree(place)
        hidden.rename(place)
        self.records, self.legs, self.number = [], [], self.number + 1


class ShardError(NfdError, ValueError):
    """Records that are missing."""


@dataclass(frozen=True)
class ViewBatch:
    code: Tensor  # (B,N,C)
    masks: Tensor  # (B,N,16*(1+E)) in 0..1
    target: Tensor  # (B,N,C)
    pose: Tensor  # (B,5)
    control: Tensor  # (B,A+K)

    def __len__(self) -> int:
        return len(self.pose)

    def to(self, device: torch.device) -> "ViewBatch":
        return ViewBatch(**{name: value.to(device) for name, value in vars(self).items()})


class ViewLoader:
    """Endless random batches of records in shard folders; batch n depends on (seed, n) alone."""

    def __init__(
        self, folders: list[Path], batch: int, seed: int = 0, first: int = 0, rank: int = 0,
        ranks: int = 1,
    ) -> None:  # fmt: skip
        self.fields = {
            field: [
                np.load(f / f"view.{field}.npy", mmap_mode="r", allow_pickle=False) for f in folders
            ]
            for field in Record._fields
        }
        counts = np.array([len(x) for x in self.fields["pose"]])
        if not len(counts) or not counts.sum():
            raise ShardError("there are no records to train on; run the stage `views` first.")
        self.ends = np.cumsum(counts)
        self.batch, self.seed, self.number, self.rank, self.ranks = batch, seed, first, rank, ranks

    def __len__(self) -> int:
        return int(self.ends[-1])

    def __iter__(self) -> Generator[ViewBatch]:
        while True:
            address = self.number * self.ranks + self.rank
            random = np.random.default_rng(np.random.SeedSequence([self.seed, address]))
            self.number += 1
            yield self.rows(np.sort(random.integers(len(self), size=self.batch)))

    def rows(self, index: np.ndarray) -> ViewBatch:
        """Records by global number."""
        shard = np.searchsorted(self.ends, index, side="right")
        row = index - np.concatenate([[0], self.ends])[shard]
        values = {
            field: torch.from_numpy(
                np.stack([arrays[s][r] for s, r in zip(shard, row, strict=True)])
            ).float()
            for field, arrays in self.fields.items()
        }
        values["masks"] = values["masks"] / 255.0
        return ViewBatch(**values)
