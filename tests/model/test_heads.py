"""Laws of the reward heads."""

import pytest
import torch
from torch import Tensor

from nfd_gym.model.heads import HeadsConfig, RewardHeads, glance, glimpse
from nfd_gym.model.pixels import to_float

SHAPE = (3, 16, 16, 3)  # frames, size, size, colours


def make_heads() -> RewardHeads:
    torch.manual_seed(0)
    config = HeadsConfig(size=16, frames=3, action_width=4, hidden=8)
    return RewardHeads(config).eval().requires_grad_(False)


def glimpses(lanes: int) -> Tensor:
    random = torch.Generator().manual_seed(1)
    return torch.randint(0, 256, (lanes, *SHAPE), generator=random, dtype=torch.uint8)


@torch.no_grad()
def test_a_child_event_is_never_likelier_than_its_parent_or_its_kind() -> None:
    heads = make_heads()
    seen, actions = glimpses(64), torch.randn(64, 4)
    raw = heads.factors(to_float(seen), to_float(seen), actions)
    between = (
        raw[:, 2] - raw[:, 0]
    ).median()  # half of the lanes: sure of the dig, half of the tree
    heads.offsets.copy_(torch.stack([torch.tensor(0.0), torch.tensor(-1.0), between]))
    dig, place, chop = heads(seen, actions).unbind(-1)
    torch.testing.assert_close(dig, raw[:, 0])
    torch.testing.assert_close(place, raw[:, 1] + 1.0)
    assert bool((chop <= dig).all()) and bool((chop <= raw[:, 2] - between).all())
    assert bool((chop == dig).any()) and bool((chop < dig).any())


def test_heads_see_what_and_when_and_the_action() -> None:
    """Another order of the frames or another action changes the logits: an event happens in one
    direction of time, to whom presses the key."""
    heads = make_heads()
    seen, actions = glimpses(1), torch.randn(1, 4)
    base = heads(seen, actions)
    for other in (heads(seen.flip(1), actions), heads(seen, actions + 1)):
        assert (other - base).abs().max() > 1e-4


def test_what_a_tree_is_was_seen_before_it_fell() -> None:
    """The child's own factor looks at the first frame alone."""
    heads = make_heads()
    seen, actions = to_float(glimpses(2)), torch.randn(2, 4)
    later = torch.cat([seen[:, :1], -seen[:, 1:]], dim=1)
    raw, other = (heads.factors(each, each, actions) for each in (seen, later))
    torch.testing.assert_close(raw[:, 2], other[:, 2])
    assert (raw[:, 0] - other[:, 0]).abs().min() > 1e-4


def test_a_glance_keeps_the_last_frames_around_the_crosshair() -> None:
    frames = torch.randint(0, 256, (2, 6, 32, 48, 3), dtype=torch.uint8)
    kept = glimpse(frames[:, :3], 16)
    assert torch.equal(kept, frames[:, :3, 8:24, 16:32])
    for i in range(3, 6):
        kept = glance(kept, frames[:, i])
        assert torch.equal(kept, glimpse(frames[:, i - 2 : i + 1], 16))
    nobody = frames[:, :0, :0, :0]
    assert glance(nobody, frames[:, 0]) is nobody


def test_bad_settings_and_shapes_are_named() -> None:
    with pytest.raises(ValueError, match="one parent"):
        HeadsConfig(events=("dig",), parents=("", ""))
    with pytest.raises(ValueError, match="no top event"):
        HeadsConfig(events=("dig", "chop"), parents=("", "hew"))
    with pytest.raises(ValueError, match="at least 2 frames"):
        HeadsConfig(frames=1)
    with pytest.raises(ValueError, match=r"uint8 \(B, 3, 16, 16, 3\), got torch.float32"):
        make_heads()(torch.zeros(3, *SHAPE), torch.zeros(3, 4))
