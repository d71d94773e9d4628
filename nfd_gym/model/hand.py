"""Where games show the player's hand: it alone stays when the view turns."""

import torch
from torch import Tensor

RIGHT, BELOW = 0.65, 0.64  # of the width and the height


def hand(height: int, width: int, device: torch.device | str = "cpu") -> Tensor:
    """(H,W), true where it is shown."""
    rows, columns = torch.arange(height, device=device)[:, None], torch.arange(width, device=device)
    return (columns >= RIGHT * width) & (rows >= BELOW * height)


def from_behind(columns: Tensor, rows: Tensor) -> Tensor:
    """(...,H,W), true where a picture would take something from behind the hand, `columns` and
    `rows` in pixels, and is not there itself: the hand would leave a trail."""
    height, width = columns.shape[-2:]
    behind = (columns >= RIGHT * width - 0.5) & (rows >= BELOW * height - 0.5)
    return behind & ~hand(height, width, columns.device)
