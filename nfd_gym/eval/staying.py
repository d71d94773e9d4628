"""Does a world stay? Recorded actions replayed in the dream, beside the game that recorded them.

A probe is a recorded clip that asks one question: turn away and back, walk a loop, dig, place,
stand still, meet a wall. Free runs ask how long the dream agrees with the game at all.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from nfd_gym.data.clip import Clip
from nfd_gym.eval.metrics import edge_energy, psnr
from nfd_gym.memory.blocks import cube_entry
from nfd_gym.memory.geometry import pixel_rays
from nfd_gym.runtime.session import Session
from nfd_gym.world import World

REST = 20  # frames at the end of a probe over which "back" is measured
NEAR = 0.25  # metres within which the dream's eye agrees with the game's
BLOCK = 8  # pixels of a region that may drift


@dataclass(frozen=True)
class Replay:
    """A clip's actions in the dream. Frame 0 is the clip's, given."""

    clip: Clip
    frames: NDArray[np.uint8]  # (T,H,W,3)
    nearness: NDArray[np.float32]  # (T,H,W)
    poses: NDArray[np.float32]  # (T,5)
    edits: NDArray[np.int64]  # (T,4): kind, cell
    milliseconds: NDArray[np.float32]  # (T-1,)

    @property
    def psnr(self) -> NDArray[np.float32]:
        """dB of every frame against the game's (T,)."""
        return psnr(self.frames, self.clip.frames)

    @property
    def pose_error(self) -> NDArray[np.float64]:
        """Metres between the two eyes (T,)."""
        assert self.clip.pose is not None
        apart: NDArray[np.float64] = np.linalg.norm(
            self.poses[:, :3] - self.clip.pose[:, :3], axis=1
        )
        return apart


def replay(
    world: World, clip: Clip, steps: int | None = None, engine: str = "eager", given: int = 1
) -> Replay:
    """The dream under a clip's actions, from its first `given` frames; at most `steps` of them."""
    assert clip.depth is not None and clip.pose is not None
    session = Session(world, engine=engine)
    head = slice(0, given)
    session.reset(
        clip.frames[None, head], clip.actions[None, head], clip.depth[None, head],
        clip.pose[None, head], seeds=[0],
    )  # fmt: skip
    stop = len(clip) if steps is None else min(len(clip), given + steps)
    frames, near, poses, edits = (
        [x[i] for i in range(given)]
        for x in (
            clip.frames, clip.depth.astype(np.float32) / 16384, clip.pose,
            np.zeros((given, 4), np.int64),
        )
    )  # fmt: skip
    cost = []
    for t in range(given, stop):
        state = session.advance(clip.actions[t][None])
        cost.append(session.timings["step"])
        frames.append(state.frame[0].numpy())
        near.append(state.nearness[0].numpy())
        poses.append(state.pose[0].numpy())
        edits.append(np.array([int(state.edit.kind[0]), *state.edit.cell[0].tolist()]))
    return Replay(
        clip.cut(0, stop), np.stack(frames), np.stack(near), np.stack(poses), np.stack(edits),
        np.array(cost, np.float32),
    )  # fmt: skip


def back(run: Replay) -> dict[str, float]:
    """A probe that ends where it began: its last frames against the game and the first frame."""
    last = slice(-REST, None)
    return {
        "back_db": float(run.psnr[last].mean()),
        "away_db": float(run.psnr[1:-REST].mean()),
        "pose_error_m": float(run.pose_error[last].mean()),
    }


def edited_region(run: Replay) -> dict[str, float]:
    """An edit probe: pictures inside the edited cells' cubes, at once and at the end, in dB, and
    the share of the recorded edits that the dream made at the same cell."""
    assert run.clip.pose is not None
    wanted = {
        (event.frame, tuple(round(value) for value in event.pos))
        for event in run.clip.events
        if event.pos is not None
    }
    made = {(t, tuple(row[1:].tolist())) for t, row in enumerate(run.edits) if row[0]}
    cells = {cell for _, cell in wanted}
    hits = sum(any((t + late, cell) in made for late in range(-2, 3)) for t, cell in wanted)
    inside = []
    for t in (max(t for t, _ in wanted) + 1, len(run.frames) - 1) if wanted else ():
        mask = cubes(run.clip.pose[t], cells, *run.frames.shape[1:3])
        error = run.frames[t].astype(np.float32)[mask] - run.clip.frames[t].astype(np.float32)[mask]
        inside.append(
            10 * np.log10(255**2 / max(float((error**2).mean()), 1e-3)) if mask.any() else np.nan
        )
    at_once, at_end = inside if inside else (np.nan, np.nan)
    return {
        "edits": float(len(wanted)), "same_edits": hits / max(1, len(wanted)),
        "at_once_db": float(at_once), "at_end_db": float(at_end), **back(run),
    }  # fmt: skip


def cubes(
    pose: NDArray[np.float32], cells: set[tuple[int, ...]], height: int, width: int,
    fov_y: float = 72.0,
) -> NDArray[np.bool_]:  # fmt: skip
    """Where rays from a pose meet the unit cubes of cells (H,W)."""
    at = torch.from_numpy(pose)
    rays = pixel_rays(at[None], height, width, fov_y)[0]
    hit = torch.zeros(height, width, dtype=torch.bool)
    for cell in cells:
        hit |= cube_entry(rays, at, torch.tensor(cell)).isfinite()
    return np.asarray(hit.numpy())


def drift(run: Replay) -> dict[str, float]:
    """A standing probe: the largest change of any 8x8 region from the second frame on, in grey
    levels."""
    frames = run.frames[2:].astype(np.float32).mean(-1)
    t, h, w = frames.shape
    regions = frames.reshape(t, h // BLOCK, BLOCK, w // BLOCK, BLOCK).mean((2, 4))
    return {
        "largest_drift": float(np.abs(regions - regions[:1]).max()),
        "mean_change": float(np.abs(frames[-1] - frames[0]).mean()),
        **back(run),
    }


def free_runs(
    runs: list[Replay], at: tuple[int, ...] = (16, 64, 256, 1000), width: int = 8
) -> Iterator[tuple[int, dict[str, float]]]:
    """Frame number, and means around it over the runs that are long enough."""
    for frame in at:
        rows = [run for run in runs if len(run.frames) > frame + width // 2]
        if not rows:
            continue
        near = slice(max(1, frame - width // 2), frame + width // 2)
        quality = np.array([run.psnr[near].mean() for run in rows])
        agrees = np.array([(run.pose_error[near] < NEAR).mean() > 0.5 for run in rows])
        sharp = [
            edge_energy(run.frames[frame]) / edge_energy(run.clip.frames[frame]) for run in rows
        ]
        yield (
            frame,
            {
                "db": float(quality.mean()),
                "db_where_pose_agrees": float(quality[agrees].mean())
                if agrees.any()
                else float("nan"),
                "pose_agrees": float(agrees.mean()),
                "edge_ratio": float(np.median(sharp)),
                "runs": float(len(rows)),
            },
        )
