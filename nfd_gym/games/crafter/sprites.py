"""Pictures of Crafter's tiles and counts, as the package ships them: readers need no game.

Made from the installed game by `python -m nfd_gym.games.crafter.sprites`; Crafter and its pictures
are MIT.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nfd_gym.games.crafter.readings import drawn_counts
from nfd_gym.games.crafter.tiles import Sprite, drawn_sprites

PATH = Path(__file__).parents[2] / "assets" / "sprites" / "crafter.npz"


def counts() -> NDArray[np.uint8]:
    """Templates (16, 10, 16, 16, 3) of the counts."""
    with np.load(PATH, allow_pickle=False) as file:
        return np.asarray(file["counts"])


def tiles() -> list[Sprite]:
    """Every sprite that a tile can show."""
    with np.load(PATH, allow_pickle=False) as file:
        numbers, facings, pictures = file["numbers"], file["facings"], file["pictures"]
    facing = [(int(x), int(y)) if (x, y) != (0, 0) else None for x, y in facings]
    return list(zip(map(int, numbers), facing, pictures, strict=True))


def write(path: Path = PATH) -> None:
    """Side effect: the file, from the installed game."""
    sprites = drawn_sprites()
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(
        path,
        counts=drawn_counts(),
        numbers=np.array([number for number, _, _ in sprites], np.uint8),
        facings=np.array([facing or (0, 0) for _, facing, _ in sprites], np.int8),
        pictures=np.stack([picture for _, _, picture in sprites]).astype(np.float32),
    )


if __name__ == "__main__":
    write()
