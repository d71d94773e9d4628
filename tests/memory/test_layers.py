"""Layer memory: things are drawn where the pose says; fitting finds background and things."""

import json

import numpy as np
import torch

from nfd_gym.memory.layers import NO_ANGLE, LayerConfig, LayerMemory
from nfd_gym.model.pixels import to_uint8
from nfd_gym.model.tokenizer import Tokenizer, TokenizerConfig
from nfd_gym.train.stages import layers

SHAPE = LayerConfig(
    height=24, width=24, places=((0, 1, 2), (3, 4, NO_ANGLE)), reach=(0.5, 0.3), texels=(24, 16)
)


def scene() -> LayerMemory:
    """A red bar that turns and a blue square, on grey."""
    memory = LayerMemory(SHAPE)
    memory.background = torch.full((3, 24, 24), 0.2)
    bar, square = torch.zeros(4, 24, 24), torch.zeros(4, 16, 16)
    bar[:, 10:14, 2:22] = torch.tensor([0.9, -0.8, -0.8, 1.0])[:, None, None]
    square[:, 4:12, 4:12] = torch.tensor([-0.8, -0.8, 0.9, 1.0])[:, None, None]
    memory.textures = [bar, square]
    return memory


def poses(count: int, seed: int = 0) -> torch.Tensor:
    draw = torch.Generator().manual_seed(seed)
    spread = torch.tensor([1.0, 1.0, 6.0, 1.4, 1.4])
    return (torch.rand(count, 5, generator=draw) - 0.5) * spread


def test_a_quarter_turn_of_the_pose_is_a_quarter_turn_of_the_thing() -> None:
    pose = torch.tensor([[0.0, 0.0, 0.3, 5.0, 5.0]])  # the square is out of the picture
    turned = pose + torch.tensor([0.0, 0.0, torch.pi / 2, 0.0, 0.0])
    memory = scene()
    one, other = memory.render(pose), memory.render(turned)
    assert not torch.equal(one, other)
    assert (torch.rot90(one, -1, (2, 3)) - other).abs().max() < 1e-4  # right turns down


def test_later_layers_cover_earlier_ones_and_batches_are_their_environments() -> None:
    memory = scene()
    at = torch.tensor([[0.1, -0.2, 1.0, 0.1, -0.2]])
    middle = memory.render(at)[0, :, 9, 13]
    assert middle[2] > 0.8 and middle[0] < -0.7
    several = poses(4)
    whole = memory.render(several)
    for env in range(4):
        assert torch.allclose(whole[env], memory.render(several[env : env + 1])[0], atol=1e-6)


def test_a_view_depends_on_the_pose_alone_and_survives_saving() -> None:
    memory, pose = scene(), poses(2)
    told = json.loads(json.dumps(memory.config()))
    again = LayerMemory.build(
        told,
        {name: t.clone() for name, t in memory.tensors().items()},
        Tokenizer(TokenizerConfig(height=24, width=24, patch=4, channels=4)),
    )
    blank = torch.zeros(2, 24, 24, 3, dtype=torch.uint8)
    views = [m.read((), f, pose) for m, f in ((memory, blank), (again, blank + 255))]
    assert torch.equal(views[0].colour, views[1].colour) and (views[0].sharp == 1).all()


def test_fitting_finds_background_and_things(tmp_path) -> None:
    where = poses(400, seed=3)
    np.save(tmp_path / "frames.npy", to_uint8(scene().render(where)).numpy())
    np.save(tmp_path / "poses.npy", where.numpy())
    found = layers.fit(tmp_path, SHAPE, count=150)
    unseen = poses(50, seed=4)
    error = (found.render(unseen) - scene().render(unseen)).square().mean()
    blank = (scene().render(unseen) - scene().background).square().mean()
    assert error < 0.03 * blank
