"""What was seen in each direction, for when the camera comes back.

A window of a second or two forgets, and a picture that turns into view bit by bit has to come from
somewhere. So what leaves the view stays on a sphere around the eyes: uint8 (B,CELLS,3), rings of
cells from straight up to straight down, each about as wide as a pixel in the middle of the view.
Walking does not move it: what lies behind is as it was when it was last seen.
"""

import functools
import math

import torch
from torch import Tensor

from nfd_gym.actions import Camera
from nfd_gym.model.hand import hand
from nfd_gym.model.recycle import turn
from nfd_gym.model.warp import focal_length

ROWS = 240
SKY = 8.0  # above what was seen, this many degrees look like one
GROUND = 0.12  # below it, twice this much of the way up to the horizon is seen again and again


def look_round(
    memory: Tensor, pixels: Tensor, yaw: Tensor, pitch: Tensor, actions: Tensor, camera: Camera
) -> tuple[Tensor, Tensor, Tensor]:
    """The memory and the yaw (B,) after `actions` (B,A), and what memory has of the coming view,
    (B,3,H,W).

    `pixels` uint8 (B,3,H,W) is on show at `yaw` and `pitch` (B,). Lanes that do not turn neither
    note nor recall anything: they get their own pixels.
    """
    dpitch, dyaw, after = turn(pitch, actions)
    around, heading = pixels, (yaw + dyaw).remainder(360.0)
    turning = (dpitch != 0) | (dyaw != 0)
    view = (pixels.shape[-2], pixels.shape[-1])
    if bool(turning.all()):  # nothing to pick out and put back
        memory = note(memory, pixels, yaw, pitch, camera.fov_y)
        around = recall(memory, heading, after, view, camera.fov_y)
    elif bool(turning.any()):
        lanes = turning.nonzero()[:, 0]
        noted = note(memory[lanes], pixels[lanes], yaw[lanes], pitch[lanes], camera.fov_y)
        seen = recall(noted, heading[lanes], after[lanes], view, camera.fov_y)
        memory, around = memory.index_copy(0, lanes, noted), around.index_copy(0, lanes, seen)
    return memory, heading, around


def remember(
    pixels: Tensor, actions: Tensor, pitch: Tensor, camera: Camera
) -> tuple[Tensor, Tensor, Tensor]:
    """The memory of who has seen a clip uint8 (B,T,3,H,W), and the yaw (B,) at its end; it begins
    at yaw 0. And what was remembered of each view (B,T-1,3,H,W) after the first, as it came.

    `actions` (B,T,A) made the frames, as in a clip; `pitch` (B,T).
    """
    memory, yaw = imagine(pixels[:, 0], pitch[:, 0], camera.fov_y), torch.zeros_like(pitch[:, 0])
    seen = [pixels[:, :0]]
    for i in range(1, pixels.shape[1]):
        memory, yaw, around = look_round(
            memory, pixels[:, i - 1], yaw, pitch[:, i - 1], actions[:, i], camera
        )
        seen.append(around[:, None])
    return memory, yaw, torch.cat(seen, dim=1)


def note(memory: Tensor, pixels: Tensor, yaw: Tensor, pitch: Tensor, fov_y: float) -> Tensor:
    """The memory (B,CELLS,3) with the picture (B,3,H,W) in it, but for where games show a hand."""
    height, width = pixels.shape[-2:]
    world = (~hand(height, width, pixels.device)).flatten().nonzero()[:, 0]
    colours = pixels.flatten(2)[..., world].transpose(1, 2)
    # Near the borders, where things leave a view, pixels are finer than cells: there are no holes.
    # Of many in a cell scatter keeps the last one on a CPU, whatever the number of threads.
    cells = _cells(yaw, pitch, (height, width), fov_y)[:, world, None]
    return memory.scatter(1, cells.expand(-1, -1, 3), colours)


def recall(
    memory: Tensor, yaw: Tensor, pitch: Tensor, size: tuple[int, int], fov_y: float
) -> Tensor:
    """What the memory (B,CELLS,3) has of a view, (B,3,H,W); `size` is its height and width."""
    cells = _cells(yaw, pitch, size, fov_y)[..., None]
    colours = memory.gather(1, cells.expand(-1, -1, 3))
    seen: Tensor = colours.transpose(1, 2).unflatten(2, size)
    return seen


def imagine(pixels: Tensor, pitch: Tensor, fov_y: float) -> Tensor:
    """A memory (B,CELLS,3) for who has seen one picture (B,3,H,W), facing yaw 0: mirror images of
    it all round, ground below and above it more of its upper border."""
    height, width = pixels.shape[-2:]
    focal, p = focal_length(height, fov_y), pitch.float()[:, None] * (math.pi / 180)
    yaw, down = _directions().to(pixels.device)
    x, y, z = _from_camera(yaw, down, p)
    column, row = x / z * focal, y / z * focal
    seen = (z > 0) & (column.abs() < width / 2 - 0.5) & (row.abs() < height / 2 - 0.5)
    yaw, low = _folded(yaw, math.atan(width / 2 / focal)), height / 2 / focal
    top, bottom = (_tilt(yaw.tan(), side * low, p) for side in (-1, 1))
    deep = (GROUND * bottom).clamp_min(0.02)
    ground = bottom - deep + _folded(down - bottom + deep, deep)
    down = torch.where(down > bottom, ground, down)
    down = torch.where(down < top, top + (top - down) / SKY, down)
    x, y, z = _from_camera(yaw, down, p)
    depth = z.clamp_min(0.2)
    column = torch.where(seen, column, _folded(x / depth * focal, width / 2 - 0.5)) + width / 2
    row = torch.where(seen, row, _folded(y / depth * focal, height / 2 - 0.5)) + height / 2
    handy = hand(height, width, pixels.device)[row.long(), column.long()]
    column = torch.where(handy, width - column, column)
    place = row.long() * width + column.long()
    return pixels.flatten(2).transpose(1, 2).gather(1, place[..., None].expand(-1, -1, 3))


