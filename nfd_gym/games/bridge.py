"""A Minecraft-class env in another Python interpreter, with the spaces of NFD-Minecraft-v0.

MineRL, MineStudio and CraftGround pin numpy and gym versions that cannot share an environment with
ours. Here they run in their own one, as a subprocess that bridge_server.py turns into a peer.
MineRL itself was not run with this: it is tested with an env that speaks its dialect.
"""

import json
import os
import select
import signal
import subprocess
import tempfile
import time
import weakref
from collections.abc import Callable, Mapping, Sequence
from importlib.resources import files
from typing import Any, ClassVar

import gymnasium
import numpy as np
import numpy.typing as npt

from nfd_gym import dialects
from nfd_gym.actions import KeysAndMouse
from nfd_gym.errors import NfdError, UsageError
from nfd_gym.games.bridge_server import decode, encode
from nfd_gym.settings import nearest

Frame = npt.NDArray[np.uint8]
TO_DIALECT: dict[str, Callable[[npt.NDArray[np.float32]], dict[str, Any]]] = {
    "minerl": dialects.to_minerl,
    "minestudio": dialects.to_minestudio,
    "craftground": dialects.to_craftground,
}
CLOSE_SECONDS = 10.0


class BridgeError(NfdError, RuntimeError):
    """The far env failed, fell silent or ended; `reset` starts it again where it has ended."""


