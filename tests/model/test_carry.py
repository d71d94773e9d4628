"""Pixels move whole, remember what rounding left over, and end under paint."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from nfd_gym.actions import Camera
from nfd_gym.model import carry as carrying
from nfd_gym.model.carry import (
    Heard,
    canvas_of,
    carry,
    from_bytes,
    listen,
    look,
    move,
    to_bytes,
    way,
)
from nfd_gym.model.denoiser import FIELD, MOVED, Denoiser
from nfd_gym.model.recycle import turn
from nfd_gym.model.tokenizer import Tokenizer
from nfd_gym.model.warp import warp
from nfd_gym.world import WorldModel

CAMERA = Camera(72.0)
ZERO, NOTHING = torch.zeros(2), torch.zeros(2, 25)


def picture(seed: int = 0) -> Tensor:
    random = torch.Generator().manual_seed(seed)
    return torch.rand((2, 3, 32, 48), generator=random) - 0.5


def smooth() -> Tensor:
    x, y = torch.linspace(0, 6, 48), torch.linspace(0, 4, 32)[:, None]
    return torch.stack([(x + y).sin(), (x - y).cos(), x.sin() * y.cos()]).expand(2, -1, -1, -1) / 2


def linear(world: WorldModel) -> Tokenizer:
    """A code without nets loses the same however often it is used."""
    net = Tokenizer(replace(world.tokenizer.config, hidden=0))
    net.load_state_dict(world.tokenizer.state_dict(), strict=False)
    return net.eval().requires_grad_(False)


def yaw(amount: float) -> Tensor:
    actions = torch.zeros(2, 25)
    actions[:, -1] = amount
    return actions


def field(right: float = 0.0, down: float = 0.0, still: float = 0.0) -> Tensor:
    return torch.tensor([right, down, still])[None, :, None, None].expand(2, 3, 32, 48)


def moved(
    canvas: Tensor,
    shift: Tensor,
    kind: str = "plain",
    pitch: Tensor = ZERO,
    actions: Tensor = NOTHING,
) -> Tensor:
    """By a turn and a shift; what was not in view is black."""
    turned = way(kind, CAMERA, pitch, actions, canvas)
    return move(canvas, torch.full_like(canvas[:, :3], -1.0), shift[:, :2], turned)


def colours(canvas: Tensor) -> set[tuple[float, ...]]:
    return set(map(tuple, canvas[0, :3].flatten(1).T.tolist()))


def test_parts_of_a_pixel_add_up() -> None:
    """Thirty steps of a tenth of a pixel are one of three pixels, bit for bit."""
    last = picture()
    canvas = canvas_of(last)
    for _ in range(30):
        canvas = from_bytes(to_bytes(moved(canvas, field(0.1))))
    whole = moved(canvas_of(last), field(3.0))
    same = (canvas[..., :40] - whole[..., :40]).abs()
    assert same[:, :3].max() < 0.01  # bytes
    assert same[:, 3:].max() < 0.07


def test_no_pixel_is_ever_mixed() -> None:
    canvas, pitch = canvas_of(picture()), torch.full((2,), 20.0)
    begun = colours(canvas)
    for i in range(12):
        canvas = moved(canvas, field(0.2 * i, -0.3), "warp", pitch, yaw(0.3))
        assert canvas[:, 3:].abs().max() <= 0.5
    assert colours(canvas) <= begun | {(-1.0, -1.0, -1.0)}
    assert len(colours(canvas)) > 100


def test_what_is_walked_towards_keeps_its_grain() -> None:
    """Stretched by 3 % a step for forty steps, which makes each pixel three wide; by doubling alone
    the grain would be blots. What has two colours keeps their border."""
    random = torch.Generator().manual_seed(0)
    grain = torch.rand((2, 3, 32, 48), generator=random) * 0.1
    grain[..., 24:] += 0.8
    canvas, before = canvas_of(grain), colours(canvas_of(grain))
    away = torch.stack(torch.meshgrid(torch.arange(32.0), torch.arange(48.0), indexing="ij")[::-1])
    centre = torch.tensor([23.5, 15.5])[:, None, None]
    for _ in range(40):
        canvas = moved(canvas, ((centre - away) * 0.03).expand(2, -1, -1, -1))
    assert colours(canvas) <= before | {(-1.0, -1.0, -1.0)}

    def roughness(part: Tensor) -> float:
        return float(part.diff(dim=-1).abs().mean())

    for side in (slice(2, 22), slice(26, 46)):
        assert roughness(canvas[:, :3, :20, side]) > 0.3 * roughness(grain[..., side])
    assert canvas[:, :3, :20, 2:20].max() < 0.2 and canvas[:, :3, :20, 28:46].min() > 0.7


def test_a_canvas_shows_what_warping_would() -> None:
    last, pitch = smooth(), torch.full((2,), 10.0)
    torch.testing.assert_close(look(canvas_of(last)), last, atol=1e-5, rtol=0)
    actions = yaw(0.2)
    dpitch, dyaw, _ = turn(pitch, actions)
    expected = warp(last, dpitch, dyaw, pitch, CAMERA.fov_y, round_the_world=True)
    shown = look(moved(canvas_of(last), field(), "warp", pitch, actions))
    inner = (shown - expected)[..., 4:20, 6:-6].abs()  # above the hand
    assert inner.mean() < 0.005


def test_what_does_not_turn_stands_bit_for_bit(tiny_world: WorldModel) -> None:
    net, last = linear(tiny_world), canvas_of(picture())
    latents, pitch = net.encode(last[:, :3]), torch.zeros(2)
    share = field(still=0.9).clone()
    share[..., :24] = 0.1
    heard = {FIELD: share, MOVED: latents}
    _, after = carry(net, "warp", CAMERA, last, last[:, :3], pitch, yaw(0.5), latents, heard)
    torch.testing.assert_close(after[..., 24:], last[..., 24:], atol=1e-5, rtol=0)
    assert (after[..., :24] - last[..., :24]).abs().mean() > 0.1


def carried(net: Tokenizer, canvas: Tensor, latents: Tensor, heard: Heard) -> tuple[Tensor, Tensor]:
    return carry(net, "plain", None, canvas, canvas[:, :3], ZERO, NOTHING, latents, heard)


def test_what_was_not_in_view_is_remembered() -> None:
    """And lies at its place, neither moved nor mixed."""
    canvas, around, pitch = canvas_of(picture()), picture(1), torch.zeros(2)
    turned = way("warp", CAMERA, pitch, yaw(1.0), canvas)
    after = move(canvas, around, field()[:, :2], turned)
    assert torch.equal(after[:, :3, 8:24, -4:], around[:, :, 8:24, -4:])
    assert not after[:, 3:, 8:24, -4:].any()
    assert not torch.equal(after[:, :3, 8:24, :-20], around[:, :, 8:24, :-20])


def test_a_picture_that_nobody_paints_stays_bit_for_bit(tiny_world: WorldModel) -> None:
    net = linear(tiny_world)
    kept = to_bytes(canvas_of(picture()))
    begun = to_bytes(moved(from_bytes(kept), field(0.3, 0.4)))
    latents = net.encode(from_bytes(begun)[:, :3])
    now = begun
    for _ in range(20):
        heard = {FIELD: field(), MOVED: latents}
        shown, after = carried(net, from_bytes(now), latents, heard)
        torch.testing.assert_close(shown, look(from_bytes(begun)), atol=1e-4, rtol=0)
        now = to_bytes(after)
    assert torch.equal(now, begun)


def test_paint_covers_what_was_there(tiny_world: WorldModel) -> None:
    net, last = linear(tiny_world), picture()
    before, other = net.encode(last), net.encode(-last.flip(-1) + 0.5)
    heard = {FIELD: field(), MOVED: before}
    canvas = canvas_of(last)
    canvas[:, 3:] = 0.4
    shown, after = carried(net, canvas, other, heard)
    lost = last - net.decode_unclamped(before)
    assert (shown - net.decode_unclamped(other)).norm() < 0.1 * lost.norm()
    assert after[:, 3:].abs().mean() < 0.1
    torch.testing.assert_close(after[:, :3], shown, atol=0.2, rtol=0)


def test_bytes_keep_a_canvas() -> None:
    canvas = torch.cat([picture(), picture(1)[:, :2]], dim=1)
    again = from_bytes(to_bytes(canvas))
    torch.testing.assert_close(again[:, 3:], canvas[:, 3:], atol=0.6 / carrying.FINE, rtol=0)
    assert torch.equal(to_bytes(again), to_bytes(canvas))


def test_the_net_tells_the_motion_of_its_last_evaluation(tiny_world: WorldModel) -> None:
    net, config = tiny_world.denoiser, tiny_world.denoiser.config
    denoiser, heard = listen(net)
    frames = torch.randn(2, 3, config.tokens, config.channels)
    given = torch.randn(2, 3, config.tokens, config.given)
    told = torch.ones(2, 3), torch.zeros(2, 3, 25), given
    assert torch.equal(denoiser(frames, *told), net(frames, *told))
    assert heard[FIELD].shape == (6, 3, 32, 48)
    assert heard[MOVED].shape == (6, config.tokens, config.channels)
    denoiser(frames[:1], *(part[:1] for part in told))
    assert heard[FIELD].shape[0] == heard[MOVED].shape[0] == 3


def test_carrying_needs_motion(tiny_world: WorldModel) -> None:
    with pytest.raises(ValueError, match="motion"):
        Denoiser(replace(tiny_world.denoiser.config, motion=0))
