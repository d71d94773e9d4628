"""What a browser may say: small JSON objects, checked field by field before use."""

import json
from dataclasses import dataclass

from nfd_gym.errors import NfdError
from nfd_gym.play.bindings import KEYS

MAX_BYTES = 4096
MAX_KEYS = 32
MAX_MOTION = 10_000.0  # pixels per message
MAX_WHEEL = 100
FIELDS = frozenset({"keys", "dx", "dy", "wheel", "stamp", "take", "ping"})


class BadMessageError(NfdError, ValueError):
    """A message that no page of ours sends."""


@dataclass(frozen=True)
class Message:
    """One message of a browser: its whole key state and the motion since its last message."""

    keys: frozenset[str] | None = None
    dx: float = 0.0
    dy: float = 0.0
    wheel: int = 0
    stamp: float | None = None
    take: bool = False
    ping: float | None = None


def parse_message(text: str) -> Message:
    """The message in `text`, or BadMessageError; never anything else."""
    if len(text) > MAX_BYTES:
        raise BadMessageError("too long")
    try:
        fields = json.loads(text)
    except (ValueError, RecursionError):
        raise BadMessageError("not JSON") from None
    if not isinstance(fields, dict) or not fields.keys() <= FIELDS:
        raise BadMessageError("not a message of the page")
    keys = fields.get("keys")
    if keys is not None:
        if not isinstance(keys, list) or len(keys) > MAX_KEYS:
            raise BadMessageError("keys")
        if not all(isinstance(key, str) and key in KEYS for key in keys):
            raise BadMessageError("a key that does not exist")
    return Message(
        keys=None if keys is None else frozenset(keys),
        dx=_number(fields, "dx", MAX_MOTION) or 0.0,
        dy=_number(fields, "dy", MAX_MOTION) or 0.0,
        wheel=int(_number(fields, "wheel", MAX_WHEEL) or 0),
        stamp=_number(fields, "stamp", 1e15),
        take=fields.get("take") is True,
        ping=_number(fields, "ping", 1e15),
    )


def _number(fields: dict, name: str, most: float) -> float | None:
    value = fields.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise BadMessageError(name)
    if not -most <= value <= most:  # also false for NaN, and exact for integers of any length
        raise BadMessageError(name)
    return float(value)


class Allowance:
    """A message budget per connection: `rate` a second with bursts of twice that."""

    def __init__(self, rate: float, now: float) -> None:
        self.rate = rate
        self.left = 2 * rate
        self.last = now

    def spend(self, now: float) -> bool:
        """Whether one more message is within the budget."""
        self.left = min(2 * self.rate, self.left + (now - self.last) * self.rate)
        self.last = now
        self.left -= 1
        return self.left >= 0
