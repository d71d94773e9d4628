"""Who plays: a human, a script, chance, or a trained agent. All answer with codec vectors."""

from pathlib import Path
from typing import Protocol

import numpy as np

from nfd_gym.data.rows import parse_action_rows, parse_vpt_rows, read_objects
from nfd_gym.errors import UsageError
from nfd_gym.play.controls import Controls
from nfd_gym.play.inputs import Sample
from nfd_gym.shipped import shipped


class Player(Protocol):
    """Somebody who looks at a frame and acts."""

    name: str

    def vector(self, sample: Sample, frame: np.ndarray) -> np.ndarray:
        """The action vector (A,) for the next tick."""
        ...


class Human:
    """The hands at the keyboard."""

    name = "human"

    def __init__(self, controls: Controls) -> None:
        self.controls = controls

    def vector(self, sample: Sample, frame: np.ndarray) -> np.ndarray:
        return self.controls.vector(sample)


class Scripted:
    """A walker with Minecraft's keys: strolls, looks around smoothly, hops, swings at things.

    Turns follow a slow, damped random force, so the camera moves like a hand and not like noise.
    """

    name = "scripted"

    def __init__(self, codec, rng: np.random.Generator) -> None:
        self.codec = codec
        self.rng = rng
        self.turn = np.zeros(2)  # (pitch, yaw) degrees per tick
        self.pitch = 0.0  # what the script itself looked down so far; it pulls back to the horizon
        self.plan = "walk"
        self.left = 0

    def vector(self, sample: Sample, frame: np.ndarray) -> np.ndarray:
        if self.left == 0:
            self.plan = str(self.rng.choice(["walk", "look", "hop", "dig"], p=[0.6, 0.2, 0.1, 0.1]))
            self.left = int(self.rng.integers(15, 50))
        self.left -= 1
        force = self.rng.normal(0.0, (0.15, 0.7)) - (0.02 * self.pitch, 0.0)
        self.turn = np.clip(0.9 * self.turn + force, -8.0, 8.0)
        self.pitch += self.turn[0]
        keys = {"walk": ["forward"], "hop": ["forward"], "dig": ["attack"]}.get(self.plan, [])
        if self.plan == "hop" and self.left % 12 < 3:
            keys = [*keys, "jump"]
        return self.codec.vector(keys, *self.turn.tolist())


class Chance:
    """Uniform samples of the action space, each held for a quarter of a second."""

    name = "random"
    HOLD = 5

    def __init__(self, codec, rng: np.random.Generator) -> None:
        preset = "discrete" if "discrete" in codec.presets else codec.presets[0]
        self.codec = codec.with_preset(preset)
        self.space = self.codec.space(preset)
        self.space.seed(int(rng.integers(2**31)))
        self.ticks = 0
        self.action = self.codec.noop()

    def vector(self, sample: Sample, frame: np.ndarray) -> np.ndarray:
        if self.ticks % self.HOLD == 0:
            self.action = self.space.sample()
        self.ticks += 1
        return self.codec.encode(self.action)


class Log:
    """The actions of a recording, in order; the no-op once they are used up."""

    name = "log"

    def __init__(self, vectors: np.ndarray, noop: np.ndarray) -> None:
        self.vectors, self.noop, self.at = vectors, noop, 0

    def vector(self, sample: Sample, frame: np.ndarray) -> np.ndarray:
        self.at += 1
        return self.vectors[self.at - 1] if self.at <= len(self.vectors) else self.noop


def log_player(path: Path, codec) -> Log:
    """Plays what a recording played: a log (.ndjson) or the rows of a clip (.jsonl)."""
    if not path.is_file():
        raise UsageError(f"--actions: there is no recording {path}; give a .ndjson or .jsonl file")
    if path.suffix == ".ndjson":
        vectors = [line["action"] for _, line in read_objects(path) if "action" in line]
        if not all(isinstance(vector, list) and len(vector) == codec.width for vector in vectors):
            raise UsageError(
                f"{path}: its actions do not have the {codec.width} numbers of this world"
            )
        return Log(np.array(vectors, np.float32), codec.encode(codec.noop()))
    if codec.kind == "keys_and_mouse":
        rows = parse_vpt_rows(path, stuck_attack=False)
    else:
        rows = parse_action_rows(path, codec.width)
    return Log(rows.chosen, codec.encode(codec.noop()))


def scripted_player(codec, rng: np.random.Generator) -> Player:
    """The script for a codec: the walker in a Minecraft-class world, chance elsewhere."""
    return Scripted(codec, rng) if codec.kind == "keys_and_mouse" else Chance(codec, rng)


def policy_player(policy: str, codec, rng: np.random.Generator) -> Player:
    """The player that `--policy` names: random, scripted, or the path of an agent.zip."""
    if policy == "random":
        return Chance(codec, rng)
    if policy == "scripted":
        return scripted_player(codec, rng)
    agents = shipped("agents")
    if policy in agents or (policy.endswith(".zip") and Path(policy).is_file()):
        from nfd_gym.agent import Agent

        return Agent(agents.get(policy, Path(policy)), codec)
    known = ", ".join(["random", "scripted", *agents])
    raise UsageError(f"{policy!r} is neither one of {known} nor an existing AGENT.zip")
