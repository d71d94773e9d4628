"""Torch devices by name, refused in one sentence where this machine has none."""

import torch

from nfd_gym.errors import NfdError


class DeviceError(NfdError, ValueError):
    """A device that does not exist here."""


def find_device(name: str) -> torch.device:
    """The torch device of that name, if this machine has it."""
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise DeviceError(f"no device {name!r}; use 'cpu' or 'cuda'.") from error
    if device.type == "cuda" and not torch.cuda.is_available():
        raise DeviceError(
            f"device {name!r} was asked for, but torch sees no CUDA GPU here; use device='cpu', or "
            "install a CUDA build of torch (https://pytorch.org)."
        )
    return device
