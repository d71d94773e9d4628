"""Starts a supervisor and talks to it; one call ends everything it owns."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

from nfd_gym.games.luanti.gate import GameDied


class Supervised:
    """One X server and one game under a supervisor (see supervisor.py)."""

    def __init__(self, job: dict[str, Any], lock: int, pass_fds: Sequence[int]) -> None:
        script = str(files("nfd_gym.games.luanti").joinpath("supervisor.py"))
        self.folder = Path(job["folder"])
        self._owner = os.getpid()
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", script, str(os.getpid())],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            pass_fds=[lock, *pass_fds], start_new_session=True,
        )  # fmt: skip
        assert self._process.stdin is not None and self._process.stdout is not None
        self.fd = self._process.stdout.fileno()
        self.exit_code: int | None = None
        self._tell(json.dumps(job))

    def _tell(self, line: str) -> None:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(line.encode() + b"\n")
            self._process.stdin.flush()
        except BrokenPipeError as error:
            raise GameDied("the supervisor has ended") from error

    def hear(self) -> dict[str, int]:
        """The supervisor's next message. Raises GameDied when it has ended."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise GameDied("the virtual display did not start (Xvfb)")
        message: dict[str, int] = json.loads(line)
        self.exit_code = message.get("exit", self.exit_code)
        return message

    def play(self) -> None:
        """Lets the supervisor start the game."""
        self._tell("play")

    def hear_end(self) -> None:
        """To be called when `fd` is readable while the game runs."""
        message = self.hear()
        if "exit" in message:
            raise GameDied(f"the game has ended with code {message['exit']}")

    @property
    def alive(self) -> bool:
        return self._process.poll() is None and self.exit_code is None

    def stop(self) -> None:
        """Ends the game and waits until process, display, lock and folder are gone. Calling it
        again does nothing; neither does calling it from a forked child, whose game it is not."""
        if os.getpid() != self._owner:
            return
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None and not stream.closed:
                try:
                    stream.close()
                except BrokenPipeError:
                    pass
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
