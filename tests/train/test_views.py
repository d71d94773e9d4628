"""Training input = play input, and records that say what happened."""

import numpy as np
import torch

from nfd_gym.actions import Camera, KeysAndMouse
from nfd_gym.data.clip import Clip, Event
from nfd_gym.memory import Edit
from nfd_gym.memory.blocks import pointed_cell
from nfd_gym.memory.points import DUG
from nfd_gym.model.body import Move
from nfd_gym.model.denoiser import Denoiser, DenoiserConfig
from nfd_gym.model.eye import EyeBody
from nfd_gym.model.tokenizer import Tokenizer, TokenizerConfig
from nfd_gym.train.recipes.island import BODY
from nfd_gym.train.stages.denoiser import conditions
from nfd_gym.train.stages.shards import PER_SHARD, ShardWriter, ViewLoader
from nfd_gym.train.views import ViewSettings, edits_of, replay
from nfd_gym.world import World
from nfd_gym.world.state import WorldState
from nfd_gym.world.step import predict
from tests.memory.room import SIZE, filmed, pose_at, seen_from

CODEC = KeysAndMouse("minerl", Camera(72.0))
CLEAN = ViewSettings(every=1.0, after_every=1.0, hidden=0.0, blank=0.0, clip=0.0)
NODES = ("island:brick", "island:plank", "island:violet")


def clip_with_a_dig(count: int = 5) -> Clip:
    poses = [pose_at(0.1 * i, 0.0, 6.0 * i, 18.0) for i in range(count)]
    frames, near, at = zip(*(seen_from(pose) for pose in poses), strict=True)
    _, cell, _ = pointed_cell(near[1], at[1])
    actions = np.stack([CODEC.vector(("attack",) if i == 2 else ()) for i in range(count)])
    return Clip(
        frames=torch.cat(frames).numpy(),
        actions=actions,
        depth=(torch.cat(near) * 16384).round().to(torch.int32).numpy().astype(np.uint16),
        pose=torch.cat(at).numpy(),
        events=(Event(2, "dig", "island:grass", tuple(map(float, cell[0].tolist()))),),
    )


def parts() -> tuple[Tokenizer, EyeBody, Denoiser]:
    torch.manual_seed(0)
    tokenizer = Tokenizer(
        TokenizerConfig(height=SIZE[0], width=SIZE[1], patch=8, channels=24, depth_channels=6)
    )
    frames = torch.cat([seen_from(pose_at(0, 0, yaw, 0))[0] for yaw in range(0, 360, 60)])
    from nfd_gym.model.pixels import to_float
    from nfd_gym.model.tokenizer import depth_code

    near = torch.cat([seen_from(pose_at(0, 0, yaw, 0))[1] for yaw in range(0, 360, 60)])
    tokenizer.colour.fit(to_float(frames))
    tokenizer.depth.fit(depth_code(near[:, None]))
    body = EyeBody(BODY)
    denoiser = Denoiser(DenoiserConfig(
        tokens_h=7, tokens_w=12, channels=30, control_width=25 + body.width, width=24, depth=2,
        heads=2, causal_every=1, window=0, masks=3, rays=True,
    ))  # fmt: skip
    torch.nn.init.normal_(denoiser.tokens_out.weight, std=0.02)
    return tokenizer.eval(), body.eval(), denoiser.eval()


class Recorded(EyeBody):
    """The body, whose steps and events are those of a recording."""

    def follow(self, clip: Clip) -> "Recorded":
        events, kinds, cells = edits_of(clip, NODES)
        self.recorded, self.tick = (torch.from_numpy(clip.pose), events, kinds, cells), 0
        return self

    def move(self, memory, state, action, noise=None):
        self.tick += 1
        poses, events, kinds, cells = (x[self.tick : self.tick + 1] for x in self.recorded)
        motion, control = self.after(poses, state.pose, state.motion, action, events)
        return Move(poses, motion, control, Edit(kinds, cells))


