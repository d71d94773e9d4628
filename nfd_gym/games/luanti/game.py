"""One running game: starts it, hands over actions, returns the very next frame."""

import json
import math
import os
import random
import time
import weakref
from typing import Any

import numpy as np
import numpy.typing as npt

from nfd_gym.games.luanti import folder as folders
from nfd_gym.games.luanti import install, shim
from nfd_gym.games.luanti.cookie import write_cookie
from nfd_gym.games.luanti.gamelog import GameLog
from nfd_gym.games.luanti.gate import TICK_US, GameDied, Gate
from nfd_gym.games.luanti.keyboard import Keyboard
from nfd_gym.games.luanti.process import Supervised

START_SECONDS = 120.0  # of one attempt; typical is 3, on a machine that is ten times overbooked 60
FRAME_SECONDS = 30.0  # typical is 0.005 on the island, 0.015 in Minetest Game
MESH_US = 300_000  # a picture of the island waits so long for the meshes of changed blocks
LOAD_SECONDS = 90.0  # for the whole island to arrive; typical is 5
REST_SECONDS = 2.0  # for a teleported player to have arrived; typical is 0.1
ATTEMPTS = 3
PIXEL_DEGREES = 0.15  # mouse_sensitivity in game.conf
# The pointer is put back to the window's centre at every frame and cannot leave the screen, so the
# screen's size limits a turn. This one lets a tick turn by 180 degrees and look up or down by 90.
SCREEN = (2560, 1280)

BODY_RADIUS, BODY_HEIGHT = 0.3, 1.77  # of the player's box, metres

Frame = npt.NDArray[np.uint8]


