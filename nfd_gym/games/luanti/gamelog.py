"""Reads the game's log from a pipe and sorts out the lines of the two mods."""

import fcntl
import json
import os
from collections import deque
from typing import Any

from nfd_gym.games.luanti.gate import GameDied

PIPE_BYTES = 1 << 20
MARKS = ("@frame {", "@event {", "@server {")


class GameLog:
    """`frames` and `events` are keyed by the virtual clock of the frame they belong to."""

    def __init__(self) -> None:
        self.fd, self.write_fd = os.pipe()
        try:
            fcntl.fcntl(self.fd, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
        except PermissionError:
            pass  # the user's pipe quota is spent; 64 kB hold a hundred ticks as well
        os.set_blocking(self.fd, False)
        self.frames: dict[int, dict[str, Any]] = {}
        self.events: dict[int, list[dict[str, Any]]] = {}
        self.biome = ""
        self.reports: deque[dict[str, Any]] = deque(maxlen=64)
        self._rest = b""
        self._other: deque[str] = deque(maxlen=12)  # plain lines, for error messages

    def read(self) -> None:
        """Takes in everything that has been written. Raises GameDied at the end of the log."""
        while True:
            try:
                piece = os.read(self.fd, PIPE_BYTES)
            except BlockingIOError:
                return
            if not piece:
                raise GameDied("the game has ended")
            *lines, self._rest = (self._rest + piece).split(b"\n")
            for line in lines:
                self._take(line.decode(errors="replace"))

    def _take(self, line: str) -> None:
        for mark in MARKS:
            start = line.find(mark)
            if start >= 0:
                self._sort(mark, json.loads(line[start + len(mark) - 1 :]))
                return
        self._other.append(line)

    def _sort(self, mark: str, fields: dict[str, Any]) -> None:
        if mark == "@frame {":
            self.frames[fields["t"]] = fields
        elif mark == "@event {":
            self.events.setdefault(fields.pop("t"), []).append(fields)
        elif fields["report"] == "state":
            self.biome = fields["biome"]
        else:
            self.reports.append(fields)

    def forget(self) -> None:
        """Drops the frames and events read so far; the controller has used what it needs."""
        self.frames.clear()
        self.events.clear()

    @property
    def tail(self) -> str:
        return " | ".join(line[-160:] for line in list(self._other)[-4:])

    def close(self) -> None:
        os.close(self.fd)
