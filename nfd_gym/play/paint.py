"""Drawing: the picture scaled by whole numbers, and quiet panels of text over it."""

import numpy as np
import pygame

from nfd_gym.play.bindings import Bindings
from nfd_gym.play.hud import badges, help_rows, hud_rows

NIGHT = (13, 15, 18)
INK = (232, 234, 237)
DIM = (150, 158, 168)
PANEL = (13, 15, 18, 200)
TONES = {"calm": (150, 158, 168), "live": (255, 99, 88), "warn": (255, 196, 87)}
MARGIN, PAD, GAP = 14, 12, 18


class Painter:
    """Fonts and text surfaces, kept between frames: text changes slowly, drawing is every tick."""

    def __init__(self, bindings: Bindings) -> None:
        self.font = pygame.font.Font(None, 20)
        self.lines: dict[tuple[str, tuple[int, ...]], pygame.Surface] = {}
        self.help_lines = help_rows(bindings)

    def picture(self, screen: pygame.Surface, frame: np.ndarray) -> None:
        """The frame in the middle, each pixel a square of whole screen pixels."""
        height, width = frame.shape[:2]
        surface = pygame.image.frombuffer(np.ascontiguousarray(frame), (width, height), "RGB")
        room = screen.get_size()
        scale = min(room[0] // width, room[1] // height)
        if scale >= 1:
            size = (width * scale, height * scale)
        else:  # a window smaller than the picture: any scale that fits
            ratio = min(room[0] / width, room[1] / height)
            size = (max(1, int(width * ratio)), max(1, int(height * ratio)))
        if size != room:
            screen.fill(NIGHT)
        scaled = pygame.transform.scale(surface, size)
        screen.blit(scaled, ((room[0] - size[0]) // 2, (room[1] - size[1]) // 2))

    def badges(self, screen: pygame.Surface, facts: dict) -> None:
        """Top right: what must not be hidden. Bottom middle: the last message."""
        right = screen.get_width() - MARGIN
        for text, tone in badges(facts):
            line = self._line(text, TONES[tone])
            box = pygame.Rect(0, MARGIN, line.get_width() + 34, line.get_height() + 12)
            box.right = right
            self._panel(screen, box)
            pygame.draw.circle(screen, TONES[tone], (box.left + 14, box.centery), 4)
            screen.blit(line, (box.left + 24, box.top + 6))
            right = box.left - 8
        if facts["toast"]:
            self.hint(screen, facts["toast"])

    def hint(self, screen: pygame.Surface, text: str) -> None:
        line = self._line(text, INK)
        box = line.get_rect().inflate(2 * PAD, PAD)
        box.midbottom = (screen.get_width() // 2, screen.get_height() - 2 * MARGIN)
        self._panel(screen, box)
        screen.blit(line, line.get_rect(center=box.center))

    def hud(self, screen: pygame.Surface, facts: dict) -> None:
        self._table(screen, hud_rows(facts), (MARGIN, MARGIN), DIM, INK)

    def help(self, screen: pygame.Surface) -> None:
        self._table(screen, self.help_lines, None, INK, DIM)

    def _table(self, screen, rows, corner, left_ink, right_ink) -> None:
        """Two columns in a panel at `corner`, or in the middle of the screen."""
        left = [self._line(label, left_ink) for label, _ in rows]
        right = [self._line(value, right_ink) for _, value in rows]
        column = max(line.get_width() for line in left) + GAP
        step = self.font.get_linesize() + 4
        box = pygame.Rect(0, 0, 0, 0)
        box.size = (
            column + max(line.get_width() for line in right) + 2 * PAD,
            step * len(rows) + 2 * PAD - 4,
        )
        if corner is None:
            box.center = screen.get_rect().center
        else:
            box.topleft = corner
        self._panel(screen, box)
        for number, (label, value) in enumerate(zip(left, right, strict=True)):
            top = box.top + PAD + number * step
            screen.blit(label, (box.left + PAD, top))
            screen.blit(value, (box.left + PAD + column, top))

    def _panel(self, screen: pygame.Surface, box: pygame.Rect) -> None:
        panel = pygame.Surface(box.size, pygame.SRCALPHA)
        pygame.draw.rect(panel, PANEL, panel.get_rect(), border_radius=8)
        screen.blit(panel, box)

    def _line(self, text: str, ink: tuple[int, ...]) -> pygame.Surface:
        if len(self.lines) > 500:  # figures make new texts all the time
            self.lines.clear()
        key = (text, ink)
        if key not in self.lines:
            self.lines[key] = self.font.render(text or " ", True, ink)
        return self.lines[key]
