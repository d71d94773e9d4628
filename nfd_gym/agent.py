"""Trained agents: read from a Stable-Baselines3 zip without unpickling anything, and asked to act.

agents/saving.py writes the zip: SB3's own, plus `nfd_gym.json`, which says what the policy sees
(size, stack) and how it acts (codec, ticks that an action is held). The weights are plain tensors.
"""

import json
import zipfile
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load

from nfd_gym.actions import ActionCodec, codec_from_json
from nfd_gym.runtime.resize import resize

FACTS = "nfd_gym.json"
WEIGHTS = "weights.safetensors"
FORMAT = 1


class AgentError(ValueError):
    """A file that is no agent, or one that does not fit this world."""


def read_facts(path: Path) -> dict[str, Any]:
    """What an agent's zip says about the agent."""
    return _read(path)[0]


class Policy:
    """A trained policy for B lanes of pictures; it resizes, stacks and repeats as in training."""

    def __init__(self, path: Path, device: str = "cpu", deterministic: bool = False) -> None:
        self.facts, weights = _read(path)
        try:
            self.codec = codec_from_json(self.facts["codec"])
            width, height = self.facts["size"]
            self.size, self.stack = (int(width), int(height)), int(self.facts["stack"])
            self.repeat = int(self.facts["repeat"])
            algorithm, options = str(self.facts["algorithm"]), dict(self.facts["policy_kwargs"])
        except (KeyError, TypeError, ValueError) as error:
            raise AgentError(
                f"{path}: {FACTS} is damaged ({error!r}); train the agent anew."
            ) from error
        shape = (3 * self.stack, height, width)
        sees = gymnasium.spaces.Box(0, 255, shape, np.uint8)
        self._policy = _policy_class(algorithm)(sees, self.codec.space(), lambda _: 0.0, **options)
        try:
            state = {
                key: part.float() if part.is_floating_point() else part
                for key, part in load(weights).items()
            }
            state |= {name: state[kept] for name, kept in self.facts.get("aliases", {}).items()}
            self._policy.load_state_dict(state)
        except (RuntimeError, ValueError, KeyError, SafetensorError) as error:
            raise AgentError(
                f"{path}: its weights do not fit {FACTS} ({error}); train it anew."
            ) from error
        self._policy.to(device).set_training_mode(False)
        self.deterministic = deterministic
        self.begin(1)

    def begin(self, lanes: int) -> None:
        """Forget everything: `lanes` episodes begin."""
        self._seen = np.zeros((lanes, 3 * self.stack, self.size[1], self.size[0]), np.uint8)
        self._ticks = 0
        self._memory: Any = None  # of recurrent policies
        self._starts = np.ones(lanes, bool)
        self._actions: NDArray[Any] | None = None

    def act(self, frames: NDArray[np.uint8]) -> NDArray[Any]:
        """Actions of the codec's space for pictures (B, H, W, 3) of any size; ask every tick."""
        if self._actions is None or self._ticks % self.repeat == 0:
            small = resize(torch.from_numpy(np.ascontiguousarray(frames)), self.size).numpy()
            self._seen = np.concatenate([self._seen[:, 3:], small.transpose(0, 3, 1, 2)], axis=1)
            self._actions, self._memory = self._policy.predict(
                self._seen, self._memory, self._starts, deterministic=self.deterministic
            )
            self._starts = np.zeros(len(frames), bool)
        self._ticks += 1
        return self._actions


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
        raise AgentError(f"agents need {error.name}; type: pip install 'nfd_gym[rl]'") from error
    raise AgentError(f"no algorithm {algorithm!r}; agents are ppo, dqn or recurrent_ppo.")


def _read(path: Path) -> tuple[dict[str, Any], bytes]:
    """The facts and the weights' bytes."""
    try:
        with zipfile.ZipFile(path) as archive:
            facts = json.loads(archive.read(FACTS))
            weights = archive.read(WEIGHTS)
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
