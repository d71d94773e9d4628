"""Laws of the body's training: a mirrored world gives mirrored inputs, and shaking is bounded."""

from types import SimpleNamespace

import torch

from nfd_gym.model.eye import EyeBody
from nfd_gym.model.legs import LegInputs
from nfd_gym.train.recipes.island import BODY
from nfd_gym.train.stages.body import mirrored, shaken

ACROSS = torch.tensor([-1.0, 1.0, 1.0])


def rubble(flip: bool) -> SimpleNamespace:
    """A memory whose solid cells (or their mirror image) are a hash of their place."""

    def solid(_: object, cells: torch.Tensor) -> torch.Tensor:
        x, y, z = (cells * torch.tensor([-1, 1, 1]) if flip else cells).unbind(-1)
        return (x * 7 + y * 13 + z * 29) % 5 < 2

    return SimpleNamespace(solid=solid)


def test_a_mirrored_world_gives_mirrored_inputs() -> None:
    body, random = EyeBody(BODY), torch.Generator().manual_seed(0)
    for _ in range(20):
        place = torch.rand(1, 3, generator=random) * 10 - 5
        yaw = torch.rand(1, 1, generator=random) * 360 - 180
        steps = torch.rand(2, 1, 3, generator=random) - 0.5
        rest = torch.rand(1, 5, generator=random)
        faced = torch.rand(1, 1, generator=random) * 360 - 180
        walked = (torch.rand(1, len(BODY.walk), generator=random) > 0.5).float()
        action = (torch.rand(1, 25, generator=random) > 0.5).float()
        pose = torch.cat([place, yaw, torch.zeros(1, 1)], 1)
        motion = torch.cat([*steps, rest, faced, walked], 1)
        inputs, _ = body.inputs(rubble(False), None, pose, motion, action)
        other = torch.cat([place * ACROSS, -yaw, torch.zeros(1, 1)], 1)
        swapped, others = action.clone(), walked.clone()
        for a, b in BODY.mirror:
            others[:, a], others[:, b] = walked[:, b], walked[:, a]
            left, right = BODY.walk[a], BODY.walk[b]
            swapped[:, left], swapped[:, right] = action[:, right], action[:, left]
        motion = torch.cat([*(steps * ACROSS), rest, -faced, others], 1)
        wanted, _ = body.inputs(rubble(True), None, other, motion, swapped)
        ours, step = mirrored(inputs, steps[0], BODY.mirror)
        assert torch.allclose(ours, wanted, atol=1e-4)
        assert torch.equal(step, steps[0] * ACROSS)


def test_shaking_leaves_keys_and_cells_alone() -> None:
    body, random = EyeBody(BODY), torch.Generator().manual_seed(1)
    inputs = torch.rand(64, body.legs[0].in_features, generator=random)
    old, new = LegInputs.split(inputs), LegInputs.split(shaken(inputs, random))
    changed = {name for name in old._fields if (getattr(old, name) != getattr(new, name)).any()}
    assert changed == {"last", "before", "place"}
    assert new.last.sub(old.last).abs().max() < 1