class Overheard(torch.nn.Module):
    """A denoiser that keeps what it was given and answers with the recorded frame's latents."""

    def __init__(self, config: DenoiserConfig, answers: list[torch.Tensor]) -> None:
        super().__init__()
        self.config, self.answers, self.heard = config, answers, []

    def forward(self, noisy, sigma, control, condition=None, cache=None, commit=0):
        self.heard.append((control[0, 0], condition[0, 0]))
        return self.answers[len(self.heard) - 1][None, None]


def test_training_input_equals_play_input():
    tokenizer, body, denoiser = parts()
    memory, clip = filmed(), clip_with_a_dig()
    rows = list(replay(memory, body, tokenizer, clip, NODES, CLEAN, np.random.default_rng(0)))
    records = [record for record, _ in rows]
    assert all(record is not None for record in records)

    followed = Recorded(BODY).follow(clip)
    answers = [torch.from_numpy(record.target).float() for record in records]
    overheard = Overheard(denoiser.config, answers)
    world = World(
        name="room", codec=CODEC, tokenizer=tokenizer, denoiser=denoiser, memory=memory,
        body=followed,
    )  # fmt: skip
    object.__setattr__(world, "denoiser", overheard)
    frame, near, pose = seen_from(pose_at(0, 0, 0, 18.0))
    actions = torch.from_numpy(clip.actions)
    state = WorldState(
        frame, near, tokenizer.encode_frames(frame[:, None], near[:, None])[:, 0], pose,
        followed.start(pose[:, None], actions[None, :1]), memory.empty(1),
        Edit(torch.zeros(1, dtype=torch.long), torch.zeros(1, 3, dtype=torch.long)),
    )  # fmt: skip
    cache = denoiser.make_cache(1)
    for t in range(1, len(clip)):
        state = predict(world, state, actions[t : t + 1], torch.zeros(1, 84, 30), cache)
    from nfd_gym.train.stages.shards import ViewBatch

    for record, (control, condition) in zip(records, overheard.heard, strict=True):
        batch = ViewBatch(
            torch.from_numpy(record.code).float()[None],
            torch.from_numpy(record.masks).float()[None] / 255,
            torch.from_numpy(record.target).float()[None],
            torch.from_numpy(record.pose)[None],
            torch.from_numpy(record.control)[None],
        )
        assert torch.allclose(batch.control[0], control, atol=1e-5)
        trained = conditions(denoiser, batch)[0]
        masks = slice(30, 30 + 48)
        assert torch.allclose(trained[:, 78:], condition[:, 78:], atol=1e-5)  # rays
        # painted squares lie where the net's depth says, so a few pixels of the masks differ
        apart = (trained[:, masks] - condition[:, masks]).abs() > 1.1 / 255
        assert apart.float().mean() < 0.01
        # the frames that were written differ by rounding, so the codes do by little
        assert (trained[:, :30] - condition[:, :30]).abs().mean() < 0.02


def test_the_tick_of_an_edit_is_kept_and_its_region_is_open():
    tokenizer, body, _ = parts()
    settings = ViewSettings(every=1e9, after_every=1e9)
    rows = list(
        replay(
            filmed(), body, tokenizer, clip_with_a_dig(), NODES, settings, np.random.default_rng(0)
        )
    )
    kept = [number for number, (record, _) in enumerate(rows, start=1) if record is not None]
    assert kept == [2]
    masks = rows[1][0].masks.reshape(84, 3, 16)
    assert masks[:, 1].max() == 255 and masks[:, 2].max() == 0  # the dug mask, not the placed one
    assert [int(legs.event) for _, legs in rows] == [0, 1, 0, 0]


