"""A small process that owns one game: starts it, and cleans up whatever happens to the controller.

Run as a script with nothing but the standard library, so that it starts in a few milliseconds.
It lives in its own session (ctrl-C does not reach it) and ends when its standard input closes or
the controller's process is gone, SIGKILL included. Then it kills the game, stops the X server and
deletes the instance's folder.

Its argument is the controller's process id. One JSON line on standard input describes the job,
the line "play" starts the game once the controller has met the display; JSON lines on standard
output report {"display": n}, {"game": pid} and {"exit": code}.
"""

import ctypes
import json
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import time
from typing import Any

PR_SET_PDEATHSIG = 1
Job = dict[str, Any]
Children = list["subprocess.Popen[bytes]"]


def die_with_parent() -> None:
    """Between fork and exec of a child: the kernel kills it should the supervisor be killed."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def report(**message: int) -> None:
    try:
        os.write(1, (json.dumps(message) + "\n").encode())
    except BrokenPipeError:
        pass  # the controller is gone: its end of file on standard input follows


def read_display(fd: int, server: "subprocess.Popen[bytes]", seconds: float) -> int | None:
    """The number that Xvfb chose; None when it died or stayed silent."""
    text, deadline = b"", time.monotonic() + seconds
    while not text.endswith(b"\n"):
        if not select.select([fd], [], [], max(0.0, deadline - time.monotonic()))[0]:
            return None
        piece = os.read(fd, 64)
        if not piece or server.poll() is not None:
            return None
        text += piece
    return int(text)


def start_display(job: Job, children: Children) -> int | None:
    read, write = os.pipe()
    with open(os.path.join(job["folder"], "xvfb.log"), "wb") as log:
        server = subprocess.Popen(
            [*job["xvfb"], "-displayfd", str(write)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            pass_fds=[write],
            preexec_fn=die_with_parent,
        )
    children.append(server)
    os.close(write)
    try:
        return read_display(read, server, seconds=15)
    finally:
        os.close(read)


def start_game(job: Job, display: int, children: Children) -> "subprocess.Popen[bytes]":
    environment = {**os.environ, **job["environment"], "DISPLAY": f":{display}"}
    game = subprocess.Popen(
        job["game"],
        env=environment,
        cwd=job["folder"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=job["log_fd"],
        pass_fds=job["game_fds"],
        preexec_fn=die_with_parent,
    )
    children.append(game)
    for fd in {*job["game_fds"], job["log_fd"]}:
        os.close(fd)
    return game


def read_line(owner: int) -> str:
    """The next line from the controller; empty when it closed the pipe or died."""
    line = b""
    while not line.endswith(b"\n"):
        ready = wait_readable([0, owner])
        piece = os.read(0, 65536) if 0 in ready else b""
        if not piece:
            return ""
        line += piece
    return line.decode()


def wait_readable(fds: list[int]) -> list[int]:
    poll = select.poll()  # unlike select(), takes descriptors above 1023
    for fd in fds:
        poll.register(fd, select.POLLIN)
    return [fd for fd, _ in poll.poll()]


def watch(owner: int, game: "subprocess.Popen[bytes]") -> None:
    """Returns when the controller closes the pipe or dies; reports the game's end meanwhile."""
    game_fd = os.pidfd_open(game.pid)
    fds = [0, owner, game_fd]
    while True:
        ready = wait_readable(fds)
        if game_fd in ready:
            report(exit=game.wait())
            fds.remove(game_fd)
        if owner in ready or (0 in ready and not os.read(0, 4096)):
            return


def remove_x_traces(display: int) -> None:
    """A killed Xvfb leaves its socket and, in some versions, a lock; a stopped one removes both.
    They stay if somebody answers: then the number has gone to another server."""
    path = f"/tmp/.X11-unix/X{display}"
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            for trace in (path, f"/tmp/.X{display}-lock"):
                if os.path.exists(trace):
                    os.unlink(trace)
        except FileNotFoundError:
            pass


def clean(job: Job, display: int | None, children: Children) -> None:
    for child in reversed(children):  # the game first: it needs no goodbye, its world is disposable
        if child is children[0]:
            child.terminate()  # lets Xvfb remove its lock
        else:
            child.kill()
        try:
            child.wait(3)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
    if display is not None:
        remove_x_traces(display)
    shutil.rmtree(job["folder"], ignore_errors=True)


def main() -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    owner = os.pidfd_open(int(sys.argv[1]))
    job = json.loads(read_line(owner) or "null")
    if job is None:
        return
    children: Children = []
    display = None
    try:
        display = start_display(job, children)
        if display is None:
            return
        report(display=display)
        if read_line(owner) == "play\n":
            game = start_game(job, display, children)
            report(game=game.pid)
            watch(owner, game)
    finally:
        clean(job, display, children)


if __name__ == "__main__":
    main()
