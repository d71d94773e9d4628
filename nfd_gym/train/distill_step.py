"""NFD+: a teacher that needs many steps becomes a student that needs one or two.

recipes   dcm       discrete consistency: safe, no derivative, any form of student
          scm       continuous consistency in flow-matching time (Causal-rCM)
          trigflow  the paper's: continuous consistency in TrigFlow
          full      dcm with the critics and the self-rollout stage

The context of a frame is "joint" (all frames of the clip move down their paths together, as the
teacher learned in its "forced" regime; half the price) or "packed" (a separate context half that
stays as it is, so that its tangent is zero).
"""

import copy
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from nfd_gym.data.loader import Batch
from nfd_gym.diffusion import consistency
from nfd_gym.diffusion.adversarial import balanced
from nfd_gym.diffusion.flow import draw_sigma, interpolate
from nfd_gym.diffusion.texture import patch_distance
from nfd_gym.model import attention
from nfd_gym.model.denoiser import FIELD, MOVED, Denoiser
from nfd_gym.model.pixels import to_uint8
from nfd_gym.train.denoiser_step import Recycling, Window, band_energy, robust
from nfd_gym.train.distill_critics import Critics, Duel
from nfd_gym.train.distill_keep import colour_of_tokens, known, misplaced, roughness
from nfd_gym.train.distill_rollout import cut, free_run, repeat_last, tail
from nfd_gym.train.distill_settings import LEVELS, DistillLoss
from nfd_gym.train.distill_watch import Alarm, Watch, line, tangent_error
from nfd_gym.train.loop import Moment


@dataclass(frozen=True)
class Lesson:
    """What one batch teaches."""

    main: Tensor  # the loss
    made: Tensor  # (B,T,N,C) the frames that it judges
    window: Window  # and what they should be
    logs: dict[str, float]
    paint: Tensor | None = None  # own runs: `made` again, with a gradient to what was painted alone
    beyond: Tensor | None = None  # (B,T,3,H,W) what their pictures hold beyond the latents


def tell(lines: list[str]) -> None:
    for text in lines:
        print(text, flush=True)


