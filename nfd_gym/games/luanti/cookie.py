"""The secret without which nobody may talk to a game's virtual display."""

import os
import secrets
import socket
import struct
from pathlib import Path

FAMILY_LOCAL = 256
NAME = b"MIT-MAGIC-COOKIE-1"


def write_cookie(path: Path) -> None:
    """Side effect: an X authority file with a fresh cookie, valid for any display number of this
    machine, readable by this user alone."""
    parts = (socket.gethostname().encode(), b"", NAME, secrets.token_bytes(16))
    entry = struct.pack(">H", FAMILY_LOCAL)
    entry += b"".join(struct.pack(">H", len(part)) + part for part in parts)
    handle = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_EXCL, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(entry)
