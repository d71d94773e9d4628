"""`python -m nfd_gym record --env gym_pusht/PushT-v0`: scripted pushing as a store of clips."""

import argparse
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from nfd_gym.games.episodes import Tick, run
from nfd_gym.games.pusht.env import PushTEnv
from nfd_gym.games.pusht.players import PLAYERS
from nfd_gym.games.pusht.readings import block_corners
from nfd_gym.games.pusht.spec import SIDE, SPEC

LENGTH = 300  # frames of an episode
AFTERWARDS = 15  # frames kept after the goal was reached
LOST = 25.0  # pixels that the block may be off the table


class PushTFootage:
    """Episodes of PushT with the state of every frame."""

    spec = SPEC
    stem = "pusht"
    # The pusher's frames cost five times the others': planning, not drawing.
    shares: Mapping[str, float] = {"pusher": 0.12, "pushes": 0.68, "smooth": 0.1, "jerky": 0.1}
    about: Mapping[str, Any] = {"game": "gym-pusht, Apache-2.0", "drawn": 512}

    def __init__(self, length: int = LENGTH) -> None:
        self.env, self.length = PushTEnv(), length

    def episode(self, player: str, seed: int) -> Iterator[Tick]:
        rng = np.random.default_rng(seed)
        hand = PLAYERS[player](rng)
        codec = self.spec.codec
        frame, info = self.env.reset(seed=seed, options={"state": hand.start(rng)})
        yield Tick(frame, codec.encode(codec.noop()), state=_row(info))
        left = self.length - 1
        while left > 0:
            action = hand.act(np.concatenate([info["state"], info["velocity"]])).astype(np.float32)
            frame, reward, ended, _, info = self.env.step(action)
            yield Tick(frame, codec.encode(action), reward, info["events"], _row(info))
            left = min(left, AFTERWARDS) if ended else left
            left = 0 if _outside(info["state"]) > LOST else left - 1


def _outside(state: npt.NDArray[np.float64]) -> float:
    """How far the block's farthest corner is off the table: it can be pressed through a wall."""
    corners = block_corners(state[2:5])
    return float(np.abs(corners - corners.clip(0.0, SIDE)).max())


def _row(info: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "state": info["state"].tolist(),
        "velocity": info["velocity"].tolist(),
        "coverage": round(info["coverage"], 6),
    }


def main(args: argparse.Namespace) -> int:
    """Called by nfd_gym/data/cli_record.py."""
    return run(PushTFootage(), args)