class DistillStage:
    name = "distill"

    def __init__(
        self, student: Denoiser, teacher: Denoiser, recycling: Recycling, config: DistillLoss,
        device: str,
    ) -> None:  # fmt: skip
        if config.continuous and student.config.form == "x":
            raise ValueError(
                f"recipe {config.recipe!r} diverges with form 'x', which holds no boundary; "
                "use --set model.form=anchored or v"
            )
        known_moves = recycling.camera is not None and student.config.form != "v"
        if config.keep and not (known_moves and student.config.recycle != "none"):
            raise ValueError(
                "loss.keep needs a recycled last frame, a camera and a clean prediction; "
                "leave it at 0 here"
            )
        self.config, self.recycling, self.device = config, recycling, device
        self.duel = Duel(student, config)
        self.model: nn.Module = self.duel
        self.teacher = teacher.to(device).eval().requires_grad_(False)
        self.average = copy.deepcopy(student).to(device).eval().requires_grad_(False)
        self.critics = Critics(self.duel, self.teacher, recycling, config, device)
        packed = config.continuous or config.regime == "packed"
        self.context = {"auto": "packed" if packed else "joint"}.get(config.context, config.context)
        std = recycling.tokenizer.std**config.channel_power
        self.channel_weight = (std / std.mean()).to(device)
        self.grid = consistency.sigma_grid(config.grid, config.shift).to(device)
        self.alarm = Alarm()
        self.watch: Watch | None = None

    @property
    def student(self) -> Denoiser:
        return self.duel.student

    def watch_on(self, batch: Batch) -> None:
        """Measure and print the failure signs on these recordings from now on."""
        window = self.recycling.window(batch)
        clips, frames = window.actions.shape[:2]
        window = cut(window, clips, frames - self.config.rollout_after)
        self.watch = Watch(
            self.teacher, self.recycling, window, self.config.steps, self.channel_weight
        )

    def report(self, step: int = -1) -> list[str]:
        """A measurement of the averaged student, and the failure signs that it shows."""
        if self.watch is None:
            return []
        figures = self.watch.measure(self.average)
        named = "at the end" if step < 0 else str(step)
        return [
            line(named, figures, self.config.steps),
            *map("WARNING: {}".format, self.watch.signs()),
        ]

    def loss(self, batch: Batch, moment: Moment) -> tuple[Tensor, dict[str, float]]:
        self._follow(moment)
        if moment.step % self.config.watch == 0:
            tell(self.report(moment.step))
        window = self.recycling.window(batch)
        clips, frames, after = *window.actions.shape[:2], 0
        if self._chance(self.config.rollout, moment):
            if self._chance(0.5, moment):
                after = self._draw(self.config.rollout_after + 1, moment.random)
            window = cut(window, clips, after + self.config.rollout_frames)
            lesson = self._on_own_run(window, moment.random)
        else:
            window = cut(window, clips, frames - self.config.rollout_after)
            lesson = self._consistency(window, moment)
        main, prediction, window, logs = lesson.main, lesson.made, lesson.window, lesson.logs
        logs["main"] = main.item()
        if self.config.rollout:  # two kinds of batches whose losses differ a hundredfold: even them
            main = main / main.detach().clamp_min(1e-8)
        # Far into a run the recording shows other places: pictures are judged by themselves.
        total = self.critics.add(main, prediction, window, moment, logs, alone=after > 0)
        if self.config.texture_share and lesson.paint is not None:
            far = self._texture(lesson, moment.random)
            logs["texture"] = far.item()
            share = self.config.texture_share
            total = total + balanced(prediction, main, far, share, lesson.paint) - main
        tell([f"WARNING: {text}" for text in self.alarm.hear(moment.step, logs)])
        return total, logs

    def _texture(self, lesson: Lesson, random: torch.Generator) -> Tensor:
        made, real = self._shown(lesson.made), lesson.window.pixels[:, 1:]
        if lesson.beyond is None:  # real ones too come through the tokenizer: for what its code
            real = self._shown(lesson.window.clean)  # cannot hold, the student is not to blame
        else:
            made = made + lesson.beyond
        return patch_distance(made, real, random, self.recycling.tokenizer.config.patch)

    def _shown(self, latents: Tensor) -> Tensor:
        """Pictures (B,T,3,H,W) of latents (B,T,N,C)."""
        pixels = self.recycling.tokenizer.decode_unclamped(latents.flatten(0, 1))
        clips: Tensor = pixels.unflatten(0, latents.shape[:2])
        return clips

    def _follow(self, moment: Moment) -> None:
        """Let the averaged student be the loop's running average itself, without a copy."""
        mine, wanted = self.average.tokens_in.weight, moment.ema["student.tokens_in.weight"]
        if mine.data_ptr() != wanted.data_ptr():
            part = {k[8:]: v for k, v in moment.ema.items() if k.startswith("student.")}
            self.average.load_state_dict(part, assign=True)
            self.average.requires_grad_(False)

    def _chance(self, share: float, moment: Moment) -> bool:
        return torch.rand((), generator=moment.random, device=self.device).item() < share

    # --- consistency ---------------------------------------------------------------------------

    def _consistency(self, window: Window, moment: Moment) -> Lesson:
        config, random, clean = self.config, moment.random, window.clean
        recycled = self._recycled(window, moment)
        noise = self._noise(clean, random)
        see = self._context(window, recycled, random)
        seen: list[Tensor] = []

        def student(noisy: Tensor, sigma: Tensor) -> Tensor:
            seen.append(see(self.student)(noisy, sigma))
            return seen[-1]

        def eager(noisy: Tensor, sigma: Tensor) -> Tensor:
            with attention.eager():  # fused attention has no forward-mode derivative
                return see(self.student)(noisy, sigma)

        teacher, average = see(self.teacher), see(self.average)
        shape = clean.shape[:2]
        if not config.continuous:
            index = torch.randint(0, config.grid, shape, generator=random, device=self.device)
            index = index.masked_fill(self._at_one(shape, random), 0)
            losses = consistency.discrete_loss(
                student, teacher, average, clean, noise, self.grid, index, config.huber,
                self.channel_weight,
            )  # fmt: skip
            at_one = losses.detach()[index == 0]
            logs = {"at_one": at_one.mean().item()} if len(at_one) else {}
            return Lesson(losses.mean(), seen[-1], window, logs)
        ramp = consistency.ramp_at(moment.step, config.hold, config.warmup)
        if moment.step % 500 == 0:
            error = tangent_error(see(self.student), noise, torch.full(shape, 0.5).to(clean))
            if error > 0.01:
                tell([f"WARNING: the JVP differs by {error:.1%} from central differences"])
        normal = torch.randn(shape, generator=random, device=self.device)
        if config.recipe == "scm":
            sigma = consistency.logit_normal(normal, config.mean, config.std)
            sigma = sigma.masked_fill(self._at_one(shape, random), 1.0)
            losses, tangent = consistency.rf_loss(
                student, teacher, clean, noise, sigma, ramp, eager, self.channel_weight
            )
        else:  # at the angle of pure noise TrigFlow's tangent vanishes: nothing is drawn there
            angle = consistency.tan_normal(normal, config.mean, config.std)
            losses, tangent = consistency.trig_loss(
                student, teacher, clean, noise, angle, ramp, eager, self.channel_weight
            )
        worst = tangent.max().item()
        logs = {"tangent": tangent.mean().item(), "tangent_max": worst}
        return Lesson(losses.mean(), seen[-1], window, logs)

    def _at_one(self, shape: torch.Size, random: torch.Generator) -> Tensor:
        """Which frames (B, T) sit at level 1."""
        frames = torch.rand(shape, generator=random, device=self.device) < self.config.pure
        if self.context == "packed":
            return frames
        clips = torch.rand(shape[0], 1, generator=random, device=self.device)
        return frames | (clips < self.config.one_step)

    def _noise(self, like: Tensor, random: torch.Generator) -> Tensor:
        return torch.randn(like.shape, generator=random, device=self.device)

    def _recycled(self, window: Window, moment: Moment) -> Tensor | None:
        """Recycled inputs: from shaken real frames, or from the student's own free run."""
        if self.recycling.kind == "none":
            return None
        random = moment.random
        if self._chance(self.config.own, moment):
            levels = LEVELS[self._draw_steps(random)]
            run = free_run(self.student, self.recycling, window, levels, random)
            last = torch.cat([window.pixels[:, :1], run.pixels[:, :-1]], dim=1)
        elif self._chance(self.config.recorded, moment):
            last = window.pixels[:, :-1]
        else:
            before = window.latents[:, :-1]
            level = torch.rand((*before.shape[:2], 1, 1), generator=random, device=self.device)
            shaken = before + self.config.recycled_noise * level * self._noise(before, random)
            last = self.recycling.decoded(shaken)
        return self.recycling.given(last, window)

    def _draw(self, below: int, random: torch.Generator) -> int:
        return int(torch.randint(0, below, (), generator=random, device=self.device))

    def _draw_steps(self, random: torch.Generator) -> int:
        return self.config.steps[self._draw(len(self.config.steps), random)]

    def _context(
        self, window: Window, recycled: Tensor | None, random: torch.Generator
    ) -> Callable[[Denoiser], consistency.Denoise]:
        """A network's view (noisy, sigma) -> clean inside this batch, the same for all networks."""
        actions, clean = window.actions, window.clean
        if self.context == "joint":
            return lambda net: lambda noisy, sigma: net(noisy, sigma, actions, recycled)
        shape = clean.shape[:2]
        if self.config.regime == "packed":
            most = self.config.context_noise
            level = most * torch.rand(shape, generator=random, device=self.device)
        else:  # what a world in play has in its cache: the last step's noise level, 1 for one step
            level = draw_sigma(shape, random, self.device, pure=0.0)
            clips = torch.rand(shape[0], 1, generator=random, device=self.device)
            level = torch.where(clips < self.config.one_step, torch.ones_like(level), level)
        context = interpolate(clean, self._noise(clean, random), level)
        return lambda net: (
            lambda noisy, sigma: net.packed(context, noisy, level, sigma, actions, recycled)
        )

    # --- self-rollout --------------------------------------------------------------------------

    def _on_own_run(self, window: Window, random: torch.Generator) -> Lesson:
        """Learn from the last frames of a free run, through the last step of each frame alone.

        Pictures carry more than the latents that they were made of. So the prediction that learns
        is what the pictures came to, and beside it stands what no latents of theirs can say.
        """
        frames = self.config.rollout_frames
        levels = LEVELS[self._draw_steps(random)]
        run = free_run(self.student, self.recycling, window, levels, random).tail(frames)
        share, whole = self._known(window), window
        window = tail(window, frames)
        said, heard = repeat_last(self.student, run, window)
        moved = heard[MOVED].view_as(said) if heard else None
        stand, camera = said.new_zeros(()), self.recycling.camera
        if FIELD in heard:
            still = share_alone(heard[FIELD]).unflatten(0, said.shape[:2])
            stand = stand if camera is None else misplaced(still, whole, camera)
        prediction, beyond = said, None
        if self.student.config.carry:
            latents = self.recycling.tokenizer.encode(run.pixels.flatten(0, 1)).view_as(said)
            prediction, beyond = said + (latents - run.clean), run.pixels - self._shown(latents)
        tokens = self._error(prediction, window.clean)
        if share is not None and moved is not None:
            sure, new = (part[:, -frames:] for part in share)
            hold = self._error(said, moved.detach())
            tokens = sure * tokens + self.config.keep * (1 - sure) * hold
            if self.config.tint:
                tokens = tokens + self.config.tint * new * self._off_colour(said, window.clean)
        calm = roughness(heard[FIELD]) if FIELD in heard else tokens.new_zeros(())
        error = tokens.mean(-1)
        first, last = error.detach().mean(0)[[0, -1]].tolist()
        faded = band_energy(prediction, window.clean)
        logs = {"own_first": first, "own_last": last, "own_energy": faded.item()}
        logs |= {"rough": calm.item(), "misplaced": stand.item()}
        main = error.mean() + self.config.energy * faded + self.config.calm * calm
        main = main + self.config.stand * stand
        # Texture is for paint to make, never by shaking what is there.
        paint = prediction if moved is None else prediction - (moved - moved.detach())
        return Lesson(main, prediction, window, logs, paint, beyond)

    def _error(self, prediction: Tensor, clean: Tensor) -> Tensor:
        """(B,T,N)"""
        squares = ((prediction - clean) ** 2 * self.channel_weight).mean(-1)
        return robust(squares, self.config.robust)

    def _off_colour(self, prediction: Tensor, clean: Tensor) -> Tensor:
        """(B,T,N)"""
        colours = (prediction - clean) @ colour_of_tokens(self.recycling.tokenizer).T
        return robust(colours.square().mean(-1), self.config.robust)

    def _known(self, window: Window) -> tuple[Tensor, Tensor] | None:
        camera = self.recycling.camera
        if not self.config.keep or camera is None:
            return None
        patch = self.recycling.tokenizer.config.patch
        return known(window, camera, self.config.fade, patch)

    @torch.no_grad()
    def picture(self, batch: Batch) -> Tensor:
        """Rows real, dreamt with each sampler length: the first clip of the batch."""
        window = cut(self.recycling.window(batch), 1, 8)
        rows = [to_uint8(window.pixels[0, 1:])]
        for steps in self.config.steps:
            random = torch.Generator(self.device).manual_seed(0)
            run = free_run(self.student, self.recycling, window, LEVELS[steps], random)
            rows.append(to_uint8(run.pixels[0]))
        return torch.cat([torch.cat(list(row), dim=1) for row in rows])


def share_alone(field: Tensor) -> Tensor:
    """The share of a field (F,3,H,W) that stands still, (F,H,W), for a loss of its own. It is all
    or nothing in a run, so what became of the pictures says nothing about it: that gradient ends
    here."""
    share, taught = field[:, 2] * 1.0, [torch.zeros_like(field[:, 2])]
    if field.requires_grad:
        share.register_hook(taught.append)
        field.register_hook(lambda g: torch.cat([g[:, :2], taught[-1][:, None]], dim=1))
    return share
