"""A gamepad, if one is plugged in: the left stick walks, the right one looks."""

import time
from typing import Any

import pygame
from pygame._sdl2 import controller

from nfd_gym.keyboard import DEGREES_PER_PIXEL

FULL = 32768.0
THRESHOLD = 0.45  # of a stick as a direction, of a trigger as a button
DEAD = 0.12
LOOK_DEGREES_S = 150.0  # at full deflection
BUTTONS = {
    "pad a": pygame.CONTROLLER_BUTTON_A,
    "pad b": pygame.CONTROLLER_BUTTON_B,
    "pad x": pygame.CONTROLLER_BUTTON_X,
    "pad y": pygame.CONTROLLER_BUTTON_Y,
    "pad back": pygame.CONTROLLER_BUTTON_BACK,
    "pad start": pygame.CONTROLLER_BUTTON_START,
    "pad left stick": pygame.CONTROLLER_BUTTON_LEFTSTICK,
    "pad right stick": pygame.CONTROLLER_BUTTON_RIGHTSTICK,
    "pad left bumper": pygame.CONTROLLER_BUTTON_LEFTSHOULDER,
    "pad right bumper": pygame.CONTROLLER_BUTTON_RIGHTSHOULDER,
    "pad up": pygame.CONTROLLER_BUTTON_DPAD_UP,
    "pad down": pygame.CONTROLLER_BUTTON_DPAD_DOWN,
    "pad left": pygame.CONTROLLER_BUTTON_DPAD_LEFT,
    "pad right": pygame.CONTROLLER_BUTTON_DPAD_RIGHT,
}


class Gamepad:
    """The first gamepad that SDL knows, polled with the events; silent without one."""

    def __init__(self, pad: Any = None) -> None:
        self.pad = pad
        self.held: set[str] = set()
        self.last = time.perf_counter()
        if pad is None:
            controller.init()
            self._look_for_one()

    def changes(self) -> list[tuple[str, bool]]:
        """(key name, went down) since the last call."""
        if self.pad is not None and not self.pad.attached():
            self.pad = None
        if self.pad is None:
            held: set[str] = set()
        else:
            held = self._held(self.pad)
        changed = sorted(held ^ self.held)
        self.held = held
        return [(name, name in held) for name in changed]

    def motion(self) -> tuple[float, float]:
        """What the right stick adds to the mouse motion since the last call, in pixels."""
        now = time.perf_counter()
        elapsed, self.last = min(now - self.last, 0.1), now
        if self.pad is None:
            return 0.0, 0.0
        right = self.pad.get_axis(pygame.CONTROLLER_AXIS_RIGHTX) / FULL
        down = self.pad.get_axis(pygame.CONTROLLER_AXIS_RIGHTY) / FULL
        pixels = LOOK_DEGREES_S / DEGREES_PER_PIXEL * elapsed
        return _curve(right) * pixels, _curve(down) * pixels

    def _look_for_one(self) -> None:
        for index in range(controller.get_count()):
            if controller.is_controller(index):
                self.pad = controller.Controller(index)
                return

    @staticmethod
    def _held(pad: Any) -> set[str]:
        held = {name for name, button in BUTTONS.items() if pad.get_button(button)}
        right = pad.get_axis(pygame.CONTROLLER_AXIS_LEFTX) / FULL
        down = pad.get_axis(pygame.CONTROLLER_AXIS_LEFTY) / FULL
        triggers = {
            "pad left trigger": pad.get_axis(pygame.CONTROLLER_AXIS_TRIGGERLEFT) / FULL,
            "pad right trigger": pad.get_axis(pygame.CONTROLLER_AXIS_TRIGGERRIGHT) / FULL,
            "pad stick left": -right,
            "pad stick right": right,
            "pad stick up": -down,
            "pad stick down": down,
        }
        return held | {name for name, value in triggers.items() if value > THRESHOLD}


def _curve(deflection: float) -> float:
    """A dead zone in the middle, then square: small corrections stay small."""
    size = max(0.0, abs(deflection) - DEAD) / (1 - DEAD)
    return size * size * (1 if deflection > 0 else -1)
