"""The one step: what is rendered, what the network is told, and that priming is the same step."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from nfd_gym.envs.vector_env import NFDVectorEnv
from nfd_gym.memory import View
from nfd_gym.model.cache import FrameCache
from nfd_gym.model.denoiser import RAY_WIDTH, Denoiser
from nfd_gym.model.pixels import to_float, to_uint8
from nfd_gym.world import World, WorldError, WorldSettings
from nfd_gym.world.state import WorldState, select, stack
from nfd_gym.world.step import condition_tokens, predict, prime, render
from tests.camera import KEYS, camera_clip


def view_of(seed: int, depth: bool, unknown: slice = slice(0, 0)) -> View:
    """A picture with columns `unknown`, whose colour is made up."""
    random = torch.Generator().manual_seed(seed)
    frame = torch.randint(0, 256, (2, 32, 48, 3), generator=random, dtype=torch.uint8)
    nearness = torch.rand((2, int(depth), 32, 48), generator=random)
    sharp = torch.ones(2, 1, 32, 48)
    sharp[..., unknown] = 0.0
    return View(to_float(frame), nearness, sharp, torch.zeros(2, 2, 32, 48), 1 - sharp)


@pytest.fixture(params=["colour", "depth"])
def world(request: pytest.FixtureRequest, tiny_world: World, camera_world: World) -> World:
    return tiny_world if request.param == "colour" else camera_world


def test_a_prediction_equal_to_the_views_code_returns_the_view_pixel_for_pixel(
    world: World,
) -> None:
    view = view_of(0, world.has_depth)
    code = world.tokenizer.encode(view.colour, view.nearness)
    frame, nearness = render(world.tokenizer, code, view, hold=1.0)
    assert torch.equal(frame, to_uint8(view.colour))
    if world.has_depth:
        assert torch.equal(nearness, view.nearness[:, 0])
    else:
        assert nearness.shape == (2, 0, 0)


def test_unknown_and_edited_tokens_are_always_painted(world: World) -> None:
    view = view_of(0, world.has_depth, unknown=slice(17, 18))  # one column of the second token
    view.edited[:, 1, 20, 40] = 1.0  # one pixel of the last token
    code = world.tokenizer.encode(view.colour, view.nearness)
    painted, _ = world.tokenizer.decode(code)
    frame, _ = render(world.tokenizer, code, view, hold=1e9)
    shown = to_uint8(view.colour)
    if not world.has_depth:  # detail of the code is all there is
        assert torch.equal(frame[:, :, 16:32], to_uint8(painted)[:, :, 16:32])
        assert torch.equal(frame[:, 16:, 32:], to_uint8(painted)[:, 16:, 32:])
    assert not torch.equal(frame[:, :, 17], shown[:, :, 17])
    assert torch.equal(frame[:, :, 17], to_uint8(painted)[:, :, 17])
    assert torch.equal(frame[:, :16, :16], shown[:, :16, :16]), "known tokens are held"


def test_a_flat_world_without_hold_draws_every_token(tiny_world: World) -> None:
    view = view_of(0, False)
    code = tiny_world.tokenizer.encode(view.colour, view.nearness) + 0.3
    frame, nearness = render(tiny_world.tokenizer, code, view, hold=0.0)
    assert torch.equal(frame, to_uint8(tiny_world.tokenizer.decode(code)[0]))
    almost, same = render(tiny_world.tokenizer, code, view, hold=1e-6)
    assert torch.equal(frame, almost) and nearness.shape == same.shape


def test_a_change_beyond_hold_is_drawn_and_keeps_sharp_detail(camera_world: World) -> None:
    view = view_of(0, True)
    code = camera_world.tokenizer.encode(view.colour, view.nearness)
    other = code.clone()
    other[:, 0, 0] += 3.0
    before, _ = camera_world.tokenizer.decode(code)
    after, _ = camera_world.tokenizer.decode(other)
    frame, _ = render(camera_world.tokenizer, other, view, hold=1.0)
    expected = to_uint8(view.colour + after - before)
    assert torch.equal(frame[:, :16, :16], expected[:, :16, :16])
    assert torch.equal(frame[:, :, 16:], to_uint8(view.colour)[:, :, 16:])


def test_condition_tokens_are_code_then_masks_then_rays(camera_world: World) -> None:
    view = view_of(0, True, unknown=slice(16, 32))
    pose = torch.tensor([[0.0, 1.6, 0.0, 30.0, 10.0]] * 2)
    config = camera_world.denoiser.config
    tokens = condition_tokens(camera_world.tokenizer, config, view, pose)
    assert tokens is not None and tokens.shape == (2, 6, config.condition_width)
    code = camera_world.tokenizer.encode(view.colour, view.nearness)
    assert torch.equal(tokens[..., :12], code)
    sharp = tokens[0, :, 12 : 12 + 16]
    assert sharp[1].sum() == 0 and (sharp[[0, 2]] == 1).all()
    turned = condition_tokens(camera_world.tokenizer, config, view, pose + 5)
    assert turned is not None
    assert torch.equal(turned[..., :-RAY_WIDTH], tokens[..., :-RAY_WIDTH])
    assert not torch.equal(turned[..., -RAY_WIDTH:], tokens[..., -RAY_WIDTH:])
    blind = replace(config, condition=False, masks=0, rays=False)
    assert condition_tokens(camera_world.tokenizer, blind, view, pose) is None


def clip_of(seed: int, count: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    clip = camera_clip(seed, count)
    assert clip.depth is not None and clip.pose is not None
    nearness = torch.from_numpy(clip.depth.astype("float32") / 16384)
    parts = (torch.from_numpy(clip.frames), nearness, clip.pose, clip.actions)
    frames, near, pose, actions = (torch.as_tensor(part)[None] for part in parts)
    return frames, near, pose, actions


def start(world: World, count: int = 5) -> tuple[WorldState, FrameCache]:
    cache = world.denoiser.make_cache(1)
    frames, near, pose, actions = clip_of(0, count)
    state = prime(world, cache, frames, near, pose, actions, noises(count)[None])
    return state, cache


def noises(count: int) -> Tensor:
    return torch.randn((count, 6, 12), generator=torch.Generator().manual_seed(3))


def test_priming_ends_at_the_clips_last_frame(camera_world: World) -> None:
    state, cache = start(camera_world)
    frames, near, pose, _ = clip_of(0, 5)
    assert torch.equal(state.frame, frames[:, -1]) and torch.equal(state.pose, pose[:, -1])
    assert torch.equal(state.nearness, near[:, -1])
    assert int(cache.valid) == 4  # the first frame is not committed


@pytest.mark.parametrize("context", ["noisy", "exact"])
def test_priming_with_drawn_frames_leaves_the_keys_of_drawing_them(
    camera_world: World, context: str
) -> None:
    """Teacher forcing and free drawing are one computation: a reset is not another distribution.

    Exact where the frame holds what the latents say: here the last frame's own latents are given.
    """
    world = replace(camera_world, settings=WorldSettings(context=context, hold=0.0))
    cache = world.denoiser.make_cache(1)
    frames, near, pose, actions = clip_of(0, 1)
    state = prime(world, cache, frames, near, pose, actions, noises(1)[None])
    drawn = predict(world, state, actions[:, 0], noises(2)[1:], cache)
    again = world.denoiser.make_cache(1)
    both = torch.stack([state.frame, drawn.frame], 1), torch.stack([near[:, 0], drawn.nearness], 1)
    poses = torch.stack([state.pose, drawn.pose], 1)
    told = torch.cat([actions, actions], 1)
    prime(world, again, *both, poses, told, noises(2)[None])
    # exact: the code of rounded pixels, at the depth that memory knows
    tolerance = 1e-5 if context == "noisy" else 0.3
    torch.testing.assert_close(again.keys[:, :, 0], cache.keys[:, :, 0], atol=tolerance, rtol=0)


def test_everything_the_step_is_given_matters(camera_world: World) -> None:
    state, cache = start(camera_world)
    action, noise = torch.zeros(1, 25), noises(1)

    def drawn(**changes: object) -> WorldState:
        given = {"state": state, "action": action, "noise": noise} | changes
        return predict(camera_world, **given, cache=cache.clone())

    usual = drawn()
    act = action.clone()
    act[0, 7] = 1.0
    cases = {
        "action": drawn(action=act),
        "noise": drawn(noise=noise + 1),
        "frame in memory": drawn(
            state=state._replace(memory=state.memory._replace(colour=255 - state.memory.colour))
        ),
        "depth in memory": drawn(
            state=state._replace(memory=state.memory._replace(nearness=state.nearness + 0.3))
        ),
        "pose": drawn(state=state._replace(pose=state.pose + 3)),
        "motion": drawn(state=state._replace(motion=state.motion + 1)),
    }
    for name, other in cases.items():
        assert not torch.equal(other.latents, usual.latents), name
    empty = camera_world.denoiser.make_cache(1)
    past = predict(camera_world, state, action, noise, empty)
    assert not torch.equal(past.latents, usual.latents), "cache"


def test_temperature_scales_the_noise_inside_the_step(camera_world: World) -> None:
    state, cache = start(camera_world)
    cold = replace(camera_world, settings=WorldSettings(temperature=0.0))
    half = replace(camera_world, settings=WorldSettings(temperature=0.5))
    action, noise = torch.zeros(1, 25), noises(1)
    first = predict(cold, state, action, noise, cache.clone())
    other = predict(cold, state, action, -noise, cache.clone())
    assert torch.equal(first.latents, other.latents)
    scaled = predict(camera_world, state, action, noise / 2, cache.clone())
    same = predict(half, state, action, noise, cache.clone())
    assert torch.equal(scaled.latents, same.latents)


def test_edits_go_from_the_body_into_memory_and_state(camera_world: World) -> None:
    state, cache = start(camera_world)
    dig = torch.zeros(2, 25)
    dig[1, KEYS["attack"]] = 1.0
    two = stack([state, state])
    wide = camera_world.denoiser.make_cache(2)
    for env in (0, 1):
        wide.put(env, cache)
    after = predict(camera_world, two, dig, noises(1).repeat(2, 1, 1), wide)
    assert after.edit.kind.tolist() == [0, 1]
    assert not torch.equal(after.latents[0], after.latents[1])
    assert after.memory.edit.tolist() == [0, 0], "what was drawn is taken in"


def test_a_world_that_would_never_see_its_frames_is_refused(tiny_world: World) -> None:
    config = replace(tiny_world.denoiser.config, condition=False)
    blind = Denoiser(config).eval()
    made = replace(tiny_world, denoiser=blind, settings=WorldSettings())
    assert made.settings.context == "exact", "the default there"
    with pytest.raises(WorldError, match=r"never see its own frames.*context='exact'"):
        replace(tiny_world, denoiser=blind, settings=WorldSettings(context="noisy"))
    two = WorldSettings(context="noisy", sigmas=(1.0, 0.5))
    assert replace(tiny_world, denoiser=blind, settings=two).settings.context == "noisy"
    assert tiny_world.settings.context == "noisy"


def test_without_a_condition_two_starts_give_two_futures(tiny_world: World) -> None:
    """Every world sees what it is shown: through the condition, or through an exact context."""
    torch.manual_seed(0)
    net = Denoiser(replace(tiny_world.denoiser.config, condition=False))
    for value in net.parameters():
        torch.nn.init.normal_(value, std=0.3)
    world = replace(tiny_world, denoiser=net.eval(), settings=WorldSettings())
    random = torch.Generator().manual_seed(0)
    frames = torch.randint(0, 256, (2, 3, 32, 48, 3), generator=random, dtype=torch.uint8)
    cache = world.denoiser.make_cache(2)
    noise = torch.randn((1, 4, 6, 8), generator=random).repeat(2, 1, 1, 1)
    rest = torch.zeros(2, 3, 0, 0), torch.zeros(2, 3, 0), torch.zeros(2, 3, 25), noise[:, :3]
    state = prime(world, cache, frames, *rest)
    drawn = predict(world, state, torch.zeros(2, 25), noise[:, 3], cache)
    assert not torch.equal(drawn.latents[0], drawn.latents[1])


def test_some_environments_alone_are_drawn_as_among_all() -> None:
    """On the shipped island, where a place that was never filmed comes into view of one of two."""
    env = NFDVectorEnv("minecraft-island", 2, action_space="discrete", engine="eager")
    env.reset(seed=3)
    world, state = env.dream.world, env.dream.session.state
    beside = torch.tensor([0.0, 2.0, 0.0, 0.0, 0.0])
    moved = state._replace(pose=state.pose + torch.stack([0 * beside, 400 * beside]))
    noise = torch.zeros(2, world.denoiser.config.tokens, world.denoiser.config.channels)
    action = torch.zeros(2, world.codec.width)
    asked: list[int] = []
    handle = world.denoiser.register_forward_hook(lambda net, given, _: asked.append(len(given[0])))
    both = predict(world, moved, action, noise, world.denoiser.make_cache(2, spare=3))
    handle.remove()
    assert asked == [1]
    for lane in (0, 1):
        one = select(moved, torch.tensor([lane]))
        alone = predict(world, one, action[:1], noise[:1], world.denoiser.make_cache(1))
        assert (alone.frame.int() - both.frame[lane].int()).abs().max() <= 1
        assert torch.allclose(alone.latents[0], both.latents[lane], atol=1e-4)
