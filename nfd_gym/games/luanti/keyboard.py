"""Presses keys and moves the mouse of a virtual display through the XTEST extension."""

import os
import threading

from Xlib import XK, X
from Xlib.display import Display
from Xlib.error import ConnectionClosedError
from Xlib.ext import xtest

from nfd_gym.games.luanti.gate import GameDied

# MineRL key -> X key symbol; what is missing has no counterpart in Minetest Game (see env.py).
KEYS = {
    "forward": "w", "back": "s", "left": "a", "right": "d", "jump": "space", "sneak": "Shift_L",
    "drop": "q", **{f"hotbar.{slot}": str(slot) for slot in range(1, 10)},
}  # fmt: skip
BUTTONS = {"attack": 1, "use": 3}
PRESSABLE = frozenset({*KEYS, *BUTTONS})


_environment = threading.Lock()


def connect(number: int, cookie: str) -> Display:
    """A connection to the display `:number`, which only takes those who know the cookie in that
    file. Side effect: XAUTHORITY, where python-xlib looks for it, meanwhile."""
    with _environment:
        before = os.environ.get("XAUTHORITY")
        os.environ["XAUTHORITY"] = cookie
        try:
            return Display(f":{number}")
        finally:
            if before is None:
                del os.environ["XAUTHORITY"]
            else:
                os.environ["XAUTHORITY"] = before


class Keyboard:
    """One connection to the display `:number`; `cookie` is the file that `write_cookie` made."""

    def __init__(self, number: int, cookie: str) -> None:
        self._display = connect(number, cookie)
        # Without a window manager nobody creates these atoms, and Irrlicht looks them up once.
        for atom in ("WM_PROTOCOLS", "WM_DELETE_WINDOW"):
            self._display.intern_atom(atom)
        self._display.change_keyboard_control(auto_repeat_mode=X.AutoRepeatModeOff)
        self._display.sync()
        self._codes = {
            key: self._display.keysym_to_keycode(XK.string_to_keysym(symbol))
            for key, symbol in KEYS.items()
        }
        self._held: frozenset[str] = frozenset()

    def place_window(self, width: int, height: int) -> bool:
        """Centres the game's window on the screen and gives it the focus, as no window manager
        does it. False when there is no such window yet."""
        screen = self._display.screen()
        for window in screen.root.query_tree().children:
            shape = window.get_geometry()
            if (shape.width, shape.height) == (width, height):
                window.configure(
                    x=(screen.width_in_pixels - width) // 2,
                    y=(screen.height_in_pixels - height) // 2,
                )
                window.set_input_focus(X.RevertToParent, X.CurrentTime)
                self._display.sync()
                return True
        return False

    def send(self, keys: frozenset[str], dx: int, dy: int) -> None:
        """Sets the held keys and moves the mouse; returns when the display has taken it all in."""
        try:
            for key in sorted(self._held - keys):
                self._fake(key, X.KeyRelease, X.ButtonRelease)
            for key in sorted(keys - self._held):
                self._fake(key, X.KeyPress, X.ButtonPress)
            if dx or dy:
                xtest.fake_input(self._display, X.MotionNotify, detail=1, x=dx, y=dy)
            self._held = keys
            self._display.sync()
        except (ConnectionClosedError, BrokenPipeError) as error:
            raise GameDied("the virtual display has ended") from error

    def _fake(self, key: str, key_event: int, button_event: int) -> None:
        if key in BUTTONS:
            xtest.fake_input(self._display, button_event, BUTTONS[key])
        else:
            xtest.fake_input(self._display, key_event, self._codes[key])

    def close(self) -> None:
        try:
            self._display.close()
        except (ConnectionClosedError, BrokenPipeError):
            pass  # the display went first
