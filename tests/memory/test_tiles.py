"""Tile memory: what left the view is found again, the player's tile is not, nothing is changed."""

import json

import torch

from nfd_gym.memory.tiles import UNSEEN, TileMemory, TileSizes, lasted
from nfd_gym.model.pixels import to_uint8
from nfd_gym.model.tokenizer import Tokenizer, TokenizerConfig

# A code that loses nothing but half precision's last digits: less than half a grey level.
CODE = Tokenizer(TokenizerConfig(height=16, width=20, patch=4, channels=48)).requires_grad_(False)
MEMORY = TileMemory(TileSizes(tile=4, across=5, down=3, side=16), CODE)
HEIGHT, WIDTH = 16, 20  # one row of tiles below the view


def frames(seed: int, count: int) -> torch.Tensor:
    """Random pictures uint8 (1,T,16,20,3)."""
    draw = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (1, count, HEIGHT, WIDTH, 3), generator=draw, dtype=torch.uint8)


def tiles(picture: torch.Tensor) -> torch.Tensor:
    """(4,5,4,4,3) of a picture (16,20,3)."""
    return picture.unflatten(1, (5, 4)).unflatten(0, (4, 4)).transpose(1, 2)


def seen(
    state: object, frame: torch.Tensor, pose: list[float]
) -> tuple[torch.Tensor, torch.Tensor]:
    view = MEMORY.read(state, frame, torch.tensor([pose]))  # type: ignore[arg-type]
    assert view.code is not None
    return tiles(to_uint8(CODE.decode(view.code)[0])[0]), view.sharp[0, 0, ::4, ::4]


def test_what_left_the_view_is_found_again_and_the_player_is_not_written() -> None:
    clip = frames(0, 3)
    poses = torch.tensor([[[0.0, 0.0], [1.0, 0.0], [2.0, 0.0]]])
    state = MEMORY.start(clip, torch.zeros(1, 3, 0, 0), poses)
    picture, sharp = seen(state, clip[:, 2], [0.0, 0.0])
    assert torch.equal(picture[0, 0], tiles(clip[0, 0])[0, 0])  # the left column was seen first
    assert torch.equal(picture[0, 1], tiles(clip[0, 1])[0, 0])
    assert torch.equal(picture[1, 2], tiles(clip[0, 2])[1, 2])  # the player's: of the last frame
    assert torch.equal(picture[3], tiles(clip[0, 2])[3])  # below the view nothing moves
    # where the player stands in the last frame, the ground is as it was before it came there
    ground, _ = seen(state, clip[:, 2], [1.0, 0.0])
    assert torch.equal(ground[1, 3], tiles(clip[0, 1])[1, 3])
    assert sharp[0, 0] < sharp[0, 1] < sharp[0, 2] == 1.0
    _, new = seen(state, clip[:, 2], [3.0, 0.0])
    assert (new[:3, 4] == 0).all()


def test_writing_changes_no_argument_and_far_ways_wrap() -> None:
    clip = frames(1, 2)
    state = MEMORY.start(clip[:, :1], torch.zeros(1, 1, 0, 0), torch.zeros(1, 1, 2))
    before = [part.clone() for part in state]
    pose = torch.tensor([[1.0, 1.0]])
    view = MEMORY.read(state, clip[:, 0], pose)
    after = MEMORY.write(state, view, clip[:, 1], torch.zeros(1, 0, 0), pose)
    assert all(torch.equal(a, b) for a, b in zip(before, state, strict=True))
    far = torch.tensor([[1.0 + MEMORY.sizes.side, 1.0]])
    near, again = (MEMORY.read(after, clip[:, 1], place).code for place in (pose, far))
    assert near is not None and again is not None and torch.equal(near, again)
    counts = [int((one.age != UNSEEN).sum()) for one in (state, after)]
    assert counts[0] == 14 < counts[1]  # all in view but the player's


def test_a_batch_is_its_environments() -> None:
    clips = torch.cat([frames(seed, 4) for seed in range(3)])
    poses = torch.tensor([[[0, 0], [1, 0], [1, 1], [0, 1]]], dtype=torch.float32).repeat(3, 1, 1)
    poses = poses * torch.tensor([1.0, -1.0, 2.0])[:, None, None]
    whole = MEMORY.start(clips, torch.zeros(3, 4, 0, 0), poses)
    for env in range(3):
        one = MEMORY.start(clips[env : env + 1], torch.zeros(1, 4, 0, 0), poses[env : env + 1])
        assert all(torch.equal(a[env : env + 1], b) for a, b in zip(whole, one, strict=True))


def test_the_map_shows_what_was_seen_with_the_player_in_the_middle() -> None:
    clip = frames(5, 2)
    poses = torch.tensor([[[20.0, -3.0], [21.0, -3.0]]])
    state = MEMORY.start(clip, torch.zeros(1, 2, 0, 0), poses)
    (picture,) = MEMORY.map(state, poses[:, -1])
    assert picture.shape == (28, 28, 3)  # three tiles to the left are known, so seven a side
    cells = torch.from_numpy(picture).unflatten(1, (7, 4)).unflatten(0, (7, 4)).transpose(1, 2)
    assert torch.equal(cells[2, 1:6], tiles(clip[0, 1])[0])  # the view's upper row
    assert torch.equal(cells[2, 0], tiles(clip[0, 0])[0, 0]) and not cells[0].any()


def test_below_the_view_a_tile_tells_for_how_long_it_has_looked_so() -> None:
    clip = frames(6, 1).repeat(1, 12, 1, 1, 1)
    clip[:, 4:, 12:, :4] = 255 - clip[:, 4:, 12:, :4]  # the first tile changes in frame 4
    clip[:, 5:, 12:, 4:8] += 1  # a grain is no change
    state = MEMORY.start(clip, torch.zeros(1, 12, 0, 0), torch.zeros(1, 12, 2))
    assert state.since[0, 0].tolist() == [7] + 4 * [UNSEEN]
    sharp = MEMORY.read(state, clip[:, -1], torch.zeros(1, 2)).sharp[0, 0, 12:]
    assert torch.equal(sharp[:, :4].flatten(), lasted(torch.tensor(7)))
    assert not sharp[:, 4:].any()
    one, two = lasted(torch.tensor([25, 26]))
    assert (one - two).abs().max() > 0.3  # a step apart is seen


def test_memory_is_built_from_its_config() -> None:
    told = json.loads(json.dumps(MEMORY.config()))
    again = TileMemory.build(told, {}, CODE)
    assert again.sizes == MEMORY.sizes and again.code is CODE
