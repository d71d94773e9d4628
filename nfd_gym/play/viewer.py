"""The window: pygame events in, pictures out. The game itself runs in the loop's thread."""

import os
import time

import pygame

from nfd_gym.errors import UsageError
from nfd_gym.play import OTHER_WAYS
from nfd_gym.play.bindings import COMMANDS, Bindings
from nfd_gym.play.game import Shown
from nfd_gym.play.gamepad import Gamepad
from nfd_gym.play.loop import Loop
from nfd_gym.play.paint import Painter

UNSEEN = ("dummy", "offscreen", "evdev")
POLL_S = 0.004  # how long an event may wait before it is read and time-stamped
BUTTONS = {1: "mouse left", 2: "mouse middle", 3: "mouse right", 6: "mouse 4", 7: "mouse 5"}
HELP_S = 8.0  # the help card leaves by itself


class Window:
    """One pygame window on a running loop."""

    def __init__(self, loop: Loop, bindings: Bindings, frame_size: tuple[int, int]) -> None:
        self.loop = loop
        self.bindings = bindings
        self.running = True
        self.grabbed = False
        self.hud = False
        self.help_until: float | None = None  # set by the first picture
        self.shown: Shown | None = None
        self.draw_ms = 0.0
        # The display alone: pygame.init() would open the sound card too, which servers lack.
        os.environ["SDL_VIDEO_X11_WMCLASS"] = "nfd_gym"  # else "__main__.py", as pygame guesses
        try:
            pygame.display.init()
        except pygame.error as error:
            raise UsageError(f"no window can be opened ({error}): {OTHER_WAYS}") from None
        # Without a usable display SDL falls back to a driver that nobody can see.
        driver = pygame.display.get_driver()
        if driver in UNSEEN and os.environ.get("SDL_VIDEODRIVER") != driver:
            pygame.display.quit()
            raise UsageError(f"the display cannot be opened: {OTHER_WAYS}")
        pygame.font.init()
        width, height = frame_size
        scale = _first_scale(width, height)
        self.screen = pygame.display.set_mode((width * scale, height * scale), pygame.RESIZABLE)
        pygame.display.set_caption("nfd_gym")
        self.painter = Painter(bindings)
        self.gamepad = Gamepad()

    def run(self) -> None:
        """Show and play until the player quits or the loop ends. Side effect: closes the window."""
        self.grab(pygame.key.get_focused())
        try:
            while self.running and not self.loop.stopped:
                self.handle_events()
                fresh = self.loop.newer(self.shown.number if self.shown else 0, POLL_S)
                if fresh is not None:
                    self.shown = fresh
                    self.draw()
        finally:
            self.grab(False)
            pygame.display.quit()

    def draw(self) -> None:
        """Put the newest picture on the screen and tell the loop when it got there."""
        if self.shown is None:
            return
        if self.help_until is None:
            self.help_until = time.monotonic() + HELP_S
        start = time.perf_counter()
        facts = {**self.shown.facts, "ms": {**self.shown.facts["ms"], "draw": self.draw_ms}}
        self.painter.picture(self.screen, self.shown.frame)
        self.painter.badges(self.screen, facts)
        if self.hud:
            self.painter.hud(self.screen, facts)
        if time.monotonic() < self.help_until:
            self.painter.help(self.screen)
        elif not self.grabbed:
            self.painter.hint(self.screen, "click to look around, ESC to quit")
        pygame.display.flip()
        now = time.perf_counter()
        self.draw_ms = 1e3 * (now - start)
        self.loop.seen(self.shown, now)

    def handle_events(self) -> None:
        """Read everything that happened since the last call."""
        inputs = self.loop.inputs
        for event in pygame.event.get():
            if event.type == pygame.QUIT:
                self.running = False
            elif event.type == pygame.WINDOWFOCUSLOST:
                self.grab(False)
                inputs.release_all()
            elif event.type in (pygame.KEYDOWN, pygame.KEYUP):
                self.key(pygame.key.name(event.key), event.type == pygame.KEYDOWN)
            elif event.type == pygame.MOUSEMOTION and self.grabbed:
                inputs.move(*event.rel)
            elif event.type == pygame.MOUSEBUTTONDOWN and not self.grabbed:
                self.grab(True)  # this click only takes the mouse, it does not swing at anything
            elif event.type in (pygame.MOUSEBUTTONDOWN, pygame.MOUSEBUTTONUP):
                if event.button in BUTTONS:
                    self.key(BUTTONS[event.button], event.type == pygame.MOUSEBUTTONDOWN)
            elif event.type == pygame.MOUSEWHEEL and self.grabbed:
                inputs.scroll(event.y)
            elif event.type == pygame.WINDOWEXPOSED:
                self.draw()
        for name, down in self.gamepad.changes():
            self.key(name, down)
        inputs.move(*self.gamepad.motion())

    def key(self, name: str, down: bool) -> None:
        """A key, mouse button or gamepad button went down or up."""
        function = self.bindings.uses.get(name)
        if not down:
            self.loop.inputs.release(name)
        elif function not in COMMANDS:
            self.loop.inputs.press(name)
        elif function == "free mouse":
            self.running = self.grabbed
            self.grab(False)
        elif function == "hud":
            self.hud = not self.hud
        elif function == "help":
            on = time.monotonic() < (self.help_until or 0.0)
            self.help_until = 0.0 if on else float("inf")
        elif function == "fullscreen":
            pygame.display.toggle_fullscreen()
        else:
            self.loop.game.command(function)

    def grab(self, on: bool) -> None:
        """Take the mouse for looking around, or let it go together with all keys."""
        if on == self.grabbed:
            return
        self.grabbed = on
        pygame.mouse.set_visible(not on)
        pygame.event.set_grab(on)
        # Taking the mouse may warp the pointer, which must not turn the camera.
        pygame.event.clear(pygame.MOUSEMOTION)
        pygame.mouse.get_rel()
        if not on:
            self.loop.inputs.release_all()


def _first_scale(width: int, height: int) -> int:
    """The largest whole scale that leaves a quarter of the desktop free, at least 1."""
    desktop = pygame.display.get_desktop_sizes()[0]
    return max(
        1, min(int(0.8 * desktop[0]) // width, int(0.8 * desktop[1]) // height, 960 // width or 1)
    )
