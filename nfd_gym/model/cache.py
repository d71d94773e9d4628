"""FrameCache: keys and values of the last frames, per lane, in a ring that never grows.

Keys are stored before rotation, so positions are counted from the window's end and a rollout never
runs out of them. `spare` extra slots make `truncate` (undo) exact: what they hold has left the
window but not the ring.
"""

import torch
from torch import Tensor

from nfd_gym.errors import UsageError


class FrameCache:
    """(layers, B, slots, N, heads, d) keys and values; lanes move together, `valid` counts each."""

    def __init__(
        self,
        layers: int,
        lanes: int,
        window: int,
        tokens: int,
        heads: int,
        head_dim: int,
        spare: int = 0,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
    ) -> None:
        shape = (layers, lanes, window + spare, tokens, heads, head_dim)
        self.window, self.slots = window, window + spare
        self.keys = torch.zeros(shape, device=device, dtype=dtype)
        self.values = torch.zeros(shape, device=device, dtype=dtype)
        self.end = 0  # the slot that the next frame goes to
        self.valid = torch.zeros(lanes, dtype=torch.long)  # frames held per lane, at most `slots`

    @property
    def lanes(self) -> int:
        return self.keys.shape[1]

    @property
    def length(self) -> int:
        """Frames of context that the fullest lane has, at most the window."""
        return min(self.window, int(self.valid.max()) if len(self.valid) else 0)

    def past(self, layer: int) -> tuple[Tensor, Tensor]:
        """Keys and values of the last `length` frames, oldest first: (B, length, N, heads, d)."""
        order = self._order(self.length)
        if len(order) and order[-1] - order[0] == len(order) - 1:  # not wrapped: a view, no copy
            part = slice(order[0], order[-1] + 1)
            return self.keys[layer, :, part], self.values[layer, :, part]
        return self.keys[layer, :, order], self.values[layer, :, order]

    def mask(self) -> Tensor | None:
        """(B, length) True where a lane has that frame; None when all lanes have all."""
        length = self.length
        if bool((self.valid >= length).all()):
            return None
        age = torch.arange(length, 0, -1)
        return (age[None] <= self.valid[:, None]).to(self.keys.device)

    def append(self, keys: Tensor, values: Tensor) -> None:
        """Take (layers, B, T, N, heads, d) of T new frames; the oldest fall out."""
        if not self.slots:  # no block looks back
            return
        for i in range(keys.shape[2]):
            self.keys[:, :, self.end] = keys[:, :, i]
            self.values[:, :, self.end] = values[:, :, i]
            self.end = (self.end + 1) % self.slots
        self.valid = (self.valid + keys.shape[2]).clamp_max(self.slots)

    def truncate(self, frames: int) -> None:
        """Forget the last `frames` frames: a pointer moves back. Exact up to `spare` frames."""
        if frames > self.slots:
            raise UsageError(f"cannot forget {frames} frames, the cache holds {self.slots}")
        self.end = (self.end - frames) % self.slots
        self.valid = (self.valid - frames).clamp_min(0)

    def reset(self, lanes: Tensor | None = None) -> None:
        """Forget everything, in all lanes or where the boolean mask `lanes` (B,) says."""
        if lanes is None:
            self.valid.zero_()
        else:
            self.valid[lanes.cpu()] = 0

    def put(self, lane: int, other: "FrameCache", source: int = 0) -> None:
        """Replace one lane by a lane of another cache (a world primed beside the running ones)."""
        count = min(int(other.valid[source]), self.slots)
        if count:
            here, there = self._order(count), other._order(count)
            self.keys[:, lane, here] = other.keys[:, source, there]
            self.values[:, lane, here] = other.values[:, source, there]
        self.valid[lane] = count

    def beside(self, lanes: int) -> "FrameCache":
        """An empty cache of the same shape for some lanes, without spare slots."""
        layers, _, _, tokens, heads, width = self.keys.shape
        return FrameCache(
            layers, lanes, self.window, tokens, heads, width, 0, self.keys.device, self.keys.dtype
        )

    def clone(self) -> "FrameCache":
        copy = object.__new__(FrameCache)
        copy.window, copy.slots, copy.end = self.window, self.slots, self.end
        copy.keys, copy.values, copy.valid = (
            self.keys.clone(),
            self.values.clone(),
            self.valid.clone(),
        )
        return copy

    def _order(self, count: int) -> list[int]:
        """Slots of the last `count` frames, oldest first."""
        return [(self.end - count + i) % self.slots for i in range(count)]
