"""A plain X11 window for render_mode="human": the twin runs where X does, so it needs no toolkit."""

import os

import numpy as np
import numpy.typing as npt
from Xlib import X
from Xlib.display import Display
from Xlib.error import DisplayConnectionError, DisplayNameError

BAND_BYTES = 200_000  # an X request may hold 256 kB


class Window:
    """Shows frames enlarged by whole pixels, about 768 wide."""

    def __init__(self, width: int, height: int, title: str) -> None:
        try:
            self._display = Display(os.environ.get("DISPLAY"))
        except (DisplayConnectionError, DisplayNameError) as error:
            raise RuntimeError(
                "render_mode='human' needs a display; set DISPLAY, or use render_mode='rgb_array'."
            ) from error
        screen = self._display.screen()
        if screen.root_depth not in (24, 32):
            raise RuntimeError(f"the display has {screen.root_depth} bit colours; 24 are needed.")
        self._depth = screen.root_depth
        self._scale = max(1, 768 // width)
        shape = (width * self._scale, height * self._scale)
        self._window = screen.root.create_window(0, 0, *shape, 0, self._depth, X.InputOutput)
        self._window.set_wm_name(title)
        self._context = self._window.create_gc()
        self._window.map()
        self._display.sync()

    def show(self, frame: npt.NDArray[np.uint8]) -> None:
        large = frame.repeat(self._scale, axis=0).repeat(self._scale, axis=1)
        height, width = large.shape[:2]
        pixels = np.zeros((height, width, 4), np.uint8)
        pixels[..., 2::-1] = large  # X wants blue first
        rows = max(1, BAND_BYTES // (width * 4))
        for top in range(0, height, rows):
            band = pixels[top : top + rows]
            self._window.put_image(
                self._context, 0, top, width, len(band), X.ZPixmap, self._depth, 0, band.tobytes()
            )
        self._display.sync()

    def close(self) -> None:
        self._display.close()
