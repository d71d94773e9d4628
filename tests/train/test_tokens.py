"""Training on tokens: its input is the play input, and its batches and losses are reproducible."""

import copy
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from nfd_gym.memory.tiles import TileMemory, TileSizes
from nfd_gym.model.denoiser import Denoiser, DenoiserConfig
from nfd_gym.model.steps import StepBody, StepConfig
from nfd_gym.model.tokenizer import Tokenizer, TokenizerConfig
from nfd_gym.train.loop import Moment
from nfd_gym.train.stages import sources
from nfd_gym.train.stages.distil import DistilLoss, DistilStage, pseudo_huber
from nfd_gym.train.stages.plus import PlusLoss, PlusStage
from nfd_gym.train.stages.restless import Restless, bins, fit
from nfd_gym.train.stages.tokens import TokenLoader, TokenLoss, TokenStage
from nfd_gym.world.step import condition_tokens

MAP = TileSizes(tile=4, across=5, down=3, side=16)
LENGTHS = [12, 9]
INSIDE = 15  # tokens of the map
RESTLESS = Restless(48, 20, 5).requires_grad_(False)
SIZES = DenoiserConfig(
    tokens_h=4, tokens_w=5, channels=48, control_width=5 + 2, width=16, depth=3, heads=2, window=1,
    masks=1,
)  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two recorded walks over 4x5 tiles of 4 pixels, as codes and addresses."""
    random = np.random.default_rng(0)
    steps = np.array([[0, 0], [1, 0], [-1, 0], [0, 1], [0, -1]])
    walks = [np.cumsum(steps[random.integers(0, 5, n)], 0) for n in LENGTHS]
    np.save(tmp_path / "poses.npy", np.concatenate(walks).astype(np.float32))
    np.save(tmp_path / "actions.npy", np.eye(5, dtype=np.float32)[random.integers(0, 5, 21)])
    frames = random.integers(0, 256, (21, 16, 20, 3), np.uint8)
    for row in range(1, 21):  # half of the tiles below the map stay as they are
        same = np.repeat(random.random(5) < 0.5, 4)
        frames[row, 12:, same] = frames[row - 1, 12:, same]
    np.save(tmp_path / "frames.npy", frames)
    (tmp_path / "lengths.json").write_text(json.dumps(LENGTHS))
    sources.write(tmp_path, tokenizer(), MAP)
    return tmp_path


def tokenizer() -> Tokenizer:
    """A code that loses nothing."""
    code = Tokenizer(TokenizerConfig(height=16, width=20, patch=4, channels=48))
    return code.eval().requires_grad_(False)


def stage(own_from: float = 1.0) -> TokenStage:
    torch.manual_seed(0)
    body = StepBody(
        StepConfig(tile=4, looks=((2, 1),), steps=((1, 1, 0), (2, -1, 0)), actions=5, hidden=8)
    )
    model = Denoiser(SIZES)
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(0.05 * torch.randn_like(weight))
    config = TokenLoss(own_from=own_from, own=1.0, blur=0.0)
    return TokenStage(model, tokenizer(), config, body, RESTLESS, INSIDE)


def played(folder: Path, first: int, row: int) -> Tensor:
    """Condition tokens (N,G) of a row as play makes them from the rows `first` up to it."""
    frames = torch.from_numpy(np.load(folder / "frames.npy"))[None]
    poses = torch.from_numpy(np.load(folder / "poses.npy"))[None]
    part = slice(first, row)
    memory = TileMemory(MAP, tokenizer())
    state = memory.start(frames[:, part], torch.zeros(1, row - first, 0, 0), poses[:, part])
    view = memory.read(state, frames[:, row - 1], poses[:, row])
    found = condition_tokens(tokenizer(), SIZES, view, poses[:, row])
    assert found is not None
    return found[0]


def test_the_training_input_is_the_play_input(folder: Path) -> None:
    code, poses = np.load(folder / "codes.npy"), np.load(folder / "poses.npy")
    source, age, since = (
        torch.from_numpy(np.load(folder / f"{n}.npy")) for n in ("sources", "ages", "since")
    )
    batch = next(iter(TokenLoader(folder, 3, 4)))
    assert (since[:, INSIDE:] > 0).any() and (since[:, INSIDE:] == -1).any()
    flat = torch.from_numpy(code).float().flatten(0, 1)
    for first, row in ((0, 1), (0, 5), (0, 11), (12, 13), (12, 20)):
        view = torch.where((age[row] >= 0)[:, None], flat[source[row].long()], stage().unknown)
        given = stage().condition(view, replace(batch, age=age[row], since=since[row]))
        assert given is not None
        assert (given - played(folder, first, row)).abs().max() < 2e-3  # float16
    assert source[0].tolist() == list(range(20)) and len(poses) == 21


def test_without_a_memory_the_coming_view_is_the_last_frame(folder: Path) -> None:
    poses = np.load(folder / "poses.npy")
    source, age = sources.addresses(None, poses, LENGTHS, (4, 5))
    assert (age == 0).all() and np.array_equal(source[5], 4 * 20 + np.arange(20))
    assert np.array_equal(source[12], 12 * 20 + np.arange(20))  # a clip's first row is its own


def test_clean_frames_are_a_past_and_teach_nothing(folder: Path) -> None:
    """With all but the last frame clean the loss is that of the last frame's prediction."""
    batch = next(iter(TokenLoader(folder, 3, 4)))
    made = stage()
    made.config = TokenLoss(clean=1.0, blur=0.0, own=0.0)
    value, _ = made.loss(batch, Moment(0, 0.5, torch.Generator().manual_seed(3), {}))
    other = replace(batch, target=batch.target.clone())
    other.target[:, :1] += 1.0  # two frames before the last: out of its window of one
    again, _ = made.loss(other, Moment(0, 0.5, torch.Generator().manual_seed(3), {}))
    assert torch.allclose(value, again, atol=1e-6)


