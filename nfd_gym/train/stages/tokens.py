"""Stage: the denoiser of a world with chance, by flow matching on tokens.

Every frame of a clip is drawn from what memory shows before it, in the world's own codes (see
sources.py), and from the frames of the window, each at a noise level of its own. The error is the
mean square of the code, weighted by what is shown before the frame (see restless.py): a weight that
depended on what came out, on what has changed say, would make it more likely than it is.

What memory shows is the recording's or, in a share of the batches, the model's own: recorded
frames half drowned in noise and drawn again. A frame drawn from nothing would show another course
of events, from which the recording does not follow.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nfd_gym.diffusion.flow import draw_sigma, interpolate
from nfd_gym.memory.tiles import known, lasted
from nfd_gym.model import events
from nfd_gym.model.denoiser import Denoiser
from nfd_gym.model.pixels import to_float, to_uint8
from nfd_gym.model.tokenizer import Tokenizer
from nfd_gym.train.loop import Moment
from nfd_gym.train.stages.clips import FlatBody, draw
from nfd_gym.train.stages.frames import RandomClips
from nfd_gym.train.stages.restless import Restless

EVEN = 0.5  # share of clips that are drawn by what may happen
JUST_BEGUN = 0.5  # share of clips whose map began a short while before, as in play
BEGAN = 60  # steps before, at most
UNTOLD = 0.1  # share of frames whose events are not told
REDRAWN = (0.2, 0.8)  # noise levels from which recorded frames are drawn again


@dataclass(frozen=True)
class TokenBatch:
    """Clips of T frames."""

    target: Tensor  # (B,T,N,C) codes of the frames
    view: Tensor  # (B,T,N,C) codes of what memory shows before each
    source: Tensor  # long (B,T,N): the token t * N + n of this clip that is shown; -1: an older one
    age: Tensor  # int16 (B,T,N) of what is shown
    since: Tensor  # int16 (B,T,N) steps for which a token below a map has looked so; -1: unknown
    actions: Tensor  # (B,T,A)
    poses: Tensor  # (B,T+1,P), the one before the first frame included
    events: Tensor  # (B,T,E) which numbers rise (1) and fall (-1)

    def __len__(self) -> int:
        return self.target.shape[0] * self.target.shape[1]


@dataclass(frozen=True, kw_only=True)
class TokenLoss:
    pure: float = 0.2  # share of frames at noise level exactly 1, where sampling starts
    mean: float = 0.9  # of the logit-normal levels of the others: choices are made near noise
    std: float = 1.0
    clean: float = 0.0  # share of frames at level 0: a past to look at, nothing to learn
    blur: float = 0.3  # most noise on a view
    focus: float = 30.0  # extra weight of a token that may become another thing
    unseen: float = 10.0  # weight of a token that memory does not know
    below: float = 8.0  # weight of a token below the map, beside those of the map
    own: float = 0.4  # share of batches with views that the model drew
    own_from: float = 0.4  # share of the training after which they begin


class TokenLoader(RandomClips[TokenBatch]):
    """Tokens, and what memory shows of them."""

    def __init__(self, folder: Path, *args: int, **kwargs: int) -> None:
        super().__init__(folder, *args, **kwargs)
        self.codes, self.again, self.actions, self.poses, self.sources, self.ages, self.since = (
            np.load(folder / f"{name}.npy", mmap_mode="r", allow_pickle=False)
            for name in ("codes", "again", "actions", "poses", "sources", "ages", "since")
        )
        file = folder / "events.npy"
        self.events = np.zeros((len(self.codes), 0), np.int8)
        if file.exists():
            self.events = np.load(file, allow_pickle=False)
        rows = self.row_of(np.arange(self.ends[-1]))
        kinds = self.actions[rows + 1].argmax(-1) * 8  # of the first frame that is predicted
        if (folder / "bins.npy").exists():
            kinds = kinds + np.load(folder / "bins.npy", allow_pickle=False)[rows + 1]
        self.by_kind = [rows[kinds == kind] for kind in np.unique(kinds)]
        self.odds = np.sqrt([len(kind) for kind in self.by_kind])
        self.odds /= self.odds.sum()

    def drawn(self, random: np.random.Generator) -> TokenBatch:
        """One batch; each clip's map holds codes of recorded frames or of frames drawn by the
        world."""
        first = self.begins(random) + 1
        rows = first[:, None] + np.arange(self.frames)
        source, age = self.sources[rows].astype(np.int64), self.ages[rows]
        count = self.codes.shape[1]
        recorded = random.random(self.batch) < 0.5
        flat = np.maximum(source, 0)
        view = self.again[flat // count, flat % count]
        view[recorded] = self.codes[flat[recorded] // count, flat[recorded] % count]
        inside = source - first[:, None, None] * count
        return TokenBatch(
            torch.from_numpy(self.codes[rows]).float(),
            torch.from_numpy(view).float(),
            torch.from_numpy(np.where((source >= 0) & (inside >= 0), inside, -1)),
            torch.from_numpy(age),
            torch.from_numpy(self.lasting(rows, random)),
            torch.from_numpy(self.actions[rows]),
            torch.from_numpy(self.poses[first[:, None] - 1 + np.arange(self.frames + 1)]),
            torch.from_numpy(self.events[rows].astype(np.float32)),
        )

    def begins(self, random: np.random.Generator) -> NDArray[np.int64]:
        """Rows (batch,) before a clip. A share of the clips begins with rare actions, and where
        counts may change, more often: of n alike as often as their root. Both are known before
        the frame, so what comes of them is as likely as it was."""
        rows = super().begins(random)
        for clip in np.flatnonzero(random.random(self.batch) < EVEN):
            kind = self.by_kind[random.choice(len(self.by_kind), p=self.odds)]
            rows[clip] = kind[random.integers(len(kind))]
        return rows

    def lasting(self, rows: NDArray[np.int64], random: np.random.Generator) -> NDArray[np.int16]:
        """Steps (B,T,N) for which tokens have looked as they do, as far as maps know them."""
        count = len(rows)
        just = random.random(count) < JUST_BEGUN
        began = np.where(just, random.integers(BEGAN, size=count), len(self.codes))
        since = self.since[rows]
        known = since <= (began[:, None] + np.arange(rows.shape[1]))[:, :, None]
        return np.where(known, since, -1).astype(np.int16)


class TokenStage:
    name = "denoiser"

    def __init__(
        self, model: Denoiser, tokenizer: Tokenizer, config: TokenLoss, body: FlatBody,
        restless: Restless, inside: int,
    ) -> None:  # fmt: skip
        self.model: Any = model
        self.tokenizer, self.config, self.body = tokenizer, config, body
        self.restless, self.inside = restless, inside  # tokens of the map; the others are below it
        sizes = tokenizer.config
        grey = torch.full((1, sizes.height, sizes.width, 3), 127, dtype=torch.uint8)
        self.unknown = tokenizer.encode(to_float(grey))[0]  # (N,C): where memory shows nothing

    def loss(self, batch: TokenBatch, moment: Moment) -> tuple[Tensor, dict[str, float]]:
        config, random = self.config, moment.random
        control, view = self.control(batch, random), self.blurred(batch, random)
        own = moment.progress >= config.own_from and draw(random) < config.own
        if own:
            view = self.redrawn(batch, view, control, random, self.model)
        shape = batch.target.shape[:2]
        sigma = draw_sigma(shape, random, "cpu", config.pure, config.mean, config.std)
        clean = torch.rand(shape, generator=random) < config.clean
        clean[:, -1] = False
        sigma = torch.where(clean, 0.0, sigma)
        noise = torch.randn(batch.target.shape, generator=random)
        noisy = interpolate(batch.target, noise, sigma)
        out = self.model(noisy, sigma, control, self.condition(view, batch))
        error = (out.float() - batch.target).square().mean(-1)  # (B,T,N)
        one = sigma == 1
        with torch.no_grad():
            kind = "own" if own else "given"
            logs = {f"copy_{kind}": (view - batch.target).square().mean().item()}
            for name, chosen in (("1", one), ("mid", ~one & ~clean)):
                if bool(chosen.any()):
                    logs[f"{kind}_{name}"] = error[chosen].mean().item()
        return (error * self.weight(batch))[~clean].mean(), logs

    def picture(self, batch: TokenBatch) -> Tensor | None:
        return None

    def condition(self, view: Tensor, batch: TokenBatch) -> Tensor | None:
        """Condition tokens (B,T,N,G), as `world.step.condition_tokens` makes them."""
        sizes = self.model.config
        if not sizes.condition:
            return None
        if not sizes.masks:
            return view
        of_map = torch.arange(sizes.tokens) < self.inside
        mask = torch.where(of_map[:, None], known(batch.age)[..., None], lasted(batch.since))
        return torch.cat([view, mask], dim=-1)

    def weight(self, batch: TokenBatch) -> Tensor:
        """Weights (B,T,N) of the tokens, from what memory shows and the action alone."""
        near = self.restless.near(
            batch.view, batch.age, batch.since, batch.actions, self.tokenizer.config.grid
        )
        of_map = torch.arange(near.shape[-1]) < (self.inside or near.shape[-1])
        weight = torch.where(of_map, 1.0, self.config.below) * (1.0 + self.config.focus * near)
        return torch.where(batch.age < 0, self.config.unseen, weight)

    def control(self, batch: TokenBatch, random: torch.Generator) -> Tensor:
        """(B,T,A+K): the actions and what the body tells; of events nothing in some frames, as in
        start clips."""
        parts = [batch.actions, self.body.told(batch.poses[:, :-1], batch.poses[:, 1:])]
        if batch.events.shape[-1]:
            told = torch.rand((*batch.events.shape[:2], 1), generator=random) >= UNTOLD
            parts.append(events.told(batch.events) * told)
        return torch.cat(parts, dim=-1)

    def blurred(self, batch: TokenBatch, random: torch.Generator) -> Tensor:
        """Views (B,T,N,C): half of the clips with noise on what memory shows."""
        level = self.config.blur * torch.rand((len(batch.view), 1, 1, 1), generator=random)
        level = level * (torch.rand(level.shape, generator=random) < 0.5)
        view = batch.view + level * torch.randn(batch.view.shape, generator=random)
        return torch.where((batch.age >= 0)[..., None], view, self.unknown)

    @torch.no_grad()
    def redrawn(
        self, batch: TokenBatch, view: Tensor, control: Tensor, random: torch.Generator,
        model: Denoiser,
    ) -> Tensor:  # fmt: skip
        """Views (B,T,N,C) with the tokens of this clip's frames drawn by a model."""
        low, high = REDRAWN
        sigma = low + (high - low) * torch.rand(view.shape[:2], generator=random)
        noise = torch.randn(view.shape, generator=random)
        noisy = interpolate(batch.target, noise, sigma)
        drawn = model(noisy, sigma, control, self.condition(view, batch)).flatten(0, 1)
        shown = to_float(to_uint8(self.tokenizer.decode(drawn)[0]))
        tokens = self.tokenizer.encode(shown).reshape(len(view), -1, view.shape[-1])  # (B,T*N,C)
        source = batch.source.clamp_min(0).flatten(1)[..., None].expand(-1, -1, view.shape[-1])
        own = tokens.gather(1, source).reshape(view.shape)
        return torch.where((batch.source >= 0)[..., None], own, view)
