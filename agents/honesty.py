"""Does the dream's reward tell the truth where an agent goes? Its heads, judged on the real game.

    python -m agents.honesty --policy scripted runs/chop/last.zip --task chop --publish

Every policy plays the real game; the heads look at its pictures, and what they would have paid is
compared with what the game logged. Low precision for a trained agent: it is paid for nothing.
"""

import argparse
import shlex
import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import gymnasium
import numpy as np
import torch

from agents.evaluate import HELD_OUT_WORLD, add_scoring_arguments, play
from agents.lanes import add_arguments, make_vector, setup_of
from agents.rivals import KINDS, Frames, Rival, make_rival
from nfd_gym.actions import ActionCodec
from nfd_gym.data import Clip, Event
from nfd_gym.eval import results
from nfd_gym.runtime.open_world import open_world
from nfd_gym.runtime.threads import settle
from nfd_gym.train.heads_score import score
from nfd_gym.train.heads_step import judge
from nfd_gym.world import WorldModel

TOLERANCE = 2  # frames between a found event and the logged one that still match
COLUMNS = ["policy", "event", "precision", "recall", "told", "logged"]


class Diary:
    """A rival whose episodes are kept as clips, with the events that the game logged."""

    def __init__(self, rival: Rival, codec: ActionCodec) -> None:
        self.rival, self.codec = rival, codec
        self.name, self.action_space, self.facts = rival.name, rival.action_space, rival.facts
        self.clips: list[Clip] = []

    def begin(self, seeds: Sequence[int], space: gymnasium.Space[Any]) -> None:
        self._days: list[list[tuple[Frames, Any, dict[str, Any]]]] = [[] for _ in seeds]
        self._last = [self.codec.encode(self.codec.noop())] * len(seeds)
        self.rival.begin(seeds, space)

    def act(self, frames: Frames, infos: Sequence[dict[str, Any]]) -> Sequence[Any]:
        """Frame t is written down with the action that made it and the events of its tick."""
        for lane, info in enumerate(infos):
            self._days[lane].append((np.array(frames[lane]), self._last[lane], dict(info)))
        actions = self.rival.act(frames, infos)
        self._last = [self.codec.encode(action) for action in actions]
        return actions

    def close(self, ticks: Sequence[int]) -> None:
        """Side effect: the episodes, cut to their lengths, become clips."""
        for day, count in zip(self._days, ticks, strict=True):
            frames, actions, infos = zip(*day[:count], strict=True)
            events = tuple(
                Event.from_info(frame, event)
                for frame, info in enumerate(infos)
                for event in info.get("events") or ()
            )
            pitch = np.array([info.get("pitch", 0.0) for info in infos], np.float32)
            self.clips.append(
                Clip(
                    frames=np.stack(frames),
                    actions=np.stack(actions),
                    events=events,
                    pitch=pitch,
                    name=f"{len(self.clips)}",
                )
            )


class Memory:
    """Clips in memory as a source."""

    def __init__(self, clips: list[Clip], codec: ActionCodec) -> None:
        self.clips, self.codec, self.fps = clips, codec, 20.0
        self.size = clips[0].frames.shape[1:3]
        self.names = [clip.name for clip in clips]
        self.lengths = [len(clip) for clip in clips]

    def read(self, index: int, start: int = 0, stop: int | None = None) -> Clip:
        """Clip `index`, whole."""
        return self.clips[index]


def honesty(
    world: WorldModel, clips: list[Clip], device: str = "cpu"
) -> dict[str, dict[str, float]]:
    """Precision and recall of every event that the world's heads tell, on real clips."""
    heads = world.heads
    if heads is None:
        raise ValueError(
            f"world {world.name!r} has no reward heads; train them with `python -m nfd_gym train "
            "heads`."
        )
    source = Memory(clips, world.codec)
    logits, truth = judge(heads, source, list(range(len(clips))), device)  # type: ignore[arg-type]
    return score(heads.config, heads.offsets.cpu(), logits, truth, TOLERANCE)


def main(argv: Sequence[str] | None = None) -> int:
    arguments = list(sys.argv[1:] if argv is None else argv)
    args = make_parser().parse_args(arguments)
    settle()
    world = open_world(args.world or "minecraft-tiny", args.device)
    rows = []
    for word in args.policy:
        rival = make_rival(word, args.repeat, args.device, args.deterministic)
        setup = replace(setup_of(args), world=None)
        setup = replace(setup, action_space=rival.action_space or setup.action_space)
        diary = Diary(rival, world.codec.with_preset(setup.action_space))
        torch.manual_seed(args.seed)
        lanes = make_vector(setup)
        try:
            for first in range(0, args.episodes, setup.lanes):
                played = play(lanes, diary, [args.seed + first + i for i in range(setup.lanes)])
                diary.close([episode.ticks for episode in played])
        finally:
            lanes.close()
        for event, found in honesty(world, diary.clips, args.device).items():
            told = [found[key] for key in ("precision", "recall", "found", "logged")]
            rows.append([rival.name, event, *told])
            print(*rows[-1], sep="   ", flush=True)
    figures = {"table": {"columns": COLUMNS, "rows": rows}, "tolerance": TOLERANCE}
    if args.publish:
        command = "python -m agents.honesty " + shlex.join(arguments)
        results.record(f"agents.honesty.{args.task}", figures, command)
    return 0


def make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m agents.honesty", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    add_arguments(parser, env="Luanti-v0", lanes=4, horizon=400, world_seed=HELD_OUT_WORLD)
    add_scoring_arguments(parser)
    add = parser.add_argument
    add("--policy", nargs="+", required=True, help=KINDS)
    add("--publish", action="store_true", help="merge the table into assets/results.json")
    return parser


if __name__ == "__main__":
    sys.exit(main())