def test_batches_depend_on_their_number_alone_and_clips_know_their_own_tokens(folder: Path) -> None:
    batches = iter(TokenLoader(folder, 3, 4))
    first, second = next(batches), next(batches)
    again = next(iter(TokenLoader(folder, 3, 4, first=1)))
    assert torch.equal(second.target, again.target) and torch.equal(second.view, again.view)
    assert len(first) == 12 and first.poses.shape == (4, 4, 2)
    own = first.source >= 0
    assert own[:, 1:].any() and not own[:, 0].any()
    flat = first.target.flatten(1, 2)
    for clip, shown in enumerate(own):
        told = flat[clip][first.source[clip][shown]]
        assert (told - first.view[clip][shown]).abs().max() < 0.02  # rounded to grey levels


def test_losses_depend_on_the_moment_alone_and_own_frames_change_later_views(folder: Path) -> None:
    batch = next(iter(TokenLoader(folder, 3, 4)))
    for own_from in (0.0, 1.0):
        made = stage(own_from)
        values = [
            made.loss(batch, Moment(0, 0.5, torch.Generator().manual_seed(3), {}))[0]
            for _ in range(2)
        ]
        assert torch.isfinite(values[0]) and torch.equal(*values)
    made, random = stage(), torch.Generator().manual_seed(1)
    view = made.blurred(batch, random)
    drawn = made.redrawn(batch, view, made.control(batch, random), random, made.model)
    own = batch.source >= 0
    assert torch.equal(drawn[~own], view[~own]) and not torch.equal(drawn[own], view[own])


def hearing(noise: float) -> TokenStage:
    """A stage whose model asks the noise and its level so much; at 0 its flows are straight."""
    base = stage()
    with torch.no_grad():
        base.model.tokens_in.weight[:, :48] *= noise
        base.model.condition.level[2].weight.mul_(noise)
        base.model.condition.level[2].bias.mul_(noise)
    return base


