"""The far end of the bridge: holds one env and obeys messages. Runs in a foreign interpreter.

Needs Python 3.7 and any numpy, imports nothing of nfd_gym, and is started as a script:

    python bridge_server.py MODULE:CALLABLE '{"json": "arguments"}'

A message is 8 bytes (the lengths of its two parts, big-endian), a JSON text and the bytes of its
arrays. Nothing is ever unpickled, on either side.
"""

import importlib
import inspect
import json
import os
import struct
import sys
import traceback
from typing import Any, Callable  # noqa: UP035 - for Python 3.7

import numpy as np

HEAD = struct.Struct(">II")
LARGEST = 1 << 28  # bytes of one part; a longer one means that the stream is out of step
ARRAY = "__array__"


class Closed(Exception):
    """The other side is gone."""


def encode(message: Any) -> bytes:
    """A message as bytes. Arrays and numpy numbers are kept; anything else JSON does not know is
    sent as the text that `repr` gives."""
    arrays: list[bytes] = []

    def plain(value: Any) -> Any:
        if isinstance(value, np.ndarray) and value.dtype.kind in "biuf":
            value = np.ascontiguousarray(value)
            arrays.append(value.tobytes())
            return {ARRAY: [value.dtype.str, list(value.shape)]}
        if isinstance(value, np.generic):
            return plain(value.item())
        if isinstance(value, dict):
            return {str(key): plain(item) for key, item in value.items()}
        if isinstance(value, (list, tuple)):
            return [plain(item) for item in value]
        if value is None or isinstance(value, (bool, int, float, str)):
            return value
        return repr(value)

    text = json.dumps(plain(message)).encode()
    data = b"".join(arrays)
    return HEAD.pack(len(text), len(data)) + text + data


def decode(read: Callable[[int], bytes]) -> Any:
    """The next message from `read(count)`, which returns exactly that many bytes."""
    text_length, data_length = HEAD.unpack(read(HEAD.size))
    if max(text_length, data_length) > LARGEST:
        raise ValueError("not a bridge message: something else was written into the pipe")
    tree, data = json.loads(read(text_length).decode()), read(data_length)
    position = 0

    def rich(value: Any) -> Any:
        nonlocal position
        if isinstance(value, dict):
            if list(value) == [ARRAY]:
                kind, shape = value[ARRAY]
                dtype = np.dtype(kind)
                if dtype.kind not in "biuf":
                    raise ValueError(f"arrays of {dtype} are not accepted")
                count = int(np.prod(shape, dtype=np.int64))
                array = np.frombuffer(data, dtype, count, position).reshape(shape).copy()
                position += array.nbytes
                return array
            return {key: rich(item) for key, item in value.items()}
        if isinstance(value, list):
            return [rich(item) for item in value]
        return value

    return rich(tree)


def reader(fd: int) -> Callable[[int], bytes]:
    def read(count: int) -> bytes:
        pieces = []
        while count:
            piece = os.read(fd, min(count, 1 << 20))
            if not piece:
                raise Closed()
            pieces.append(piece)
            count -= len(piece)
        return b"".join(pieces)

    return read


class Server:
    """Speaks old gym (4-tuples, `seed()`) and gymnasium (5-tuples, `reset(seed=)`)."""

    def __init__(self, env: Any) -> None:
        self.env = env
        parameters = inspect.signature(env.reset).parameters
        self.new = "seed" in parameters

    def reset(self, seed: Any = None, options: Any = None) -> "dict[str, Any]":
        if self.new:
            result = self.env.reset(seed=seed, options=options)
        else:
            if options:
                raise ValueError("this env's reset takes no options")
            if seed is not None:
                self.env.seed(seed)
            result = self.env.reset()
        with_info = isinstance(result, tuple) and len(result) == 2 and isinstance(result[1], dict)
        observation, info = result if with_info else (result, {})
        return {"observation": observation, "info": info}

    def step(self, action: Any) -> "dict[str, Any]":
        result = self.env.step(action)
        if len(result) == 5:
            observation, reward, terminated, truncated, info = result
        else:
            observation, reward, done, info = result
            truncated = bool(done and info.get("TimeLimit.truncated", False))
            terminated = done and not truncated
        return {
            "observation": observation,
            "reward": float(reward),
            "terminated": bool(terminated),
            "truncated": bool(truncated),
            "info": info,
        }

    def close(self) -> "dict[str, Any]":
        self.env.close()
        return {}


def serve(server: Server, read: Callable[[int], bytes], write: Callable[[bytes], None]) -> None:
    operations = {name: getattr(server, name) for name in ("reset", "step", "close")}
    while True:
        message = decode(read)
        try:
            answer = operations[message["op"]](*message["arguments"])
        except Exception as error:  # whatever the env raises is the caller's to see
            traceback.print_exc()
            answer = {"error": f"{type(error).__name__}: {error}"}
        write(encode(answer))
        if message["op"] == "close":
            return


def main() -> None:
    # The env may print what it likes: only our own copies of the pipes carry messages.
    incoming, outgoing = os.dup(0), os.dup(1)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(2, 1)

    def write(data: bytes) -> None:
        view = memoryview(data)
        while view:
            view = view[os.write(outgoing, view) :]

    name, arguments = sys.argv[1], json.loads(sys.argv[2])
    try:
        module, _, attribute = name.partition(":")
        env = getattr(importlib.import_module(module), attribute)(**arguments)
        server = Server(env)
    except Exception as error:
        traceback.print_exc()
        write(encode({"error": f"{type(error).__name__}: {error}"}))
        return
    write(encode({"ready": True}))
    try:
        serve(server, reader(incoming), write)
    except Closed:
        env.close()


if __name__ == "__main__":
    main()
