"""Stage 5: the decoder once more, on latents that the denoiser predicted; the encoder stays.

Predicted latents are a little blurred; a decoder that has seen them draws the texture that belongs
there. Half of every batch is ordinary reconstruction, so that real frames stay sharp.
"""

import torch
from torch import Tensor

from nfd_gym.data.loader import Batch
from nfd_gym.model.denoiser import Denoiser
from nfd_gym.model.pixels import to_uint8
from nfd_gym.model.tokenizer import Tokenizer
from nfd_gym.train.denoiser_step import Recycling, Window
from nfd_gym.train.loop import Moment
from nfd_gym.train.tokenizer_step import TokenizerLoss, picture_loss


class DecoderStage:
    name = "decoder"

    def __init__(
        self,
        model: Tokenizer,
        recycling: Recycling,
        denoiser: Denoiser,
        config: TokenizerLoss,
        device: str,
    ) -> None:
        self.model, self.recycling, self.config, self.device = model, recycling, config, device
        self.denoiser = denoiser.to(device).eval().requires_grad_(False)
        model.requires_grad_(False)
        if model.decoder is None:
            raise ValueError("a tokenizer with model.hidden=0 has no decoder net to train")
        for part in (model.patch_out, model.decoder):
            part.requires_grad_(True)

    def loss(self, batch: Batch, moment: Moment) -> tuple[Tensor, dict[str, float]]:
        window = self.recycling.window(batch)
        predicted = self._predicted(window, moment.random)
        half = window.clean.shape[1] // 2
        latents = torch.cat([predicted[:, half:], window.clean[:, :half]], dim=1).flatten(0, 1)
        pixels = torch.cat(
            [window.pixels[:, 1 + half :], window.pixels[:, 1 : 1 + half]], dim=1
        ).flatten(0, 1)
        return picture_loss(self.model.decode_unclamped(latents), pixels, self.config)

    @torch.no_grad()
    def _predicted(self, window: Window, random: torch.Generator) -> Tensor:
        """One-step predictions (B,T,N,C), every frame given the recorded one before it."""
        recycled = self.recycling.given(window.pixels[:, :-1], window)
        noise = torch.randn(window.clean.shape, generator=random, device=self.device)
        sigma = torch.ones(window.clean.shape[:2], device=self.device)
        predicted: Tensor = self.denoiser(noise, sigma, window.actions, recycled)
        return predicted

    @torch.no_grad()
    def picture(self, batch: Batch) -> Tensor:
        """Rows real, decoded prediction."""
        window = self.recycling.window(batch)
        predicted = self._predicted(window, torch.Generator(self.device).manual_seed(0))
        rows = [to_uint8(window.pixels[0, 1:5]), to_uint8(self.model.decode(predicted[0, :4]))]
        return torch.cat([torch.cat(list(row), dim=1) for row in rows])