def panorama(memory: Tensor) -> Tensor:
    """The whole memory (B,CELLS,3) as a picture (B,3,ROWS,2 ROWS): straight up in the first row,
    yaw 0 in the middle, right of it to the right."""
    turned = (torch.arange(2 * ROWS, device=memory.device) + 0.5) / (2 * ROWS) + 0.5
    ring = torch.arange(ROWS, device=memory.device)[:, None] + 0.5
    cells = _cell(*torch.broadcast_tensors(turned.remainder(1.0), ring))
    return memory[:, cells].permute(0, 3, 1, 2)


def forgotten(lanes: int, device: torch.device) -> Tensor:
    """The memory of who never looks round."""
    return torch.zeros(lanes, 0, 3, dtype=torch.uint8, device=device)


def _cells(yaw: Tensor, pitch: Tensor, size: tuple[int, int], fov_y: float) -> Tensor:
    """The cell that each pixel of a view looks at, (B,H*W)."""
    if pitch.device.type != "cpu":  # to ask for the numbers would wait for the device
        return _looked_at(yaw, pitch, size, fov_y)
    return _kept(tuple(yaw.tolist()), tuple(pitch.tolist()), size, fov_y)


@functools.lru_cache(maxsize=2)
def _kept(
    yaw: tuple[float, ...], pitch: tuple[float, ...], size: tuple[int, int], fov_y: float
) -> Tensor:
    """As `_looked_at`; never write to it. A view that is recalled now is noted a tick later."""
    return _looked_at(torch.tensor(yaw), torch.tensor(pitch), size, fov_y)


def _looked_at(yaw: Tensor, pitch: Tensor, size: tuple[int, int], fov_y: float) -> Tensor:
    (height, width), device = size, pitch.device
    focal = focal_length(height, fov_y)
    x = (torch.arange(width, device=device) + (0.5 - width / 2)) / focal
    y = (torch.arange(height, device=device)[:, None] + (0.5 - height / 2)) / focal
    p = pitch[:, None, None] * (math.pi / 180)
    down, ahead = p.cos() * y + p.sin(), p.cos() - p.sin() * y  # (B,H,1)
    level = x.square() + ahead.square()
    turned = torch.atan2(*torch.broadcast_tensors(x, ahead)) / (2 * math.pi)
    turned += (yaw / 360)[:, None, None]
    turned -= turned.floor()
    tilt = torch.atan(down * level.rsqrt()) * (ROWS / math.pi) + ROWS / 2
    return _cell(turned, tilt.clamp_(0, ROWS - 0.01)).flatten(1)


def _cell(turned: Tensor, ring: Tensor) -> Tensor:
    """The cell at that share of a whole turn, 0..1, of that ring, 0..ROWS."""
    wide, first = (part.to(turned.device) for part in _rings())
    row = ring.long()
    # A hair less than wide: rounding never ends in the next ring.
    cells: Tensor = first[row] + (turned * (wide * 0.999999)[row]).long()
    return cells


@functools.cache
def _rings() -> tuple[Tensor, Tensor]:
    """Cells in each ring, and the number of its first one."""
    tilt = (torch.arange(ROWS, dtype=torch.float64) + 0.5) / ROWS * math.pi
    wide = (2 * ROWS * tilt.sin()).round().clamp_min(1).long()
    return wide, wide.cumsum(0) - wide


@functools.cache
def _directions() -> Tensor:
    """Yaw (-pi..pi) and pitch of every cell's middle, radians (2,CELLS)."""
    wide, first = _rings()
    row = torch.arange(ROWS).repeat_interleave(wide)
    across = (torch.arange(len(row)) - first[row] + 0.5) / wide[row]  # from ahead to the right
    across = across - (across > 0.5).float()
    return torch.stack([2 * math.pi * across, math.pi * ((row + 0.5) / ROWS - 0.5)])


def _from_camera(yaw: Tensor, down: Tensor, pitch: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """How far right, down and ahead each direction goes for a camera that looks at `pitch`."""
    x, y, z = down.cos() * yaw.sin(), down.sin(), down.cos() * yaw.cos()
    return x, y * pitch.cos() - z * pitch.sin(), y * pitch.sin() + z * pitch.cos()


def _tilt(right: Tensor, down: float, pitch: Tensor) -> Tensor:
    """The pitch of what a camera at `pitch` sees so far right and down in its picture."""
    level = torch.sqrt(right.square() + (pitch.cos() - pitch.sin() * down).square())
    return torch.atan2(pitch.cos() * down + pitch.sin(), level)


def _folded(value: Tensor, limit: float | Tensor) -> Tensor:
    """Mirrored at -limit and limit until it lies between them."""
    return limit - ((value + limit).remainder(4 * limit) - 2 * limit).abs()
