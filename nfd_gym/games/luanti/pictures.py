"""Pictures of the island: 24 views of the running game, and a map of what a recording has seen."""

from pathlib import Path

import numpy as np
import numpy.typing as npt

from nfd_gym.data.reproject import unproject
from nfd_gym.data.sources import open_source
from nfd_gym.games.luanti.spec import FOV_Y, LANDMARKS, RADIUS
from nfd_gym.games.luanti.textures import png

# x, z (or x, y, z), yaw of the contact sheet's views.
VIEWS = (
    ((0, -2), 60), ((-4, -3), 100), ((-8, -4), 0), ((-5, -4), 180), ((25, 0), 250), ((0, 20), 300),
    ((11, -4), 10), ((20, -20), 0), ((-20, -8), 60), ((-5, -46), 0), ((-30, 10), 120),
    ((11, 26), 200), ((18, -26), 20), ((-14, -24), 180), ((-5, 6.5, 9), 180), ((36, 4), 150),
    ((-5, 6.5, 7), 20), ((-24, 14), 230), ((38, -6), 90), ((-30, -30), 330), ((0, -38), 300),
    ((-40, -6), 180), ((31, -6), 60), ((5, 40), 190),
)  # fmt: skip
EXTENT = RADIUS + 8  # metres from the middle to the map's edge
CELL = 0.5  # metres of a map pixel

Picture = npt.NDArray[np.uint8]


def sheet() -> Picture:
    """Side effect: starts the game. 24 views, four in a row."""
    from nfd_gym.games.luanti.env import LuantiEnv

    env = LuantiEnv()
    try:
        views = []
        for position, yaw in VIEWS:
            place = {"position": position, "yaw": yaw, "pitch": 4.0}
            views.append(env.reset(options={"place": place})[0])
    finally:
        env.close()
    rows = [np.concatenate(views[row : row + 4], axis=1) for row in range(0, len(views), 4)]
    return np.concatenate(rows, axis=0)


def chart(store: Path, stride: int = 8) -> tuple[Picture, float]:
    """The island from above, gathered from every `stride`-th frame of a recording with depth, and
    beside it where the eye has been, brighter where longer; the share of the island's 4 m cells in
    which it has been. North (z) is up, x to the right."""
    side = int(2 * EXTENT / CELL)
    colour, top = np.zeros((side, side, 3), np.uint8), np.full((side, side), -99.0)
    visits = np.zeros((side, side))
    source = open_source(store)
    for index in range(len(source.names)):
        clip = source.read(index)
        if clip.depth is None or clip.pose is None:
            raise ValueError(f"{store}: {clip.name} has no depth; record it with depth.")
        np.add.at(visits, _cells(clip.pose[:, :3]), 1)
        for frame in range(0, len(clip), stride):
            places = unproject(clip.depth[frame], clip.pose[frame], FOV_Y)[::2, ::2].reshape(-1, 3)
            pixels = clip.frames[frame, ::2, ::2].reshape(-1, 3)
            near = (np.abs(places[:, [0, 2]]) < EXTENT).all(axis=1)
            places, pixels = places[near], pixels[near]
            order = np.argsort(places[:, 1], kind="stable")  # the highest is written last
            cells = _cells(places[order])
            higher = places[order, 1] >= top[cells] - 0.3
            cells = cells[0][higher], cells[1][higher]
            top[cells], colour[cells] = places[order][higher, 1], pixels[order][higher]
    coarse = visits.reshape(side // 8, 8, side // 8, 8).sum((1, 3))
    middle = (np.arange(side // 8) + 0.5) * 8 * CELL - EXTENT
    inside = np.hypot(*np.meshgrid(middle, middle)) < RADIUS - 4
    share = float((coarse[inside] > 0).mean())
    metres = visits.reshape(side // 2, 2, side // 2, 2).sum((1, 3)).repeat(2, 0).repeat(2, 1)
    heat = np.log1p(metres) / np.log1p(metres.max())
    grey = (np.asarray(colour, float).mean(axis=2, keepdims=True) * 0.35).repeat(3, axis=2)
    grey[..., 0] = np.maximum(grey[..., 0], 255 * heat)
    grey[..., 1] = np.maximum(grey[..., 1], 200 * heat)
    both = np.concatenate([colour[::-1], grey[::-1].astype(np.uint8)], axis=1)
    return both.repeat(2, axis=0).repeat(2, axis=1), share


def _cells(places: npt.NDArray[np.floating]) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """Row (z) and column (x) of places (..., 3) on the map."""
    side = int(2 * EXTENT / CELL)
    column, row = ((places[..., axis] + EXTENT) / CELL for axis in (0, 2))
    return (
        np.clip(row, 0, side - 1).astype(np.intp),
        np.clip(column, 0, side - 1).astype(np.intp),
    )


def save(picture: Picture, path: Path) -> None:
    """Side effect: a PNG file."""
    path.write_bytes(png(picture.astype(np.float64)))


def legend() -> str:
    return ", ".join(f"{name} ({x:g}, {z:g})" for name, (x, z) in LANDMARKS.items())