def test_spoilt_views_hide_regions_and_nothing_else():
    tokenizer, body, _ = parts()
    spoilt = ViewSettings(every=1.0, after_every=1.0, hidden=1.0, blank=0.0, clip=0.0)
    clean = list(
        replay(filmed(), body, tokenizer, clip_with_a_dig(), NODES, CLEAN, np.random.default_rng(1))
    )
    dirty = list(
        replay(
            filmed(), body, tokenizer, clip_with_a_dig(), NODES, spoilt, np.random.default_rng(1)
        )
    )
    for (a, _), (b, _) in zip(clean, dirty, strict=True):
        known_a, known_b = a.masks[:, :16].astype(int), b.masks[:, :16].astype(int)
        assert (known_b <= known_a).all()
        assert np.array_equal(a.target, b.target)
    assert any(
        (b.masks[:, :16] < a.masks[:, :16]).any()
        for (a, _), (b, _) in zip(clean, dirty, strict=True)
    )


def test_shards_return_what_was_written_and_batches_depend_on_their_number_alone(tmp_path):
    tokenizer, body, _ = parts()
    writer = ShardWriter(tmp_path, "a")
    rows = list(
        replay(filmed(), body, tokenizer, clip_with_a_dig(), NODES, CLEAN, np.random.default_rng(0))
    )
    for record, legs in rows:
        writer.add(record, legs)
    writer.flush()
    folders = sorted(path for path in tmp_path.iterdir())
    loader = ViewLoader(folders, batch=3)
    assert len(loader) == len(rows) < PER_SHARD
    whole = loader.rows(np.arange(len(rows)))
    assert torch.equal(whole.target[1].half(), torch.from_numpy(rows[1][0].target))
    first = iter(ViewLoader(folders, batch=3, seed=4))
    next(first)
    second = next(first)
    again = next(iter(ViewLoader(folders, batch=3, seed=4, first=1)))
    assert torch.equal(second.code, again.code)


def test_an_edit_kind_outside_the_recipe_is_left_out():
    clip = clip_with_a_dig()
    strange = Event(3, "place", "island:gold", (0.0, 1.0, 2.0))
    events, kinds, _ = edits_of(
        Clip(frames=clip.frames, actions=clip.actions, events=(*clip.events, strange)), NODES
    )
    assert events.tolist() == [0, 0, 1, 0, 0] and kinds.tolist() == [0, 0, DUG, 0, 0]


def test_where_all_is_known_the_denoiser_is_not_asked_and_the_frame_is_the_same(monkeypatch):
    from dataclasses import replace

    from nfd_gym.world import WorldSettings, step

    tokenizer, body, denoiser = parts()
    clip, memory = clip_with_a_dig(), replace(filmed(), keeps_paint=False)
    world = World(
        name="room", codec=CODEC, tokenizer=tokenizer, denoiser=denoiser, memory=memory,
        body=Recorded(BODY).follow(clip), settings=WorldSettings(trust=0.0),
    )  # fmt: skip
    frame, near, pose = seen_from(pose_at(0, 0, 0, 18.0))
    actions = torch.from_numpy(clip.actions)
    state = WorldState(
        frame, near, tokenizer.encode_frames(frame[:, None], near[:, None])[:, 0], pose,
        body.start(pose[:, None], actions[None, :1]), memory.empty(1), step.no_edit(actions[:1]),
    )  # fmt: skip
    asked = [0, 0]

    def count(number: int):
        return lambda *_: asked.__setitem__(number, asked[number] + 1)

    shown = []
    for number, always in enumerate((False, True)):
        world.body.follow(clip)
        handle = denoiser.register_forward_hook(count(number))
        if always:
            monkeypatch.setattr(step, "to_be_drawn", lambda view: torch.ones(1, dtype=torch.bool))
        frames, now = [], state
        for t in range(1, len(clip)):
            now = step.predict(
                world, now, actions[t : t + 1], torch.zeros(1, 84, 30), denoiser.make_cache(1)
            )
            frames.append(now.frame)
        shown.append(torch.cat(frames))
        handle.remove()
    assert torch.equal(*shown)
    assert 0 < asked[0] < asked[1]  # the dig has to be drawn, what is known has not
