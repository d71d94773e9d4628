"""How far generated pictures are from real ones as heaps of patches, wherever the patches lie.

A squared error makes a net that does not know where a blade of grass is draw none. Sliced
Wasserstein distances between the patches of both (Elnekave & Weiss 2022 make whole pictures with
them) ask for grass as such: there is no critic that a student could outrun.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

LEVELS = 3  # bands of detail, each half as fine as the one before


def patch_distance(
    made: Tensor, real: Tensor, random: torch.Generator, token: int = 16, shifts: int = 8,
    filters: int = 48, size: int = 7,
) -> Tensor:  # fmt: skip
    """Mean distance of the patches of clips (B,T,3,H,W), in deviations of the real ones.

    Every clip is compared with its own real frames, in every band along `filters` random
    directions. The patches of a heap lie a `token` apart, so if seams between tokens show, some
    heaps are full of them. A patch also knows how high on the screen it is: sky belongs above
    ground.
    """
    total = made.new_zeros(())
    pairs = zip(bands(made.flatten(0, 1)), bands(real.flatten(0, 1)), strict=True)
    for level, (ours, theirs) in enumerate(pairs):
        directions = torch.randn(filters, 3, size, size, generator=random, device=made.device)
        lean = torch.randn(filters, 1, 1, 1, generator=random, device=made.device)
        stride = max(1, token >> level)
        for _ in range(shifts):
            y, x = (
                torch.randint(0, most, (), generator=random, device=made.device).item()
                for most in (min(stride, side - size + 1) for side in ours.shape[-2:])
            )
            a, b = (
                F.conv2d(part[..., y:, x:], directions, stride=stride)
                .unflatten(0, (len(made), -1))
                .movedim(2, 1)
                for part in (ours, theirs)
            )  # (B, filters, T, h, w)
            spread = b.std(dim=(2, 3, 4), keepdim=True).detach() + 1e-3
            height = lean * torch.linspace(-1, 1, a.shape[-2], device=made.device)[:, None]
            a, b = ((part / spread + height).flatten(2).sort(dim=-1).values for part in (a, b))
            total = total + (a - b).abs().mean()
    mean: Tensor = total / (LEVELS * shifts)
    return mean


def bands(pictures: Tensor) -> list[Tensor]:
    """Laplacian pyramid of (B,3,H,W): what each halving of the size loses, and the rest."""
    out = []
    for _ in range(LEVELS - 1):
        half = F.avg_pool2d(pictures, 2)
        out.append(pictures - F.interpolate(half, size=pictures.shape[-2:], mode="bilinear"))
        pictures = half
    return [*out, pictures]
