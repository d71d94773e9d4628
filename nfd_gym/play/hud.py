"""The words of the HUD, the same in the window and in the browser. Pure functions of the facts.

A figure that nobody measured is not shown: no placeholder, no zero.
"""

from typing import Any

from nfd_gym.play.bindings import Bindings

Row = tuple[str, str]
Badge = tuple[str, str]  # (text, tone); tones: calm, live, warn

KEY_NAMES = {
    "left shift": "Shift", "right shift": "Shift", "left ctrl": "Ctrl", "right ctrl": "Ctrl",
    "escape": "Esc", "mouse left": "Left click", "mouse right": "Right click",
    "mouse middle": "Middle click",
}  # fmt: skip
SLOW = 0.95  # below this share of real time the player is told
HELP: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("walk", ("forward", "left", "back", "right")),
    ("jump, sneak, sprint", ("jump", "sneak", "sprint")),
    ("look", ("look left", "look right", "look up", "look down")),
    ("attack, use", ("attack", "use")),
    ("new place", ("new place",)),
    ("pause, single step", ("pause", "single step")),
    ("save, load, undo", ("save", "load", "undo")),
    ("real / dream", ("switch",)),
    ("human / agent / script", ("player",)),
    ("denoising steps", ("fewer steps", "more steps")),
    ("record, screenshot", ("record", "screenshot")),
    ("map, figures, this card", ("map", "hud", "help")),
    ("free the mouse, quit", ("free mouse",)),
)


def hud_rows(facts: dict[str, Any]) -> list[Row]:
    """(label, value) lines of the F3 panel."""
    width, height = facts["size"]
    rows = [("world", f"{facts['world']}  {width}x{height}"), ("player", facts["player"])]
    if facts.get("fps"):
        rows.append(("ticks", f"{facts['fps']:.1f} of {facts['rate']:g} a second"))
    if facts["tick_ms"]:
        middle, worst = facts["tick_ms"]
        rows.append(("step", f"{middle:.1f} ms   p99 {worst:.1f}"))
    # The env's own "step" is the part of the line above that was spent inside it.
    rows += [(f"  {name}", f"{ms:.1f} ms") for name, ms in facts["ms"].items() if name != "step"]
    if facts.get("latency_ms") is not None:
        ticks = facts["latency_ms"] * facts["rate"] / 1e3
        rows.append(("input to picture", f"{facts['latency_ms']:.0f} ms   {ticks:.1f} ticks"))
    rows += _figures(facts)
    rows.append(("seed", str(facts["seed"])))
    return rows


def badges(facts: dict[str, Any]) -> list[Badge]:
    """What is always on the screen because it would mislead if hidden."""
    shown: list[Badge] = []
    if facts["twin"]:
        shown.append((facts["side"], "live" if facts["side"] == "real" else "calm"))
    if facts["recording"] is not None:
        shown.append((f"rec {facts['recording'] / facts['rate']:.0f} s", "live"))
    if facts["player"] != "human":
        shown.append((f"{facts['player']} plays", "calm"))
    speed = slow_motion(facts)
    if facts["paused"]:
        shown.append(("paused", "warn"))
    elif speed is not None:
        shown.append((f"slow motion {speed:.2f}x", "warn"))
    return shown


def slow_motion(facts: dict[str, Any]) -> float | None:
    """The share of real time that the machine keeps up with, or None when it keeps up."""
    fps, rate = facts.get("fps") or 0.0, facts.get("rate") or 0.0
    if facts.get("awake_s", 0.0) < 1.0 or not fps or fps >= SLOW * rate:
        return None  # the first second says nothing yet
    return fps / rate


def help_rows(bindings: Bindings) -> list[Row]:
    """(keys, what they do) lines of the help card, with the player's own bindings."""
    return [
        ("  ".join(_key(bindings.key_for(name)) for name in names), text) for text, names in HELP
    ]


def _key(name: str) -> str:
    return KEY_NAMES.get(name, name.title())


def _figures(facts: dict[str, Any]) -> list[Row]:
    rows: list[Row] = []
    if facts["steps"] is not None:
        rows.append(("denoising steps", str(facts["steps"])))
    hits = speculation_hits(facts["speculation"])
    if hits is not None:
        rows.append(("speculation", f"{100 * hits:.0f} % hits"))
    if facts["drift"] is not None:
        rows.append(("drift", f"{facts['drift']:.2f}"))
    if facts["score"]:
        rows.append(("reward", f"{facts['score']:g}"))
    return rows


def speculation_hits(speculation: dict[str, Any] | None) -> float | None:
    """Hits per step that was guessed at, None without guessing."""
    if not speculation or not speculation.get("steps"):
        return None
    return speculation["hits"] / speculation["steps"]