def test_a_student_is_drawn_to_where_its_teachers_flow_ends(folder: Path) -> None:
    """A teacher that does not ask the noise ends where one evaluation does; one that does ends
    elsewhere. The loss is a function of the moment and leaves the teacher alone."""
    batch = next(iter(TokenLoader(folder, 3, 4)))
    for scale, consistent in ((0.0, True), (1.0, False)):
        base = hearing(scale)
        teacher = copy.deepcopy(base.model)
        config = DistilLoss(teacher=(1.0, 0.6, 0.2), sigmas=(1.0, 0.5), own=0.5)
        made = DistilStage(
            base.model, teacher, base.tokenizer, config, base.body, base.restless, INSIDE
        )
        value, again = (
            made.loss(batch, Moment(0, 0.5, torch.Generator().manual_seed(2), {}))[0]
            for _ in range(2)
        )
        assert torch.equal(value, again) and (value < 1e-8) == consistent
        value.backward()
        assert all(p.grad is None for p in teacher.parameters())
        assert any(p.grad is not None for p in base.model.parameters())


def plus(base: TokenStage, **how: object) -> PlusStage:
    config = PlusLoss(**{"blocks": (1, 2), "share": 0.2, **how})  # type: ignore[arg-type]
    teacher = copy.deepcopy(base.model)
    return PlusStage(base.model, teacher, base.tokenizer, config, base.body, base.restless, INSIDE)


def test_nfd_plus_asks_nothing_of_a_student_that_is_consistent(folder: Path) -> None:
    """A teacher that does not ask the noise has straight flows: it is its own student. One that
    does is none."""
    batch = next(iter(TokenLoader(folder, 3, 4)))
    for scale, consistent in ((0.0, True), (1.0, False)):
        base = hearing(scale)
        made = plus(base, share=0.0)
        _, logs = made.loss(batch, Moment(0, 0.9, torch.Generator().manual_seed(2), {}))
        assert (logs["tangent"] < 1e-4) == consistent


def test_nfd_plus_moves_the_student_and_its_critic_and_never_the_teacher(folder: Path) -> None:
    batch = next(iter(TokenLoader(folder, 3, 4)))
    pulls = []
    for progress, share in ((0.1, 0.2), (0.9, 0.2), (0.9, 0.0)):
        made = plus(stage(), share=share)
        value, again = (
            made.loss(batch, Moment(0, progress, torch.Generator().manual_seed(2), {}))[0]
            for _ in range(2)
        )
        assert torch.allclose(value, again, rtol=0.02 if share else 0.0)  # norms are iterated on
        value.backward()
        pulls.append(made.student.tokens_out.weight.grad.clone())
        assert all(p.grad is None for p in made.teacher.parameters())
        judged = [p.grad is not None for p in made.critic.parameters()]
        assert all(judged) if share else not any(judged)
    assert not torch.allclose(pulls[1], pulls[2]), "the critic pulls when its time has come"


@pytest.mark.slow
def test_a_tile_beside_the_player_tells_what_its_action_does(folder: Path) -> None:
    """Token 19 changes where token 3 is of another kind, and only there."""
    random = np.random.default_rng(1)
    tree = random.random(400) < 0.5
    codes = np.zeros((400, 20, 48), np.float16)
    codes[:, :, 0] = 2.0
    codes[tree, 3, 1] = 3.0
    codes[:, 19, 2] = 6.0 * random.integers(-1, 2, 400)
    for row in range(1, 400):
        if not tree[row]:
            codes[row, 19] = codes[row - 1, 19]
    source, age = sources.addresses(None, np.zeros((400, 0), np.float32), [400], (4, 5))
    source[:, 3] = np.arange(400) * 20 + 3  # of the coming frame, as a map shows it
    for name, array in (
        ("codes", codes), ("again", codes), ("sources", source), ("ages", age),
        ("since", np.zeros((400, 20), np.int16)), ("actions", np.ones((400, 5), np.float32)),
    ):  # fmt: skip
        np.save(folder / f"{name}.npy", array)
    found = fit(folder, (3,), 15, count=300)
    drawn = bins(folder, found, 15)
    assert (drawn[tree] >= 2).mean() > 0.95 and drawn[~tree].max() == 0


def test_of_events_all_is_told_or_nothing(folder: Path) -> None:
    happened = np.random.default_rng(0).integers(-1, 2, (21, 6)).astype(np.int8)
    np.save(folder / "events.npy", happened)
    batch = next(iter(TokenLoader(folder, 3, 200)))
    assert batch.events.shape == (200, 3, 6)
    told = stage().control(batch, torch.Generator().manual_seed(0))[..., 5 + 2 :]
    known = told[..., :1] > 0
    assert torch.equal(told[..., 1:], batch.events * known)
    assert 0.85 < known.float().mean() < 0.95


