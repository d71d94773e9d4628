"""Laws of the reward heads."""

import pytest
import torch

from nfd_gym.model.heads import HeadsConfig, RewardHeads


def make_heads() -> RewardHeads:
    torch.manual_seed(0)
    return RewardHeads(HeadsConfig(tokens=12, channels=5, action_width=4, hidden=16))


def test_a_child_event_is_never_likelier_than_its_parent_and_multiplies() -> None:
    heads = make_heads().double()
    latents = torch.randn(64, 2, 12, 5, dtype=torch.float64) * 30
    actions = torch.randn(64, 4, dtype=torch.float64)
    probability = heads(latents, actions).sigmoid()
    factors = heads.factors(latents, actions).sigmoid()
    dig, place, chop = probability.unbind(-1)
    torch.testing.assert_close(dig, factors[:, 0])
    torch.testing.assert_close(place, factors[:, 1])
    torch.testing.assert_close(chop, factors[:, 0] * factors[:, 2], rtol=1e-5, atol=1e-5)
    assert bool((chop <= dig + 1e-5).all())
    assert bool(torch.isfinite(heads(latents * 1e3, actions)).all())


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


def test_thresholds_are_stored_with_the_weights() -> None:
    heads = make_heads()
    heads.thresholds.copy_(torch.tensor([0.2, 0.9, 0.0]))
    again = make_heads()
    again.load_state_dict(heads.state_dict())
    logits = torch.logit(torch.tensor([[0.3, 0.8, 0.1]]))
    assert again.fires(logits).tolist() == [[True, False, True]]


def test_bad_settings_and_shapes_are_named() -> None:
    with pytest.raises(ValueError, match="one parent"):
        HeadsConfig(events=("dig",), parents=("", ""))
    with pytest.raises(ValueError, match="no top event"):
        HeadsConfig(events=("dig", "chop"), parents=("", "hew"))
    with pytest.raises(ValueError, match=r"\(B, 2, N, C\)"):
        make_heads()(torch.zeros(3, 12, 5), torch.zeros(3, 4))