class Game:
    """Ended by `close`, by garbage collection or by the end of this process, however it comes."""

    def __init__(
        self,
        width: int,
        height: int,
        world_seed: int = 1,
        mapgen: str = "v7",
        game: str = "minetest",
        depth: bool = False,
    ) -> None:
        self.island = game == "island"
        for attempt in range(ATTEMPTS):
            try:
                self._start(width, height, world_seed, mapgen, game, depth)
                return
            except GameDied:
                if attempt == ATTEMPTS - 1:
                    raise
                time.sleep(0.2 * (attempt + 1))

    def _start(
        self, width: int, height: int, world_seed: int, mapgen: str, game: str, depth: bool
    ) -> None:
        """One attempt. A taken port or display ends in GameDied and leaves nothing behind."""
        folders.sweep()
        library = shim.build()
        window = (2 * width, 2 * height)
        place, lock = folders.create(*window, world_seed, mapgen, game)
        cookie = place / "cookie"
        write_cookie(cookie)
        patience = MESH_US if self.island else 0  # endless terrain is never finished
        gate, log = Gate(width, height, depth=depth, patience_us=patience), GameLog()
        salt = random.SystemRandom().getrandbits(29)  # for the choice of a port, see shim.c
        job = {
            "folder": str(place),
            "xvfb": ["Xvfb", "-screen", "0", f"{SCREEN[0]}x{SCREEN[1]}x24", "-nolisten", "tcp",
                     "-auth", str(cookie), "-noreset", "+extension", "GLX", "+extension", "XTEST"],
            "game": [install.find_game(), "--config", str(place / "game.conf"), "--go",
                     "--world", str(place / "world"), "--logfile", ""],
            "game_fds": gate.game_fds,
            "log_fd": log.write_fd,
            "environment": {
                "HOME": str(place / "home"),
                "XAUTHORITY": str(cookie),
                "LIBGL_ALWAYS_SOFTWARE": "1",
                "GALLIUM_DRIVER": "llvmpipe",
                "LP_NUM_THREADS": "1" if self.island else "2",  # the main thread waits for them
                "LD_PRELOAD": str(library),
                "NFD_SHIM": " ".join(map(str, (*gate.game_fds, salt))),
            },
        }  # fmt: skip
        try:
            process = Supervised(job, lock, (*gate.game_fds, log.write_fd))
        finally:
            os.close(lock)
            gate.release_game_fds()
            os.close(log.write_fd)
        self._process, self._gate, self._log = process, gate, log
        self._keyboards: list[Keyboard] = []  # one, once there is a display
        self._commands = 0
        self._settled = False  # whether the terrain has come once
        self._finalizer = weakref.finalize(self, _end, self._keyboards, process, gate, log)
        try:
            self._keyboards.append(Keyboard(process.hear()["display"], str(cookie)))
            process.play()
            self._wait_for_world(window)
        except BaseException:
            self.close()
            raise

    def _wait_for_world(self, window: tuple[int, int]) -> None:
        deadline = time.monotonic() + START_SECONDS
        joined = placed = False
        while not (joined and placed):
            if time.monotonic() > deadline:
                raise GameDied(f"the game was not ready within {START_SECONDS:.0f} s{self._hint()}")
            time.sleep(0.02)
            self._read_log()
            joined = joined or any(report["report"] == "join" for report in self._log.reports)
            placed = placed or self._keyboards[0].place_window(*window)
        self._gate.shut()
        self._wait()

    # ---- stepping ---------------------------------------------------------------------------

    def step(self, keys: frozenset[str], dx: int, dy: int) -> None:
        """Holds exactly these keys, moves the mouse, renders the frame of the next 50 ms.

        On the island that frame already shows what the hands have done in it. The use button is
        pressed after the move, if the block would not end up in the player's own body; and the
        mesh of a changed block is taken in at the beginning of the next frame, so that the same
        moment is drawn once more."""
        if self._gate.in_flight:
            raise GameDied("a step was interrupted before its frame arrived")
        if not self.island:
            self._render(keys, dx, dy)
            return
        idle = keys - {"use"}
        self._render(idle, dx, dy)
        if "use" in keys:
            self._render(idle, step_us=0)  # the client's line now knows what is pointed at
            if has_room(self._newest()):
                self._render(keys, step_us=0)
                self._keyboards[0].send(idle, 0, 0)
        if self._gate.clock_us in self._log.events:
            self._render(idle, step_us=0)

    def _render(
        self, keys: frozenset[str], dx: int = 0, dy: int = 0, step_us: int = TICK_US
    ) -> None:
        """One frame of the game, `step_us` of game time after the last one."""
        self._keyboards[0].send(keys, dx, dy)
        self._gate.release(step_us)
        self._wait()

    def _wait(self) -> None:
        others = {self._log.fd: self._log.read, self._process.fd: self._process.hear_end}
        try:
            self._gate.wait(FRAME_SECONDS, others)
        except GameDied as error:
            raise GameDied(f"{error}{self._hint()}") from error
        self._read_log()

    def _read_log(self) -> None:
        try:
            self._log.read()
        except GameDied as error:
            raise GameDied(f"{error}{self._hint()}") from error

    def _hint(self) -> str:
        return f" (its last words: {self._log.tail})" if self._log.tail else ""

    def picture(self) -> Frame:
        return self._gate.picture()

    def depth(self) -> npt.NDArray[np.uint16]:
        return self._gate.depth()

    def eye(self) -> tuple[float, float, float, float, float]:
        """x, y, z, yaw, pitch of the camera that drew the newest frame, in the env's axes."""
        player = self._newest()
        return eye_of(self._gate.view(), (player["x"], player["y"], player["z"]))

    @property
    def running(self) -> bool:
        return self._process.alive and not self._gate.in_flight

    def facts(self) -> dict[str, Any]:
        """The client's line of the newest frame; forgets older ones."""
        frame, events = self._newest(), self._log.events.get(self._gate.clock_us, [])
        eye = self.eye()
        self._log.forget()
        return {**frame, "events": events, "biome": self._log.biome, "eye": eye}

    def _newest(self) -> dict[str, Any]:
        """The client's line of the newest frame."""
        frame = self._log.frames.get(self._gate.clock_us)
        if frame is None:
            raise GameDied(f"the game logged nothing for its newest frame{self._hint()}")
        return frame

    # ---- moving -----------------------------------------------------------------------------

    def command(self, timeout_s: float = 60.0, **fields: Any) -> dict[str, Any]:
        """Sends a command to the server mod and ticks gently until it has been carried out."""
        self._commands += 1
        path = self._process.folder / "world" / "command.json"
        temporary = path.with_suffix(".tmp")
        temporary.write_text(json.dumps({"id": self._commands, **fields}))
        os.replace(temporary, path)
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            self.step(frozenset(), 0, 0)
            for report in self._log.reports:
                if report.get("id") == self._commands:
                    self._log.forget()
                    return report
            if not self.island or not self._settled:
                time.sleep(0.02)  # terrain is made in other threads, in real time
        raise GameDied(f"the server did not carry out a command within {timeout_s:.0f} s")

    def settle(self, least_s: float = 1.0, most_s: float = 6.0) -> None:
        """Ticks until the picture is calm: all terrain has arrived. At least 2.5 s of game time, in
        which the sky's brightness follows a teleport; the first noon takes longer to come up."""
        begin, calm, done = time.monotonic(), 0, 0
        ticks, self._settled = (50 if self._settled else 120), True
        old = self.picture().astype(np.int16)
        while True:
            for _ in range(5):
                self.step(frozenset(), 0, 0)
                time.sleep(0.02)
            done += 5
            new = self.picture().astype(np.int16)
            changed = float((np.abs(new - old).max(axis=2) > 24).mean())
            calm, old = (calm + 1 if changed < 0.01 else 0), new
            spent = time.monotonic() - begin
            if done >= ticks and (spent > most_s or (spent > least_s and calm >= 3)):
                break
        self._log.forget()

    def load(self) -> None:
        """Looks round from the middle until the whole island has arrived; later resets find it
        there."""
        if self._settled:
            return
        self.command(items=[], seed=1, yaw=0, pitch=0, at={"x": 0, "z": 0})
        deadline, ticks = time.monotonic() + LOAD_SECONDS, 0
        meshes, since = self._gate.meshes, 0  # when something has come last
        while not self._settled:
            if time.monotonic() > deadline:
                raise GameDied(f"the island was not there within {LOAD_SECONDS:.0f} s")
            ticks += 1
            self._log.forget()
            self.step(frozenset(), 600 if ticks % 10 == 0 else 0, 0)  # a quarter turn
            time.sleep(0.01)
            if self._gate.meshes != meshes:
                meshes, since = self._gate.meshes, ticks
            self._settled = not self._newest()["missing"] and ticks - since > 50

    def arrive(self, at: tuple[float, float, float]) -> bool:
        """Ticks until the player stands at `at`, in the game's coordinates, with the camera at
        rest over the feet, and every changed block is again what it was. False when that takes
        too long: a last edit may have reached the server after the command to undo them all."""
        deadline, calm, height = time.monotonic() + REST_SECONDS, 0, math.inf
        while calm < 3:
            if time.monotonic() > deadline:
                return False
            self._log.forget()
            self.step(frozenset(), 0, 0)
            line, eye = self._newest(), self.eye()
            near = math.dist((line["x"], line["z"]), (at[0], at[2])) < 0.7
            rest = line["ground"] and abs(eye[1] - height) < 0.001 and not line["changed"]
            calm, height = (calm + 1 if near and rest else 0), eye[1]
        return True

    def close(self) -> None:
        """Returns when processes, display, lock and folder are gone. Idempotent."""
        self._finalizer()