def test_the_land_that_memory_does_not_know_weighs_alike_and_more_than_what_stays(
    folder: Path,
) -> None:
    made, batch = stage(), next(iter(TokenLoader(folder, 3, 4)))
    made.config = TokenLoss(unseen=7.0, focus=0.0)
    weight = made.weight(batch)
    assert (batch.age < 0).any() and (weight[batch.age < 0] == 7.0).all()
    known = weight[..., :INSIDE][batch.age[..., :INSIDE] >= 0]
    assert (known == 1.0).all()


def test_rare_actions_are_drawn_more_often_and_never_across_clips(folder: Path) -> None:
    actions = np.zeros((21, 5), np.float32)
    actions[:, 0] = 1
    actions[[5, 15]] = np.eye(5)[2]  # two of 21
    np.save(folder / "actions.npy", actions)
    batches = iter(TokenLoader(folder, 3, 64))
    batch = next(batches)
    rare = (batch.actions[:, 0].argmax(-1) == 2).float().mean()
    assert rare > 0.15  # a clip in eight has it otherwise
    begins = TokenLoader(folder, 3, 512).begins(np.random.default_rng(0))
    assert set(begins.tolist()) == {*range(0, 9), *range(12, 18)}  # three rows of the clip follow


@pytest.mark.slow
def test_weights_know_what_is_shown_and_not_what_comes(folder: Path) -> None:
    """A kind of token that changes in half of its frames is told apart from one that stays; the
    weight is that of its surroundings, and the coming frame has no part in it."""
    batch, random = next(iter(TokenLoader(folder, 3, 4))), np.random.default_rng(1)
    codes = np.zeros((400, 20, 48), np.float16)
    codes[:, :, 0] = 2.0  # still
    codes[:, 7] = 0.0
    codes[:, 7, 1] = np.where(random.random(400) < 0.5, 2.0, -2.0) * 3  # restless
    source, age = sources.addresses(None, np.zeros((400, 0), np.float32), [400], (4, 5))
    since, actions = np.zeros((400, 20), np.int16), np.eye(5, dtype=np.float32)[np.zeros(400, int)]
    for name, array in (
        ("codes", codes), ("again", codes), ("sources", source), ("ages", age), ("since", since),
        ("actions", actions),
    ):  # fmt: skip
        np.save(folder / f"{name}.npy", array)
    found = fit(folder, count=300)
    view = torch.from_numpy(codes[:1]).float()[None]
    zero = torch.zeros(1, 1, 20, dtype=torch.int16)
    action = torch.from_numpy(actions[:1])[None]
    chance = found.chance(view, zero, action)[0, 0]
    assert 0.4 < chance[7] < 0.6 and chance[12] < 0.05
    near = found.near(view, zero, zero, action, (4, 5))[0, 0]
    assert (near[[1, 2, 3, 6, 8, 11, 12, 13]] > 0.8).all() and near[19] < 0.3
    assert not found.near(view, zero - 1, zero, action, (4, 5)).any()
    assert set(bins(folder, found, 7).tolist()) == {2}  # of token 7
    assert set(bins(folder, found, 8).tolist()) == {0}
    made = stage()
    other = replace(batch, target=batch.target + 1.0)
    assert torch.equal(made.weight(batch), made.weight(other))


def test_a_robust_end_takes_the_likelier_of_two_and_not_their_mean() -> None:
    ends = torch.tensor([0.0, 0.0, 0.0, 1.0, 1.0])  # of noises that the net cannot tell apart
    guesses = torch.linspace(0, 1, 101)
    square = (guesses[:, None] - ends).square()
    assert float(guesses[square.mean(1).argmin()]) == pytest.approx(0.4)
    best = guesses[pseudo_huber(square, 0.03).mean(1).argmin()]
    assert float(best) < 0.03
    tiny = torch.tensor([1e-6])
    assert torch.allclose(pseudo_huber(tiny, 0.03), tiny, rtol=1e-3)
