"""Tile reader of Crafter: the 9x7 tiles in view, facing, sleep and light, from pixels.

Every tile is compared with every sprite on every ground it can stand on, under a ladder of
daylights. At night the game mixes noise into the picture, the more the farther from the middle:
templates carry its mean, and tiles are compared as 4x4 averages, which smooths it. Far corners of
the darkest frames hold nothing but noise; `Reading.error` is small there and means nothing.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nfd_gym.extras import need
from nfd_gym.games.crafter.readings import CENTRE, HudReader, Look
from nfd_gym.games.crafter.spec import MATERIALS, NUMBER, TILE, VIEW

Floats = NDArray[np.float32]
Sprite = tuple[int, tuple[int, int] | None, Floats]  # tile number, facing, picture (16, 16, 3)
GROUND = ("grass", "sand", "path")
FACING = {"left": (-1, 0), "right": (1, 0), "up": (0, -1), "down": (0, 1)}
LADDER = np.concatenate([np.linspace(0, 0.5, 21), np.linspace(0.55, 1, 10)])  # daylights
GREY = np.array([0.299, 0.587, 0.114])
NIGHT, SLEEP = np.array([0, 16, 64]), np.array([0, 0, 16])
NOISE = (32 + 127) / 2  # its mean
COARSE = 4  # averages a side


@dataclass(frozen=True)
class Reading:
    """Tiles (T, 9, 7), facing (T, 2), asleep (T,), daylight (T,) and error (T, 9, 7)."""

    view: NDArray[np.uint8]
    facing: NDArray[np.int64]
    asleep: NDArray[np.bool_]
    daylight: Floats
    error: Floats  # mean squared difference of the 4x4 averages


class TileReader:
    """Nearest sprite for each tile in view; by default the installed game's sprites."""

    def __init__(self, sprites: list[Sprite] | None = None) -> None:
        sprites = drawn_sprites() if sprites is None else sprites
        self._numbers = np.array([number for number, _, _ in sprites], np.uint8)
        self._facing = np.array([facing or (0, 1) for _, facing, _ in sprites])
        self._sleeping = np.array([n == NUMBER["player"] and f is None for n, f, _ in sprites])
        pictures = _coarse(np.stack([picture for _, _, picture in sprites]))
        self._player = self._numbers == NUMBER["player"]
        middle = CENTRE[0] * VIEW[1] + CENTRE[1]
        self._around = [middle + step for step in (-VIEW[1], -1, 0, 1, VIEW[1])]
        ladders = (
            np.stack([_under(pictures, light, asleep) for light in LADDER])
            for asleep in (False, True)
        )  # each (lights, tiles in view, sprites, 48)
        self._ladders = [Templates(ladder) for ladder in ladders]
        self._near = [Templates(ladder.templates[:, self._around]) for ladder in self._ladders]

    def read(self, frames: NDArray[np.uint8]) -> Reading:
        """What frames (T, 144, 144, 3) show."""
        parts = [self._read(frame) for frame in frames]
        return Reading(*(np.stack(values) for values in zip(*parts, strict=True)))

    def _read(self, frame: NDArray[np.uint8]) -> tuple[Any, ...]:
        seen = _coarse_view(frame)  # (63, 48)
        middle = self._around[2]
        best: tuple[float, bool, int] = (np.inf, False, 0)
        for asleep, near in zip((False, True), self._near, strict=True):
            apart = near.apart(seen[self._around])  # (lights, 5, sprites)
            fits = self._player & (self._sleeping == asleep)
            apart[:, 2, ~fits] = np.inf  # the player stands in the middle, nothing else
            light = int(apart.min(-1).sum(-1).argmin())
            best = min(best, (float(apart.min(-1).sum(-1)[light]), asleep, light))
        _, asleep, light = best
        apart = self._ladders[asleep].apart(seen, light)
        apart[middle, ~(self._player & (self._sleeping == asleep))] = np.inf
        apart[np.ix_(np.arange(len(seen)) != middle, self._player)] = np.inf
        which = apart.argmin(-1)
        view = self._numbers[which].reshape(VIEW)
        error = apart.min(-1).reshape(VIEW).astype(np.float32)
        return view, self._facing[which[middle]], np.bool_(asleep), np.float32(LADDER[light]), error


def looks_in(frames: NDArray[np.uint8], hud: HudReader, tiles: TileReader) -> list[Look]:
    """Looks (T,) of frames, from their pixels alone: what a dream shows is judged by them."""
    return looks_of_reading(tiles.read(frames), hud.read(frames)[0])


def looks_of_reading(found: Reading, counts: NDArray[np.int64]) -> list[Look]:
    """Looks (T,) of a reading (T,) and counts (T, 16)."""
    return [
        Look(counts[i], found.view[i], (int(x), int(y)), bool(found.asleep[i]))
        for i, (x, y) in enumerate(found.facing)
    ]


