"""Which key does what: Minecraft's defaults, and the JSON file that changes them.

Keys are named as pygame names them ("left shift", "space", "["), mouse buttons "mouse left",
gamepad buttons "pad a"; the web page sends the same names.
"""

import difflib
import json
import string
from pathlib import Path

from nfd_gym.errors import UsageError

MOVES: dict[str, tuple[str, ...]] = {
    "forward": ("w", "pad stick up"),
    "back": ("s", "pad stick down"),
    "left": ("a", "pad stick left"),
    "right": ("d", "pad stick right"),
    "jump": ("space", "pad a"),
    "sneak": ("left shift", "pad b"),
    "sprint": ("left ctrl", "pad left stick"),
    "attack": ("mouse left", "pad right trigger"),
    "use": ("mouse right", "pad left trigger"),
    "pickItem": ("mouse middle",),
    "drop": ("q", "pad y"),
    "inventory": ("e", "pad x"),
    "swapHands": ("f",),
    **{f"hotbar.{slot}": (str(slot),) for slot in range(1, 10)},
}
LOOKS: dict[str, tuple[str, ...]] = {
    "look left": ("left",),
    "look right": ("right",),
    "look up": ("up",),
    "look down": ("down",),
}
COMMANDS: dict[str, tuple[str, ...]] = {
    "new place": ("r",),
    "pause": ("p", "pad start"),
    "single step": (".",),
    "save": ("f5",),
    "load": ("f9",),
    "undo": ("backspace", "pad back"),
    "player": ("m",),
    "fewer steps": ("[",),
    "more steps": ("]",),
    "help": ("f1", "h"),
    "screenshot": ("f2",),
    "hud": ("f3",),
    "map": ("n",),
    "fullscreen": ("f11",),
    "record": ("v",),
    "switch": ("tab",),
    "free mouse": ("escape",),
}
DEFAULTS: dict[str, tuple[str, ...]] = {**MOVES, **LOOKS, **COMMANDS}

KEYS: frozenset[str] = frozenset(
    [
        *string.ascii_lowercase,
        *string.digits,
        *"-=[]\\;'`,./",
        *(f"f{number}" for number in range(1, 13)),
        *(f"[{digit}]" for digit in range(10)),
        *(f"{side} {name}" for side in ("left", "right") for name in ("shift", "ctrl", "alt")),
        *"space tab escape backspace return delete insert home end left right up down".split(),
        "page up",
        "page down",
        "caps lock",
        *(f"mouse {name}" for name in ("left", "middle", "right", "4", "5")),
        *(f"pad {name}" for name in "a b x y start back up down left right".split()),
        *(f"pad stick {way}" for way in ("up", "down", "left", "right")),
        *(
            f"pad {side} {name}"
            for side in ("left", "right")
            for name in ("bumper", "trigger", "stick")
        ),
    ]
)


class Bindings:
    """Key name -> what it does. A key does one thing; one thing may have several keys."""

    def __init__(self, changes: dict[str, tuple[str, ...]] | None = None) -> None:
        changes = changes or {}
        self.keys = {**DEFAULTS, **changes}
        self.uses: dict[str, str] = {}
        # A rebound function takes its key away from the default that held it, but two functions
        # that the player rebound to the same key are a mistake worth a message.
        for function, keys in sorted(self.keys.items(), key=lambda item: item[0] in changes):
            for key in keys:
                owner = self.uses.get(key)
                if owner in changes and function in changes:
                    raise UsageError(
                        f"the key {key!r} is bound to both {owner!r} and {function!r}; "
                        "give one of them another key"
                    )
                self.uses[key] = function

    def pressed(self, held: frozenset[str]) -> set[str]:
        """What the held keys ask for."""
        return {self.uses[key] for key in held if key in self.uses}

    def key_for(self, function: str) -> str:
        """The first key of a function that is still its own, for the help card; "-" if none."""
        return next((key for key in self.keys[function] if self.uses.get(key) == function), "-")


def load_bindings(path: Path) -> Bindings:
    """Bindings from a JSON file such as {"jump": "k", "attack": ["mouse left", "x"]}."""
    try:
        table = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UsageError(
            f"there is no bindings file {path}; check the path of --bindings"
        ) from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f'{path} is not JSON ({error}); write e.g. {{"jump": "k"}}') from None
    if not isinstance(table, dict):
        raise UsageError(f'{path} must hold one JSON object such as {{"jump": "k"}}')
    changes: dict[str, tuple[str, ...]] = {}
    for function, value in table.items():
        if function not in DEFAULTS:
            raise UsageError(f"{path}: {_nearest(function, DEFAULTS, 'there is no action')}")
        keys = value if isinstance(value, list) else [value]
        for key in keys:
            if not isinstance(key, str) or key.lower() not in KEYS:
                raise UsageError(f"{path}: {function!r}: {_nearest(key, KEYS, 'there is no key')}")
        changes[function] = tuple(key.lower() for key in keys)
    try:
        return Bindings(changes)
    except ValueError as error:
        raise UsageError(f"{path}: {error}") from None


def _nearest(name: object, known: dict[str, tuple[str, ...]] | frozenset[str], what: str) -> str:
    close = difflib.get_close_matches(
        str(name).lower(), {k.lower(): k for k in known}, n=1, cutoff=0
    )
    match = next(known_name for known_name in known if known_name.lower() == close[0])
    return f"{what} {name!r}; the nearest is {match!r}"
