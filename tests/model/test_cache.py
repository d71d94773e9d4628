"""FrameCache against a plain list of frames that never forgets."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from nfd_gym.model.cache import FrameCache

LAYERS, TOKENS, HEADS, DIM = 2, 3, 2, 4


def make_cache(lanes: int = 2, window: int = 4, spare: int = 0) -> FrameCache:
    return FrameCache(LAYERS, lanes, window, TOKENS, HEADS, DIM, spare)


def frames(seed: int, count: int, lanes: int = 2) -> tuple[Tensor, Tensor]:
    random = torch.Generator().manual_seed(seed)
    shape = (LAYERS, lanes, count, TOKENS, HEADS, DIM)
    return torch.randn(shape, generator=random), torch.randn(shape, generator=random)


def seen(cache: FrameCache, lane: int) -> Tensor:
    """What the lane may look at: (layers, 2, frames, ...) of its valid frames, oldest first."""
    mask = cache.mask()
    kept = torch.ones(cache.length, dtype=torch.bool) if mask is None else mask[lane]
    layers = [torch.stack([part[lane, kept] for part in cache.past(i)]) for i in range(LAYERS)]
    return torch.stack(layers)


class Plain:
    """The same as FrameCache, said with lists."""

    def __init__(self, lanes: int) -> None:
        self.lanes: list[list[Tensor]] = [[] for _ in range(lanes)]

    def append(self, keys: Tensor, values: Tensor) -> None:
        for lane, held in enumerate(self.lanes):
            for i in range(keys.shape[2]):
                held.append(torch.stack([keys[:, lane, i], values[:, lane, i]], dim=1))

    def seen(self, lane: int, window: int) -> Tensor:
        held = self.lanes[lane][-window:]
        empty = torch.zeros(LAYERS, 2, 0, TOKENS, HEADS, DIM)
        return torch.stack(held, dim=2) if held else empty


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("append"), st.integers(1, 6)),
        st.tuples(st.just("truncate"), st.integers(0, 3)),
        st.tuples(st.just("reset"), st.integers(0, 3)),
        st.tuples(st.just("put"), st.integers(0, 5)),
    ),
    max_size=12,
)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(STEPS, st.integers(1, 5))
def test_ring_equals_a_list_that_never_wraps(steps: list[tuple[str, int]], window: int) -> None:
    """Any order of appends, undos within `spare`, resets of some lanes and frames put in."""
    spare = 3
    cache, plain = make_cache(2, window, spare), Plain(2)
    undoable = 0  # frames appended since the last truncate beyond which the ring may have lost some
    for number, (what, n) in enumerate(steps):
        if what == "append":
            new = frames(number, n)
            cache.append(*new)
            plain.append(*new)
            undoable = min(spare, undoable + n)
        elif what == "truncate":
            n = min(n, undoable)
            undoable -= n
            cache.truncate(n)
            plain.lanes = [held[: max(0, len(held) - n)] for held in plain.lanes]
        elif what == "reset":
            mask = torch.tensor([bool(n & 1), bool(n & 2)])
            cache.reset(None if n == 3 else mask)
            plain.lanes = [[] if mask[i] else held for i, held in enumerate(plain.lanes)]
        else:
            other, kept = make_cache(3, window, n % 3), Plain(3)
            new = frames(number + 1000, n, 3)
            other.append(*new)
            kept.append(*new)
            cache.put(n % 2, other, source=n % 3)
            plain.lanes[n % 2] = kept.lanes[n % 3][-min(n, other.slots) :] if n else []
            undoable = 0  # what was put in reaches back only as far as it was given
        for lane in range(2):
            assert torch.equal(seen(cache, lane), plain.seen(lane, window)), (number, what, n)


def test_undo_within_the_spare_frames_is_exact() -> None:
    for done in (5, 9, 30):
        cache, expected = make_cache(spare=3), make_cache(spare=3)
        first, rest = frames(0, done), frames(1, 3)
        cache.append(*first)
        expected.append(*first)
        cache.append(*rest)
        cache.truncate(3)
        for lane in range(2):
            assert torch.equal(seen(cache, lane), seen(expected, lane))


def test_a_lane_is_put_in_from_a_ring_that_has_wrapped() -> None:
    for done in range(1, 10):
        beside, cache = make_cache(3, spare=1), make_cache(spare=2)
        beside.append(*frames(0, done, 3))
        cache.append(*frames(1, 5))
        kept = seen(cache, 0)
        cache.put(1, beside, source=2)
        assert torch.equal(seen(cache, 1), seen(beside, 2)), done
        assert torch.equal(seen(cache, 0), kept), "the other lane stays"


def test_undo_of_more_than_the_ring_holds_is_refused() -> None:
    with pytest.raises(ValueError, match="cannot forget 8 frames"):
        make_cache(spare=3).truncate(8)


def test_a_clone_is_its_own() -> None:
    cache = make_cache()
    cache.append(*frames(0, 3))
    copy = cache.clone()
    before = seen(copy, 0).clone()
    cache.append(*frames(1, 5))
    cache.reset()
    assert torch.equal(seen(copy, 0), before)
    copy.append(*frames(2, 1))
    assert cache.length == 0 and copy.length == 4


def test_memory_does_not_grow() -> None:
    cache = make_cache()
    where = cache.keys.data_ptr(), cache.values.data_ptr()
    for i in range(50):
        cache.append(*frames(i, 1))
    assert (cache.keys.data_ptr(), cache.values.data_ptr()) == where
    assert cache.length == 4