def drawn_sprites() -> list[Sprite]:
    """(tile number, facing or None, picture (16, 16, 3)) of everything that a tile can show."""
    root = need("crafter", "crafter").constants.root
    textures = need("crafter.engine", "crafter").Textures(root / "assets")

    def picture(name: str) -> Floats:
        return np.asarray(textures.get(name, (TILE, TILE)), np.float32).transpose(1, 0, 2)

    def on(name: str, ground: str) -> Floats:
        top, below = picture(name), picture(ground)[..., :3]
        alpha = top[..., 3:] / 255 if top.shape[-1] == 4 else np.float32(1)
        return np.asarray(alpha * top[..., :3] + (1 - alpha) * below, np.float32)

    found: list[Sprite] = []
    found.append((NUMBER["none"], None, np.full((TILE, TILE, 3), 127, np.float32)))
    found += [(NUMBER[name], None, picture(name)[..., :3]) for name in MATERIALS]
    for ground in GROUND:
        found += [(NUMBER[name], None, on(name, ground)) for name in ("cow", "zombie", "skeleton")]
        found.append((NUMBER["player"], None, on("player-sleep", ground)))
        for way, step in FACING.items():
            found.append((NUMBER["player"], step, on(f"player-{way}", ground)))
    for ground in (*GROUND, "water", "lava"):
        found += [(NUMBER["arrow"], None, on(f"arrow-{way}", ground)) for way in FACING]
    for way, step in FACING.items():
        found.append((NUMBER["player"], step, on(f"player-{way}", "lava")))
    found.append((NUMBER["plant"], None, on("plant", "grass")))
    found.append((NUMBER["ripe_plant"], None, on("plant-ripe", "grass")))
    return found


def _under(pictures: Floats, daylight: float, asleep: bool = False) -> Floats:
    """Coarse sprites (S, 48) at every place of the view under a daylight: (63, S, 48)."""
    width, height = VIEW[0] * TILE, VIEW[1] * TILE
    x, y = np.meshgrid(np.linspace(-1, 1, width), np.linspace(-1, 1, height))
    dark = 1 - np.exp(-0.5 * (x**2 + y**2) / 0.5**2)
    amount = max(0.0, 2 * (0.5 - daylight)) * dark
    places = _coarse(_tiles_in_view(np.repeat(amount[None, :, :, None], 3, -1)))  # (63, 1, 48)
    places = places.reshape(len(places), 1, COARSE**2, 3)
    pictures = pictures.reshape(len(pictures), COARSE**2, 3)
    noisy = (1 - places) * pictures + places * NOISE
    night = 0.5 * (0.6 * (noisy @ GREY)[..., None] + 0.4 * noisy) + 0.5 * NIGHT
    canvas = daylight * pictures + (1 - daylight) * night
    if asleep:
        canvas = 0.5 * np.repeat((canvas @ GREY)[..., None], 3, -1) + 0.5 * SLEEP
    return np.asarray(canvas.reshape(*canvas.shape[:2], -1), np.float32)


def _tiles_in_view(rows: NDArray[Any]) -> NDArray[Any]:
    """Rows (T, 112, 144, C) as tiles (63, T, 16, 16, C), in the order of a view (9, 7)."""
    parts = rows.reshape(len(rows), VIEW[1], TILE, VIEW[0], TILE, rows.shape[-1])
    parts = parts.transpose(3, 1, 0, 2, 4, 5)
    return parts.reshape(VIEW[0] * VIEW[1], len(rows), TILE, TILE, rows.shape[-1])


def _coarse(tiles: NDArray[Any]) -> Floats:
    """Tiles (..., 16, 16, 3) as 4x4 averages (..., 48)."""
    part = TILE // COARSE
    shape = (*tiles.shape[:-3], COARSE, part, COARSE, part, 3)
    means = tiles.reshape(shape).mean((-4, -2))
    return np.asarray(means.reshape(*tiles.shape[:-3], -1), np.float32)


def _coarse_view(frame: NDArray[np.uint8]) -> Floats:
    """The tiles in view of a frame (144, 144, 3) as 4x4 averages (63, 48)."""
    rows = frame[: VIEW[1] * TILE].astype(np.uint16)
    rows = rows[::4] + rows[1::4] + rows[2::4] + rows[3::4]
    sums = rows[:, ::4] + rows[:, 1::4] + rows[:, 2::4] + rows[:, 3::4]  # (28, 36, 3)
    tiles = np.asarray(sums, np.float32).reshape(VIEW[1], COARSE, VIEW[0], COARSE, 3) / 16
    return np.asarray(tiles.transpose(2, 0, 1, 3, 4).reshape(VIEW[0] * VIEW[1], -1), np.float32)


class Templates:
    """Templates (L, N, S, 48) for N tiles each, with their squares."""

    def __init__(self, templates: Floats) -> None:
        self.templates = np.ascontiguousarray(templates)
        self.squares = (self.templates**2).sum(-1)

    def apart(self, seen: Floats, light: int | None = None) -> Floats:
        """Mean squared difference (L, N, S) of tiles (N, 48) and the templates; (N, S) at one
        light."""
        at = slice(None) if light is None else light
        products = (self.templates[at] @ seen[:, :, None])[..., 0]
        squares = (seen**2).sum(-1)[:, None] + self.squares[at]
        return np.asarray((squares - 2 * products) / seen.shape[-1], np.float32)