def _end(keyboards: list[Keyboard], process: Supervised, gate: Gate, log: GameLog) -> None:
    for keyboard in keyboards:
        keyboard.close()
    process.stop()
    gate.close()
    log.close()


def eye_of(
    view: npt.NDArray[np.float64], near: tuple[float, float, float]
) -> tuple[float, float, float, float, float]:
    """x, y, z, yaw, pitch of a camera from its matrix (4, 4) for row vectors, in the env's axes.
    The game counts positions from a corner that moves in steps of 200 m: the one by `near`."""
    turn, shift = view[:3, :3], view[3, :3]
    x, y, z = (-turn @ shift / 10.0).tolist()
    x, y, z = (c + 200.0 * round((n - c) / 200.0) for c, n in zip((x, y, z), near, strict=True))
    ahead = turn[:, 2]  # the game looks along +z of the camera, its x is the env's -x
    yaw = math.degrees(math.atan2(ahead[0], ahead[2]))
    return -x, y, z, yaw, -math.degrees(math.asin(max(-1.0, min(1.0, ahead[1]))))


def has_room(line: dict[str, Any]) -> bool:
    """Whether a block can be placed now and would stay clear of the player's body."""
    if line["above"] is None:
        return False
    x, y, z = (c - p for c, p in zip(line["above"], (line["x"], line["y"], line["z"]), strict=True))
    beside = max(abs(x), abs(z)) >= 0.5 + BODY_RADIUS - 0.01
    return beside or not -0.49 < y < BODY_HEIGHT + 0.49


def pixels(degrees: float, carry: float) -> tuple[int, float]:
    """Whole mouse pixels for a turn, and the part of a pixel left over for the next tick."""
    wanted = degrees / PIXEL_DEGREES + carry
    whole = math.floor(wanted + 0.5)
    return whole, wanted - whole
