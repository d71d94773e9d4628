"""Figures of a PushT world in the game's own units, pixels of 512 and degrees, from pictures."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from nfd_gym.data.clip import Clip
from nfd_gym.eval.rollout import Excerpt, Frames, roll, stack
from nfd_gym.games.pusht.pictures import states
from nfd_gym.games.pusht.readings import angle_between
from nfd_gym.games.pusht.spec import MOVED, SIDE, SPEC
from nfd_gym.runtime.session import Session
from nfd_gym.world import World

AT = (1, 16, 64)
CIRCLE = 120.0  # pixels between the middle of an untouched block and the circling agent


def fits(world: World) -> bool:
    """Whether a world was learned from recordings of PushT."""
    return world.provenance.get("game") == SPEC.id


def state_errors(made: Frames, real: Frames) -> NDArray[np.float64]:
    """Errors (...,3) of agent and block in pixels of 512 and of the angle in degrees, between the
    states that pictures show; and how far the block had to move, in pixels (...,)."""
    one, other = states(made), states(real)
    agent = np.linalg.norm(one[..., :2] - other[..., :2], axis=-1)
    block = np.linalg.norm(one[..., 2:4] - other[..., 2:4], axis=-1)
    turn = np.degrees(angle_between(one[..., 4], other[..., 4]))
    return np.stack([agent, block, turn], -1)


def state_table(made: Frames, real: Excerpt) -> dict[str, Any]:
    """Errors of free runs by frame, over all stretches and over those whose block moves."""
    columns = [
        "frame", "stretches", "agent px", "block px", "block px, median", "degrees",
        "degrees, median", "block moved px", "angle turned",
    ]  # fmt: skip
    rows: list[list[Any]] = []
    for step in AT:
        if step > real.horizon:
            continue
        errors = state_errors(made[:, step - 1], real.real[:, step - 1])
        moved = state_errors(real.last, real.real[:, step - 1])
        pushed = moved[:, 1] > MOVED + 1.0
        for name, rows_of in (("all", np.ones(len(errors), bool)), ("pushed", pushed)):
            if not rows_of.any():
                continue
            e, m = errors[rows_of], moved[rows_of]
            rows.append([
                f"{step}, {name}", int(rows_of.sum()), *(
                    float(x) for x in (
                        e[:, 0].mean(), e[:, 1].mean(), np.median(e[:, 1]), e[:, 2].mean(),
                        np.median(e[:, 2]), m[:, 1].mean(), m[:, 2].mean(),
                    )
                ),
            ])  # fmt: skip
    return {"columns": columns, "rows": rows}


def untouched_table(world: World, engine: str, runs: int = 8, steps: int = 200) -> dict[str, Any]:
    """How far a block drifts that the agent walks around without touching it."""
    real = circling(runs, world.denoiser.config.window + 1, steps)
    session = Session(world, num_envs=runs, engine=engine)
    made = roll(session, real)
    session.close()
    errors = state_errors(made[:, -1], real.real[:, -1])
    return {
        "columns": ["steps", "runs", "block px, largest", "degrees, largest", "agent px, mean"],
        "rows": [[
            steps, runs, float(errors[:, 1].max()), float(errors[:, 2].max()),
            float(errors[:, 0].mean()),
        ]],
    }  # fmt: skip


def circling(runs: int, context: int, steps: int, seed: int = 0) -> Excerpt:
    """Recordings of the game in which the agent walks around a block, once in 40 steps."""
    from nfd_gym.games.pusht.env import PushTEnv  # the game itself is an extra

    env, random, clips = PushTEnv(), np.random.default_rng(seed), []
    for run in range(runs):
        block = np.array([*random.uniform(190, 322, 2), random.uniform(-np.pi, np.pi)])
        middle = block[:2] + 41.0 * np.array([-np.sin(block[2]), np.cos(block[2])])
        angles = random.uniform(0, 2 * np.pi) + np.arange(context + steps) * (2 * np.pi / 40)
        path = middle + CIRCLE * np.stack([np.cos(angles), np.sin(angles)], -1)
        path = path.clip(15, SIDE - 15).astype(np.float32)
        frame, _ = env.reset(options={"state": (*path[0], *block)})
        frames = [frame]
        for place in path[1:]:
            frame, _, _, _, info = env.step(place)
            frames.append(frame)
        assert np.allclose(info["state"][2:], block), "the agent touched the block"
        actions = np.stack([env.codec.encode(place) for place in path])
        clips.append(Clip(np.stack(frames), actions, name=f"circle-{run}", fps=SPEC.fps))
    return stack(clips, context)
