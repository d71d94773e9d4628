"""Trained agents: read from a Stable-Baselines3 zip without unpickling anything, and asked to act.

agents/saving.py writes the zip: SB3's own, plus `nfd_gym.json`, which says what the policy sees
(size, stack) and how it acts (codec, ticks that an action is held). The weights are plain tensors.
"""

import json
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load

from nfd_gym.actions import ActionCodec, codec_from_json
from nfd_gym.errors import NfdError
from nfd_gym.extras import install_line
from nfd_gym.runtime.resize import resize

FACTS = "nfd_gym.json"
WEIGHTS = "weights.safetensors"
FORMAT = 1
# More than any agent of ours; a zip beyond them is refused before memory is asked for.
MOST_FACTS, MOST_WEIGHTS = 2**20, 2**29  # bytes
MOST_PIXELS, MOST_STACK, MOST_REPEAT, MOST_UNITS, MOST_LAYERS = 1024, 64, 1000, 4096, 16
OPTIONS = frozenset(
    ("net_arch", "lstm_hidden_size", "n_lstm_layers", "enable_critic_lstm", "shared_lstm",
     "ortho_init", "normalize_images", "features_extractor_kwargs", "share_features_extractor")
)  # fmt: skip
# What SB3 and torch raise for a network and weights that do not belong together.
UNFIT = (AssertionError, KeyError, RuntimeError, TypeError, ValueError, SafetensorError)


class AgentError(NfdError, ValueError):
    """A file that is no agent, or one that does not fit this world."""


def read_facts(path: Path) -> dict[str, Any]:
    """What an agent's zip says about the agent."""
    return _read(path)[0]


class Policy:
    """A trained policy for B lanes of pictures; it resizes, stacks and repeats as in training.

    A zip may come from anybody: sizes are bounded before anything of that size is made.
    """

    def __init__(self, path: Path, device: str = "cpu", deterministic: bool = False) -> None:
        self.facts, weights = _read(path)
        try:
            self.codec = codec_from_json(self.facts["codec"])
            width, height = (_count(side, MOST_PIXELS) for side in self.facts["size"])
            self.size, self.stack = (width, height), _count(self.facts["stack"], MOST_STACK)
            self.repeat = _count(self.facts["repeat"], MOST_REPEAT)
            algorithm, options = str(self.facts["algorithm"]), dict(self.facts["policy_kwargs"])
            _check_options(options)
            aliases = dict(self.facts.get("aliases", {}))
        except (KeyError, TypeError, ValueError) as error:
            raise AgentError(
                f"{path}: {FACTS} is damaged ({error}); train the agent anew."
            ) from error
        shape = (3 * self.stack, height, width)
        sees = gymnasium.spaces.Box(0, 255, shape, np.uint8)
        policy_class = _policy_class(algorithm)
        try:
            self._policy = policy_class(sees, self.codec.space(), lambda _: 0.0, **options)
            state = {
                key: part.float() if part.is_floating_point() else part
                for key, part in load(weights).items()
            }
            state |= {name: state[kept] for name, kept in aliases.items()}
            self._policy.load_state_dict(state)
        except UNFIT as error:
            raise AgentError(
                f"{path}: its weights do not fit {FACTS} ({error}); train it anew."
            ) from error
        self._policy.to(device).set_training_mode(False)
        self.deterministic = deterministic
        self.begin([0])

    def begin(self, seeds: Sequence[int]) -> None:
        """Forget everything: an episode begins for every seed, one per lane.

        A lane's actions depend on its pictures and its seed, not on the other lanes.
        """
        self._seeds = list(seeds)
        lanes = len(self._seeds)
        self._seen = np.zeros((lanes, 3 * self.stack, self.size[1], self.size[0]), np.uint8)
        self._ticks = 0
        self._memory: list[Any] = [None] * lanes  # of recurrent policies
        self._actions: NDArray[Any] | None = None

    def act(self, frames: NDArray[np.uint8]) -> NDArray[Any]:
        """Actions of the codec's space for pictures (B, H, W, 3) of any size; ask every tick."""
        if self._actions is None or self._ticks % self.repeat == 0:
            small = resize(torch.from_numpy(np.ascontiguousarray(frames)), self.size).numpy()
            self._seen = np.concatenate([self._seen[:, 3:], small.transpose(0, 3, 1, 2)], axis=1)
            self._actions = np.stack([self._decide(lane) for lane in range(len(self._seeds))])
        self._ticks += 1
        return self._actions

    def _decide(self, lane: int) -> NDArray[Any]:
        """The next action of one lane.

        SB3 samples from torch's global generator: here it is seeded by the lane's seed and the
        tick, and its state is restored afterwards.
        """
        address = np.random.SeedSequence([self._seeds[lane], self._ticks])
        with torch.random.fork_rng():
            torch.manual_seed(int(address.generate_state(1, np.uint64)[0] >> np.uint64(1)))
            actions, self._memory[lane] = self._policy.predict(
                self._seen[lane : lane + 1],
                self._memory[lane],
                np.array([self._ticks == 0]),
                deterministic=self.deterministic,
            )
        action: NDArray[Any] = actions[0]
        return action


