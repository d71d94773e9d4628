"""Lanes of unequal age in one cache: each behaves as if it were alone."""

import torch
from torch import Tensor

from nfd_gym.diffusion.sample import sample_frame
from nfd_gym.model.cache import FrameCache
from nfd_gym.world import WorldModel

FRAMES = 9  # more than twice the window of 4


def draws(seed: int, lanes: int = 1) -> dict[str, Tensor]:
    random = torch.Generator().manual_seed(seed)
    shape = (lanes, FRAMES, 6, 8)
    return {
        "noise": torch.randn(shape, generator=random),
        "recycled": torch.randn((*shape[:-1], 19), generator=random),  # turned, plain, view
        "actions": torch.randn((lanes, FRAMES, 25), generator=random) * 0.3,
    }


def step(world: WorldModel, cache: FrameCache, values: dict[str, Tensor], i: int) -> Tensor:
    action, recycled, noise = (values[key][:, i] for key in ("actions", "recycled", "noise"))
    return sample_frame(world.denoiser, cache, action, recycled, noise, (1.0, 0.5))


def alone(world: WorldModel, values: dict[str, Tensor], start: int = 0) -> list[Tensor]:
    cache = world.denoiser.make_cache(1)
    return [step(world, cache, values, i)[0] for i in range(start, FRAMES)]


def test_each_lane_of_a_batch_is_a_world_of_its_own(tiny_world: WorldModel) -> None:
    values = draws(0, lanes=3)
    cache = tiny_world.denoiser.make_cache(3)
    together = [step(tiny_world, cache, values, i) for i in range(FRAMES)]
    for lane in range(3):
        single = alone(tiny_world, {key: value[lane : lane + 1] for key, value in values.items()})
        for i in range(FRAMES):
            torch.testing.assert_close(together[i][lane], single[i], atol=1e-4, rtol=1e-4)


def test_reset_of_one_lane_leaves_the_other_and_starts_anew(tiny_world: WorldModel) -> None:
    values = draws(1, lanes=2)
    cache = tiny_world.denoiser.make_cache(2)
    made = []
    for i in range(FRAMES):
        if i == 5:
            cache.reset(torch.tensor([False, True]))
        made.append(step(tiny_world, cache, values, i))
    one = {key: value[:1] for key, value in values.items()}
    two = {key: value[1:] for key, value in values.items()}
    for i, expected in enumerate(alone(tiny_world, one)):
        torch.testing.assert_close(made[i][0], expected, atol=1e-4, rtol=1e-4)
    for i, expected in enumerate(alone(tiny_world, two, start=5), 5):
        torch.testing.assert_close(made[i][1], expected, atol=1e-4, rtol=1e-4)
    kept = alone(tiny_world, two)
    assert not torch.allclose(made[6][1], kept[6], atol=1e-4), "the reset made no difference"


def test_a_lane_put_into_running_ones_continues_as_before(tiny_world: WorldModel) -> None:
    """A world primed beside the running ones: that is how one lane of a vector env is reset."""
    values, guest = draws(2, lanes=2), draws(3)
    beside = tiny_world.denoiser.make_cache(1, spare=2)
    for i in range(3):
        step(tiny_world, beside, guest, i)
    cache = tiny_world.denoiser.make_cache(2)
    for i in range(6):  # the ring has wrapped
        step(tiny_world, cache, values, i)
    cache.put(1, beside)
    for i in range(3, FRAMES):
        both = {key: torch.cat([values[key][:1], guest[key]]) for key in values}
        got = step(tiny_world, cache, both, i)[1]
        expected = step(tiny_world, beside, guest, i)[0]
        torch.testing.assert_close(got, expected, atol=1e-4, rtol=1e-4)


def test_undo_and_other_choice_equals_having_chosen_it(tiny_world: WorldModel) -> None:
    values, other = draws(4), draws(5)
    cache, straight = (tiny_world.denoiser.make_cache(1, spare=2) for _ in range(2))
    for i in range(6):
        step(tiny_world, cache, values, i)
        step(tiny_world, straight, values, i)
    step(tiny_world, cache, values, 6)
    step(tiny_world, cache, values, 7)
    cache.truncate(2)
    for i in (6, 7, 8):
        assert torch.equal(step(tiny_world, cache, other, i), step(tiny_world, straight, other, i))


def test_a_wrapped_ring_equals_a_fresh_window(tiny_world: WorldModel) -> None:
    """In one-step sampling of this one-causal-block world a frame's keys depend on it alone."""
    values, denoiser = draws(6), tiny_world.denoiser

    def one_step(cache: FrameCache, i: int) -> Tensor:
        now = {key: value[:, i % FRAMES] for key, value in values.items()}
        return sample_frame(denoiser, cache, now["actions"], now["recycled"], now["noise"])

    long = denoiser.make_cache(1)
    for last in range(1, 3 * FRAMES):
        one_step(long, last - 1)
        fresh = denoiser.make_cache(1)
        for i in range(max(0, last - denoiser.config.window), last):
            one_step(fresh, i)
        expected = one_step(fresh, last)
        torch.testing.assert_close(one_step(long.clone(), last), expected, atol=1e-4, rtol=1e-4)
