"""Pictures as files: PNG screenshots and the browser view's JPEG frames (Pillow)."""

import io
from pathlib import Path

import numpy as np
from PIL import Image

SCALE = 4  # a 192 px frame becomes a picture that can be looked at; every pixel stays itself


def save_still(frame: np.ndarray, folder: Path) -> Path:
    """Write `frame` as the next free still-NNN.png of `folder`; returns its path."""
    folder.mkdir(parents=True, exist_ok=True)
    height, width = frame.shape[:2]
    picture = Image.fromarray(frame).resize(
        (width * SCALE, height * SCALE), Image.Resampling.NEAREST
    )
    number = 0
    while True:
        path = folder / f"still-{number:03d}.png"
        try:
            with path.open("xb") as file:  # two players in one folder do not overwrite each other
                picture.save(file, format="PNG")
            return path
        except FileExistsError:
            number += 1


def jpeg(frame: np.ndarray, quality: int = 90) -> bytes:
    """`frame` as JPEG bytes with full-resolution colour: each pixel is seen enlarged."""
    buffer = io.BytesIO()
    Image.fromarray(frame).save(buffer, format="JPEG", quality=quality, subsampling=0)
    return buffer.getvalue()
