"""The island's textures: 16x16 blocks of a few close tones with a darker rim, drawn from a seed."""

import struct
import zlib
from pathlib import Path

import numpy as np
import numpy.typing as npt

Picture = npt.NDArray[np.float64]
RGB = tuple[int, int, int]

# name -> colour, spread of the tones
PLAIN: dict[str, tuple[RGB, float]] = {
    "grass": ((112, 184, 78), 6), "dirt": ((138, 100, 66), 6), "sand": ((232, 214, 152), 5),
    "path": ((196, 168, 118), 6), "stone": ((140, 143, 150), 7), "snow": ((246, 249, 253), 2),
    "leaves": ((62, 140, 62), 9), "autumn": ((226, 138, 58), 10), "needles": ((40, 110, 92), 5),
    "white": ((240, 238, 228), 3), "red": ((216, 62, 66), 5), "yellow": ((246, 208, 72), 5),
    "violet": ((146, 92, 206), 5), "lamp": ((255, 238, 170), 3), "bed": ((84, 86, 96), 3),
}  # fmt: skip


def block(rng: np.random.Generator, rgb: RGB, spread: float, cell: int = 4) -> Picture:
    """Squares of `cell` pixels in tones around `rgb`, with a rim: (16, 16, 3)."""
    count = 16 // cell
    tones = rng.normal(0, spread, (count, count, 1)).repeat(cell, 0).repeat(cell, 1)
    picture = np.asarray(rgb, float) + tones
    picture[[0, -1]] *= 0.86
    picture[:, [0, -1]] *= 0.86
    return picture


def water(rng: np.random.Generator, rgb: RGB) -> Picture:
    """Broad tones without a rim: a surface, not a wall."""
    tones = rng.normal(0, 4, (4, 2, 1)).repeat(4, 0).repeat(8, 1)
    return np.asarray(rgb, float) + tones


def courses(picture: Picture, joint: RGB, tall: int, shift: int) -> Picture:
    """Joints between courses of `tall` pixels, staggered by `shift`."""
    for row in range(0, 16, tall):
        picture[row + tall - 1] = joint
        picture[row : row + tall, (7 + shift * (row // tall)) % 16] = joint
    return picture


def all_pictures(seed: int = 0) -> dict[str, Picture]:
    """File name without suffix -> (16, 16, 3 or 4), 0 to 255; equal for equal seeds."""
    rng = np.random.default_rng(seed)
    made = {name: block(rng, rgb, spread) for name, (rgb, spread) in PLAIN.items()}
    made["grass_side"] = made["dirt"].copy()
    made["grass_side"][:5] = made["grass"][:5]
    made["grass_side"][5, ::4] = made["grass"][5, ::4]
    for name, rgb in (("tree", (112, 80, 52)), ("pine_tree", (84, 62, 52))):
        made[name] = block(rng, rgb, 3)
        made[name][:, 3::4] *= 0.85
    made["tree_top"] = block(rng, (170, 134, 88), 3)
    made["tree_top"][4:12, 4:12] *= 0.9
    made["sea"], made["shallow"] = water(rng, (58, 130, 204)), water(rng, (96, 188, 216))
    made["brick"] = courses(block(rng, (206, 84, 58), 5), (232, 204, 184), 4, 8)
    made["mason"] = courses(block(rng, (164, 160, 156), 5), (128, 124, 122), 8, 8)
    made["plank"] = block(rng, (202, 162, 102), 3)
    made["plank"][3::4] *= 0.82
    made["roof"] = block(rng, (186, 64, 54), 4)
    made["roof"][3::4] *= 0.84
    for name in ("red", "yellow", "white"):
        flower = block(rng, (70, 150, 60), 3)
        flower[:9] = made[name][:9]
        made[f"{name}_flower"] = flower
    made["invisible"] = np.zeros((16, 16, 4))
    return made


def png(picture: Picture) -> bytes:
    """A picture as the bytes of a PNG file."""
    pixels = np.clip(picture, 0, 255).astype(np.uint8)
    height, width, channels = pixels.shape
    lines = b"".join(b"\0" + line.tobytes() for line in pixels)

    def chunk(kind: bytes, data: bytes) -> bytes:
        check = zlib.crc32(kind + data)
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", check)

    head = struct.pack(">IIBBBBB", width, height, 8, 6 if channels == 4 else 2, 0, 0, 0)
    body = chunk(b"IDAT", zlib.compress(lines))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + body + chunk(b"IEND", b"")


def write(folder: Path) -> None:
    """Side effect: all textures as files in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, picture in all_pictures().items():
        (folder / f"{name}.png").write_bytes(png(picture))
