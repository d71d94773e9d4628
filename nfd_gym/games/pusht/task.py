"""The task of PushT in a learned world: the twin's reward and end, from the state that is shown.

The state is the pose that the world's body carries and the picture is drawn at; in worlds without
such a body it is read from the picture.
"""

from typing import Any

from nfd_gym.envs.tasks import Facts
from nfd_gym.errors import UsageError
from nfd_gym.games.pusht.pictures import state_of, states
from nfd_gym.games.pusht.readings import coverage
from nfd_gym.games.pusht.spec import SUCCESS

STATE = ("agent_x", "agent_y", "block_x", "block_y", "block_angle")


class PushT:
    """Coverage of the goal, 1 from the success threshold on, where the episode ends.

    The terms are the coverage and the state: pixels of 512 and radians.
    """

    name = "pusht"
    needs_position = False
    needs_frame = True

    def reset(self, facts: Facts) -> None:
        """Nothing to remember: a picture says everything."""

    def step(self, facts: Facts) -> tuple[float, bool, dict[str, float]]:
        if facts.pose is not None:
            state = state_of(facts.pose)
        elif facts.frame is not None:
            state = states(facts.frame)
        else:
            raise UsageError("the task pusht reads frames; run it in a learned world of PushT.")
        covered = float(coverage(state))
        terms = dict(zip(STATE, state.tolist(), strict=True))
        return min(covered / SUCCESS, 1.0), covered > SUCCESS, {"coverage": covered, **terms}

    def get_state(self) -> Any:
        return None

    def set_state(self, state: Any) -> None:
        """Nothing to remember."""
