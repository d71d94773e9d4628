"""Laws of the reward heads."""

import pytest
import torch

from nfd_gym.model.heads import HeadsConfig, RewardHeads


def make_heads() -> RewardHeads:
    torch.manual_seed(0)
    return RewardHeads(HeadsConfig(tokens=12, channels=5, action_width=4, hidden=16))


@torch.no_grad()
def test_a_child_event_is_never_likelier_than_its_parent_or_its_kind() -> None:
    heads = make_heads()
    latents, actions = torch.randn(64, 2, 12, 5) * 30, torch.randn(64, 4)
    raw = heads.factors(latents, actions)
    between = (
        raw[:, 2] - raw[:, 0]
    ).median()  # half of the lanes: sure of the dig, half of the tree
    heads.offsets.copy_(torch.stack([torch.tensor(0.0), torch.tensor(-1.0), between]))
    dig, place, chop = heads(latents, actions).unbind(-1)
    torch.testing.assert_close(dig, raw[:, 0])
    torch.testing.assert_close(place, raw[:, 1] + 1.0)
    assert bool((chop <= dig).all()) and bool((chop <= raw[:, 2] - between).all())
    assert bool((chop == dig).any()) and bool((chop < dig).any())


def test_heads_see_where_and_what_and_the_action() -> None:
    """Moving a token elsewhere, swapping the two frames or changing the action changes the logits:
    an event happens at the crosshair, in one direction of time, to whom presses the key."""
    heads = make_heads()
    torch.nn.init.normal_(heads.place)
    latents, actions = torch.randn(1, 2, 12, 5), torch.randn(1, 4)
    base = heads(latents, actions)
    for other in (
        heads(latents.roll(1, dims=2), actions),
        heads(latents.flip(1), actions),
        heads(latents, actions + 1),
    ):
        assert (other - base).abs().max() > 1e-4


def test_bad_settings_and_shapes_are_named() -> None:
    with pytest.raises(ValueError, match="one parent"):
        HeadsConfig(events=("dig",), parents=("", ""))
    with pytest.raises(ValueError, match="no top event"):
        HeadsConfig(events=("dig", "chop"), parents=("", "hew"))
    with pytest.raises(ValueError, match=r"\(B, 2, N, C\)"):
        make_heads()(torch.zeros(3, 12, 5), torch.zeros(3, 4))