class Agent:
    """A trained agent at the keyboard of `python -m nfd_gym.play`."""

    name = "agent"

    def __init__(self, path: Path, codec: ActionCodec) -> None:
        self.policy = Policy(path)
        mine, theirs = self.policy.codec.to_json(), codec.to_json()
        if mine["kind"] != theirs["kind"] or self.policy.codec.width != codec.width:
            raise AgentError(
                f"{path}: this agent acts with {mine['kind']} ({self.policy.codec.width} numbers), "
                f"the world with {theirs['kind']} ({codec.width}); train one in this world."
            )

    def vector(self, sample: Any, frame: NDArray[np.uint8]) -> NDArray[np.float32]:
        """The action vector for the next tick."""
        return self.policy.codec.encode(self.policy.act(frame[None])[0])


def _policy_class(algorithm: str) -> Any:
    try:
        if algorithm == "ppo":
            from stable_baselines3.common.policies import ActorCriticCnnPolicy

            return ActorCriticCnnPolicy
        if algorithm == "dqn":
            from stable_baselines3.dqn.policies import CnnPolicy

            return CnnPolicy
        if algorithm == "recurrent_ppo":
            from sb3_contrib.common.recurrent.policies import RecurrentActorCriticCnnPolicy

            return RecurrentActorCriticCnnPolicy
    except ImportError as error:
        raise AgentError(f"agents need {error.name}; type: {install_line('rl')}") from error
    raise AgentError(f"no algorithm {algorithm!r}; agents are ppo, dqn or recurrent_ppo.")


def _count(value: Any, most: int) -> int:
    if type(value) is not int or not 1 <= value <= most:
        raise AgentError(f"{value!r} is no whole number from 1 to {most}")
    return value


def _check_options(value: Any, known: frozenset[str] = OPTIONS) -> None:
    """Refuse what no agent of ours has: unknown options, huge or deep networks."""
    if isinstance(value, dict):
        unknown = set(value) - known
        if unknown:
            raise AgentError(f"policy_kwargs: unknown {sorted(unknown)}")
        for inner in value.values():
            _check_options(inner, frozenset(("pi", "vf", "features_dim", "normalized_image")))
    elif isinstance(value, list):
        if len(value) > MOST_LAYERS:
            raise AgentError(f"policy_kwargs: more than {MOST_LAYERS} layers")
        for inner in value:
            _check_options(inner, frozenset())
    elif value is not None and not isinstance(value, bool):
        _count(value, MOST_UNITS)


def _member(archive: zipfile.ZipFile, name: str, most: int) -> bytes:
    if archive.getinfo(name).file_size > most:
        raise AgentError(f"{name} is larger than {most} bytes")
    return archive.read(name)


def _read(path: Path) -> tuple[dict[str, Any], bytes]:
    """The facts and the weights' bytes."""
    try:
        with zipfile.ZipFile(path) as archive:
            facts = json.loads(_member(archive, FACTS, MOST_FACTS))
            weights = _member(archive, WEIGHTS, MOST_WEIGHTS)
    except FileNotFoundError as error:
        raise AgentError(
            f"no agent at {path}; train one with `python -m agents.train_ppo`."
        ) from error
    except KeyError as error:
        raise AgentError(
            f"{path} was not saved by nfd_gym (it lacks {error}); agents/saving.py writes what is "
            "needed beside SB3's own files."
        ) from error
    except (zipfile.BadZipFile, ValueError, OSError) as error:
        raise AgentError(f"{path} is no readable agent zip ({error}); copy it again.") from error
    if not isinstance(facts, dict) or facts.get("format") != FORMAT:
        raise AgentError(
            f"{path}: {FACTS} must be of format {FORMAT}; upgrade nfd_gym or train anew."
        )
    return facts, weights
