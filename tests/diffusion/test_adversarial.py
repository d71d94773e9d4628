"""Laws of the adversarial terms."""

import pytest
import torch

from nfd_gym.diffusion import adversarial


def test_hinge_is_zero_beyond_the_margin_and_pushes_inside_it() -> None:
    far = torch.full((4,), 1.5)
    assert adversarial.hinge_critic(far, -far) == 0
    assert adversarial.hinge_critic(far, -far, -far) == 0
    undecided = torch.zeros(4)
    assert adversarial.hinge_critic(undecided, undecided) == 1
    # Mismatched pairs do not outweigh real ones: an undecided critic pays the same with them.
    assert adversarial.hinge_critic(undecided, undecided, undecided) == 1
    assert adversarial.hinge_critic(undecided, undecided, undecided[:0]) == 1
    assert adversarial.hinge_generator(far) < adversarial.hinge_generator(undecided)


def test_accuracy_counts_both_sides() -> None:
    up, down = torch.ones(10), -torch.ones(10)
    assert adversarial.critic_accuracy(up, down) == 1
    assert adversarial.critic_accuracy(down, up) == 0
    assert adversarial.critic_accuracy(up, up) == 0.5


def test_rolled_actions_come_from_the_neighbour_and_repeats_are_marked() -> None:
    actions = torch.zeros(3, 2, 5)
    actions[0, 0, 1] = 1
    rolled, differs = adversarial.rolled_actions(actions)
    assert torch.equal(rolled[1], actions[0]) and torch.equal(rolled[0], actions[2])
    assert differs.tolist() == [[True, False], [True, False], [False, False]]


@pytest.mark.parametrize("scale", [1e-4, 1.0, 1e4])
def test_balance_sets_the_share_whatever_the_size_of_the_losses(scale: float) -> None:
    generator = torch.Generator().manual_seed(0)
    prediction = torch.randn(50, generator=generator, requires_grad=True)
    toward, push = torch.randn(50, generator=generator), torch.randn(50, generator=generator)

    def pull(share: float) -> torch.Tensor:
        main = scale * ((prediction - toward) ** 2).mean()
        critic = (torch.tanh(prediction) * push).sum()
        loss = adversarial.balanced(prediction, main, critic, share)
        (out,) = torch.autograd.grad(loss, prediction)
        return out

    alone, both = pull(0.0), pull(0.3)
    added = both - alone
    assert float(added.norm() / alone.norm()) == pytest.approx(0.3, rel=1e-3)
    expected = (1 - torch.tanh(prediction) ** 2) * push  # direction of the adversarial gradient
    cosine = torch.nn.functional.cosine_similarity(added, expected.detach(), dim=0)
    assert float(cosine) == pytest.approx(1, abs=1e-4)


@pytest.mark.slow
def test_pixel_critic_learns_to_see_blur_and_wrong_actions() -> None:
    """Sharp noise against its blurred self; the shift of the picture against the last one must fit
    the action. Both halves of the loss have to be learnable or the generator learns nothing."""
    torch.manual_seed(0)
    critic = adversarial.PixelCritic(action_width=2, hidden=8)
    optimiser = torch.optim.Adam(critic.parameters(), lr=6e-3, betas=(0.0, 0.9))
    generator = torch.Generator().manual_seed(1)
    seen: list[float] = []
    matched: list[float] = []
    for _ in range(70):
        last = torch.rand(8, 3, 32, 48, generator=generator) * 2 - 1
        last = torch.nn.functional.interpolate(last[..., ::4, ::4], scale_factor=4.0)
        right = torch.rand(8, generator=generator) < 0.5
        moved = torch.where(right[:, None, None, None], last.roll(3, 3), last.roll(-3, 3))
        actions = torch.stack([right.float(), 1 - right.float()], -1)
        blurred = torch.nn.functional.avg_pool2d(moved, 5, 1, 2)
        real, fake = critic(moved, last, actions), critic(blurred, last, actions)
        wrong = critic(moved, last, 1 - actions)
        loss = adversarial.hinge_critic(real, fake, wrong)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        seen.append(adversarial.critic_accuracy(real, fake))
        means = real.mean((1, 2, 3)) > wrong.mean((1, 2, 3))
        matched.append(float(means.float().mean()))
    assert sum(seen[-20:]) / 20 > 0.85
    assert sum(matched[-20:]) / 20 > 0.9


def test_feature_critic_gives_one_logit_per_token_and_head_and_ignores_scale() -> None:
    torch.manual_seed(0)
    critic = adversarial.FeatureCritic(width=16, grid=(3, 4), heads=2, hidden=8).eval()
    features = [torch.randn(2, 5, 12, 16) for _ in range(2)]
    logits = critic(features)
    assert logits.shape == (2, 2, 5, 12)
    torch.testing.assert_close(logits, critic([9 * f for f in features]), rtol=1e-3, atol=1e-3)
    with pytest.raises(ValueError, match="2 heads"):
        critic(features[:1])
