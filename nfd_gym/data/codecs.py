"""Whether two recordings, or a recording and a world, mean the same by their action vectors."""

from typing import Any

from nfd_gym.actions import ActionCodec, Continuous, Discrete
from nfd_gym.data.clip import DataError

LOOK = ("preset", "fov_y", "crosshair")  # how actions are offered and seen, not what they mean


def meaning(codec: ActionCodec) -> dict[str, Any]:
    """What decides the numbers of a vector: kind, width, ranges, the action at rest."""
    return {key: value for key, value in codec.to_json().items() if key not in LOOK}


def same_actions(a: ActionCodec, b: ActionCodec) -> bool:
    """Whether equal vectors mean equal actions."""
    return meaning(a) == meaning(b)


def fitting(measured: ActionCodec, given: ActionCodec | None) -> ActionCodec:
    """The given codec where it can read these actions in place of the measured one."""
    if isinstance(given, Discrete) and isinstance(measured, Discrete):
        return given if given.width >= measured.width else measured
    if isinstance(given, Continuous) and isinstance(measured, Continuous):
        return given if given.width == measured.width else measured
    return measured


def require_actions(found: ActionCodec, wanted: ActionCodec, where: str, whose: str) -> None:
    """Refuse recordings whose vectors mean other actions than `whose` do, naming both."""
    if not same_actions(found, wanted):
        raise DataError(
            f"{where}: its actions are {meaning(found)}, those of {whose} are {meaning(wanted)}; "
            "take recordings of the same action space (npz and LeRobot, whose ranges are measured, "
            "can be opened with codec=...)."
        )