class Peer:
    """The subprocess and its two pipes. `close` or garbage collection end it with its children."""

    def __init__(
        self, python: str, make: str, arguments: Mapping[str, Any], timeout_s: float
    ) -> None:
        script = str(files("nfd_gym.games").joinpath("bridge_server.py"))
        self._log = tempfile.TemporaryFile()
        try:
            self._process = subprocess.Popen(
                [python, script, make, json.dumps(dict(arguments))],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._log,
                start_new_session=True,  # so that whatever it starts can be ended with it
            )
        except OSError as error:
            self._log.close()
            raise BridgeError(
                f"{python} cannot be started ({error.strerror}); give the path of the python that "
                "has the env installed."
            ) from error
        self._finalizer = weakref.finalize(self, _end, self._process, self._log)
        try:
            self._answer("start", timeout_s)
        except BaseException:
            self.close()
            raise

    def ask(self, operation: str, arguments: Sequence[Any], timeout_s: float) -> dict[str, Any]:
        """One question, one answer. After a timeout the peer is ended: it would be out of step."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(encode({"op": operation, "arguments": list(arguments)}))
            self._process.stdin.flush()
        except (BrokenPipeError, ValueError) as error:
            raise BridgeError(f"the far env has ended{self._tail()}") from error
        return self._answer(operation, timeout_s)

    def _answer(self, operation: str, timeout_s: float) -> dict[str, Any]:
        deadline = time.monotonic() + timeout_s
        try:
            answer: dict[str, Any] = decode(lambda count: self._read(count, deadline))
        except TimeoutError as error:
            tail = self._tail()
            self._process.kill()  # it would not hear a request to close either
            self.close()
            raise BridgeError(f"no answer to {operation} within {timeout_s:g} s{tail}") from error
        except EOFError as error:
            tail = self._tail()
            self.close()
            raise BridgeError(f"the far env ended during {operation}{tail}") from error
        if "error" in answer:
            raise BridgeError(f"the far env failed in {operation}: {answer['error']}")
        return answer

    def _read(self, count: int, deadline: float) -> bytes:
        assert self._process.stdout is not None
        fd, data = self._process.stdout.fileno(), bytearray()
        poll = select.poll()
        poll.register(fd, select.POLLIN)
        while len(data) < count:
            if not poll.poll(max(0.0, deadline - time.monotonic()) * 1000):
                raise TimeoutError
            piece = os.read(fd, min(count - len(data), 1 << 20))
            if not piece:
                raise EOFError
            data += piece
        return bytes(data)

    def _tail(self) -> str:
        """The last line that the far side wrote to its standard error."""
        size = self._log.seek(0, os.SEEK_END)
        self._log.seek(max(0, size - 2000))
        lines = self._log.read().decode(errors="replace").strip().splitlines()
        return f" (its last words: {lines[-1][-300:]})" if lines else ""

    @property
    def alive(self) -> bool:
        return self._finalizer.alive and self._process.poll() is None

    def close(self) -> None:
        """Asks it to close its env, waits, then ends its whole process group. Idempotent."""
        self._finalizer()


def _end(process: "subprocess.Popen[bytes]", log: Any) -> None:
    assert process.stdin is not None and process.stdout is not None
    try:
        if process.poll() is None:
            process.stdin.write(encode({"op": "close", "arguments": []}))
        process.stdin.close()
        process.wait(CLOSE_SECONDS)
    except (BrokenPipeError, subprocess.TimeoutExpired):
        pass  # ended below
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass  # nobody of its group is left
    process.wait()
    process.stdout.close()
    log.close()


class BridgeEnv(gymnasium.Env[Frame, Any]):
    """`make` is "MODULE:CALLABLE" in the far interpreter `python`; called with `arguments`, it
    returns an env of old gym or of gymnasium. `dialect` says how it spells keys and mouse.

        BridgeEnv("/opt/minerl/bin/python", "gym:make", {"id": "MineRLBasaltFindCave-v0"})

    Everything of the far observation but the picture comes in info["observation"].
    """

    metadata: ClassVar[dict[str, Any]] = {  # type: ignore[misc]
        "render_modes": ["rgb_array"],
        "render_fps": 20,
    }

    def __init__(
        self,
        python: str,
        make: str,
        arguments: Mapping[str, Any] | None = None,
        dialect: str = "minerl",
        picture: str = "pov",
        action_space: str = "multidiscrete",
        size: tuple[int, int] = (640, 360),
        start_timeout_s: float = 600.0,
        step_timeout_s: float = 60.0,
        render_mode: str | None = None,
    ) -> None:
        """`size` is (width, height) of the far env's pictures. Minecraft takes minutes to start and
        to make a world, hence the long `start_timeout_s`, which also holds for `reset`."""
        if dialect not in TO_DIALECT:
            close = nearest(dialect, TO_DIALECT)
            raise UsageError(f"no dialect {dialect!r}; did you mean {close!r}?")
        self.codec = KeysAndMouse(action_space, camera=None)
        self.action_space = self.codec.space()
        self.observation_space = gymnasium.spaces.Box(0, 255, (size[1], size[0], 3), np.uint8)
        self.render_mode = render_mode
        self._speak = TO_DIALECT[dialect]
        self._picture = picture
        self._start = (python, make, dict(arguments or {}), start_timeout_s)
        self._start_timeout_s, self._step_timeout_s = start_timeout_s, step_timeout_s
        self._peer: Peer | None = None
        self._frame: Frame | None = None

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Frame, dict[str, Any]]:
        super().reset(seed=seed)
        if self._peer is None or not self._peer.alive:
            self.close()
            self._peer = Peer(*self._start)
        answer = self._peer.ask("reset", (seed, options), self._start_timeout_s)
        return self._receive(answer)

    def step(self, action: Any) -> tuple[Frame, float, bool, bool, dict[str, Any]]:
        if self._peer is None:
            raise gymnasium.error.ResetNeeded("call reset() before step().")
        far = self._speak(self.codec.encode(action))
        answer = self._peer.ask("step", (far,), self._step_timeout_s)
        frame, info = self._receive(answer)
        return frame, answer["reward"], answer["terminated"], answer["truncated"], info

    def render(self) -> Frame | None:  # type: ignore[override]
        if self.render_mode is None or self._frame is None:
            return None
        return self._frame.copy()

    def close(self) -> None:
        if self._peer is not None:
            self._peer.close()
            self._peer = None

    def _receive(self, answer: Mapping[str, Any]) -> tuple[Frame, dict[str, Any]]:
        observation = answer["observation"]
        rest: dict[str, Any] = {}
        if isinstance(observation, dict):
            rest = {key: value for key, value in observation.items() if key != self._picture}
            observation = observation.get(self._picture)
        shape = self.observation_space.shape
        if not isinstance(observation, np.ndarray) or observation.shape != shape:
            found = observation.shape if isinstance(observation, np.ndarray) else observation
            raise BridgeError(
                f"expected {shape} as the picture {self._picture!r}, got {found}; set size."
            )
        self._frame = observation.astype(np.uint8, copy=False)
        return self._frame.copy(), {**answer["info"], "observation": rest}
