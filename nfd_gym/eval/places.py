"""Beginning anywhere: the dream's pictures beside the real game's at the same drawn places.

Both worlds are reset to a place and then told the same actions; nothing of the game is given to the
dream but the place. Needs the game.
"""

from typing import Any

import gymnasium
import numpy as np

from nfd_gym.envs.nfd_env import NFDEnv
from nfd_gym.eval.metrics import psnr
from nfd_gym.world import World

AT = (0, 1, 20, 60)  # ticks after the reset
HELD = 5  # ticks that an action lasts


def places_table(world: World, count: int, engine: str = "auto", seed: int = 0) -> dict[str, Any]:
    """dB and distance of the eyes (m) at AT over `count` places, random actions held for HELD."""
    presets: dict[str, Any] = {"action_space": "discrete"}
    game = gymnasium.make(world.game["id"], **presets).unwrapped
    dream = NFDEnv(world, engine=engine, starts="anywhere", **presets)
    quality, apart = np.zeros((count, len(AT))), np.zeros((count, len(AT)))
    try:
        for number in range(count):
            frame, info = dream.reset(seed=seed + number)
            x, y, z, yaw, pitch = info["eye"]
            feet = (x, y - world.game["camera"]["eye_height"], z)
            place = {"position": feet, "yaw": yaw, "pitch": pitch}
            real, told = game.reset(seed=seed + number, options={"place": place})
            rng = np.random.default_rng([seed, number])
            for tick in range(max(AT) + 1):
                if tick:
                    if tick % HELD == 1:
                        action = int(rng.integers(dream.action_space.n))  # type: ignore[attr-defined]
                    frame, *_, info = dream.step(action)
                    real, *_, told = game.step(action)
                if tick in AT:
                    at = AT.index(tick)
                    quality[number, at] = psnr(frame[None], real[None])[0]
                    off = np.subtract(info["eye"][:3], told["eye"][:3])
                    apart[number, at] = np.linalg.norm(off)
    finally:
        game.close()  # type: ignore[no-untyped-call]
        dream.close()
    rows: list[list[Any]] = [
        [
            tick, count, float(np.median(quality[:, at])), float(quality[:, at].mean()),
            float(quality[:, at].min()), float((apart[:, at] < 0.25).mean()),
        ]
        for at, tick in enumerate(AT)
    ]  # fmt: skip
    columns = ["ticks", "places", "dB, median", "dB, mean", "dB, lowest", "eye within 0.25 m"]
    return {"columns": columns, "rows": rows}
