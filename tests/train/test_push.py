"""The pushing body's training: symmetric, and good enough on a simple thing."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch

from nfd_gym.games.pusht.pictures import SCENE
from nfd_gym.model.push import PushBody
from nfd_gym.train.recipes.pusht import PUSH, PUSHT
from nfd_gym.train.stages import push
from tests.model.test_push import CONFIG, make_body, some


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Poses of a body that pushes at random: four clips of forty."""
    body, (poses, _) = make_body(0.1), some(4)
    motion, random = torch.zeros(4, 2), torch.Generator().manual_seed(0)
    rows, actions = [poses], [torch.zeros(4, 2)]
    for _ in range(39):
        actions.append(rows[-1][:, 2:4] + 0.3 * torch.randn(4, 2, generator=random))
        pose, motion = body.step(rows[-1], motion, actions[-1])
        rows.append(pose)
    np.save(tmp_path / "poses.npy", torch.stack(rows, 1).flatten(0, 1).numpy())
    np.save(tmp_path / "actions.npy", torch.stack(actions, 1).flatten(0, 1).numpy())
    (tmp_path / "lengths.json").write_text(json.dumps([40] * 4))
    return tmp_path


def test_the_players_law_is_found(folder: Path) -> None:
    law = push.player_law(*push.load(folder))
    assert law == pytest.approx((0.296, 0.114, -0.0066), abs=1e-4)


@pytest.mark.slow
def test_training_repeats_itself_and_lowers_the_error(folder: Path) -> None:
    one, other = (push.fit(folder, CONFIG, single=60, stretches=5) for _ in range(2))
    for a, b in zip(one.tensors().values(), other.tensors().values(), strict=True):
        assert torch.equal(a, b)
    before = push.fit(folder, CONFIG, single=0, stretches=0)
    assert push.score(one, folder, 1)["thing_mean"] < push.score(before, folder, 1)["thing_mean"]
    assert push.score(one, folder, 8)["player_mean"] < 0.01


def test_no_stretch_crosses_two_clips(folder: Path) -> None:
    poses, _, firsts = push.load(folder)
    rows = push.pushes(make_body(), poses, firsts, 8)
    assert len(rows) and (rows // 40 == (rows + 9) // 40).all()


@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("quarters", [0, 1, 3])
def test_a_mirrored_and_turned_step_is_a_step(quarters: int, flip: bool) -> None:
    """The player's way, and what touches the thing, are those of the step that was turned."""
    body, (poses, actions) = make_body(0.0), some(6)

    def seen(at: torch.Tensor) -> torch.Tensor:
        return push.seen_from(at, actions, quarters, flip, CONFIG)[0]

    moved, _ = body.step(poses, torch.zeros(6, 2), actions)
    turned, _ = body.step(
        seen(poses), torch.zeros(6, 2), push.seen_from(poses, actions, quarters, flip, CONFIG)[1]
    )
    assert torch.allclose(turned[:, :2], seen(moved)[:, :2], atol=1e-5)
    angle = torch.where(torch.tensor(flip), -poses[:, 4], poses[:, 4]) + quarters * math.pi / 2
    assert torch.allclose(seen(poses)[:, 4], angle)
    gaps = [
        body.outline.wall((p[:, 2:4] + 1) * 256, p[:, 4])[0].flatten(1).sort().values
        for p in (poses, seen(poses))
    ]
    assert torch.allclose(*gaps, atol=1e-2)


def test_the_recipes_scene_is_what_the_game_draws() -> None:
    assert PUSH.scene == SCENE
    assert PUSHT.denoiser.pointers == 4 and PUSHT.denoiser.control_width == 2 + PushBody.width
