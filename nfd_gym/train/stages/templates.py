"""Stage: templates of placed blocks and of faces laid bare, filmed after the edits of clips."""

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from nfd_gym.data import Source
from nfd_gym.memory.atlas import NORMALS, Atlas
from nfd_gym.memory.filming import Filming
from nfd_gym.memory.points import DUG
from nfd_gym.memory.templates import Templates, no_templates, pack_templates, unpack_templates
from nfd_gym.train.views import DEPTH_ONE, edits_of

MARGIN = 2  # cells around the edits that are filmed
FINE = 1  # finest levels that count: 16 and 8 texels
EVERY = 8  # frames


def film(
    source: Source, atlas: Atlas, fov_y: float, nodes: tuple[str, ...], clips: int | None = None
) -> Templates:
    """Templates from the frames after the first edit of every clip."""
    sums = np.zeros((len(nodes), 6, 16, 16, 4))
    hidden: dict[tuple[int, ...], NDArray[np.uint8]] = {}
    for index in range(len(source.names))[:clips]:
        clip = source.read(index)
        _, kinds, cells = edits_of(clip, nodes)
        ticks = np.flatnonzero(kinds.numpy())
        if not len(ticks) or clip.depth is None or clip.pose is None:
            continue
        edited = cells.numpy()[ticks]
        low, high = edited.min(0) - MARGIN, edited.max(0) + MARGIN + 1
        (x, y, z), (right, top, far) = low.tolist(), high.tolist()
        filming = Filming((x, y, z), (right, top, far), fov_y)
        for t in range(int(ticks[0]) + 1, len(clip), EVERY):
            near = clip.depth[t].astype(np.float32) / DEPTH_ONE
            filming.add(clip.frames[t], near, clip.pose[t])
        last = {tuple(cell): int(kinds[t]) for t, cell in zip(ticks, edited.tolist(), strict=True)}
        faces = filming.faces()
        for cell, facing, level, texels in zip(
            faces.cell.tolist(), faces.facing.tolist(), faces.level.tolist(), faces.texels,
            strict=True,
        ):  # fmt: skip
            if level > FINE:
                continue
            kind = last.get(tuple(cell), 0)
            front = last.get(tuple((np.array(cell) + NORMALS[facing]).tolist()), 0)
            if kind > DUG:
                sums[kind - DUG - 1, facing, ..., :3] += texels
                sums[kind - DUG - 1, facing, ..., 3] += 1
            elif kind == 0 and front == DUG and not atlas.has_face(cell, facing):
                hidden.setdefault((*cell, facing), texels)
    means = sums[..., :3] / np.maximum(sums[..., 3:], 1)
    for kind in range(len(nodes)):  # a side that was never filmed looks like the mean of the others
        known = sums[kind, :, 0, 0, 3] > 0
        if known.any():
            means[kind, ~known] = means[kind, known].mean(0)
    if not hidden:
        return no_templates(len(nodes))._replace(placed=means.round().astype(np.uint8))
    keys = np.array(list(hidden), np.int64)
    return Templates(
        means.round().astype(np.uint8),
        keys[:, :3].astype(np.int16),
        keys[:, 3].astype(np.uint8),
        np.stack(list(hidden.values())),
    )


def save(templates: Templates, path: Path) -> None:
    np.save(path, pack_templates(templates).numpy(), allow_pickle=False)


def load(path: Path) -> Templates:
    return unpack_templates(torch.from_numpy(np.load(path, allow_pickle=False)))
