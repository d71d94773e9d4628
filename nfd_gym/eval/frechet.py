"""Frechet distance between Gaussians fitted to features of real and dreamt pictures.

The features are those of our *own* tokenizer (mean and standard deviation of every latent channel
over a picture), so the number compares arms of this project and nothing else: it is not FVD and
must not be called so. With the user's I3D torchscript file, `i3d_features` gives features for the
real FVD.
"""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F

from nfd_gym.errors import UsageError
from nfd_gym.eval.rollout import Frames
from nfd_gym.model.pixels import to_float
from nfd_gym.model.tokenizer import Tokenizer

Features = npt.NDArray[np.float64]


def sqrtm_psd(matrix: Features) -> Features:
    """Square root of a symmetric positive semidefinite matrix."""
    values, vectors = np.linalg.eigh((matrix + matrix.T) / 2)
    return np.asarray((vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T)


def gaussian_distance(
    mean_a: Features, cov_a: Features, mean_b: Features, cov_b: Features
) -> float:
    """|mean_a - mean_b|^2 + tr(A + B - 2 (A^1/2 B A^1/2)^1/2). The symmetric form of (A B)^1/2
    has real eigenvalues, so no scipy is needed."""
    root = sqrtm_psd(cov_a)
    cross = np.linalg.eigvalsh(root @ cov_b @ root)
    overlap = np.sqrt(np.maximum(cross, 0)).sum()
    return float(np.square(mean_a - mean_b).sum() + np.trace(cov_a) + np.trace(cov_b) - 2 * overlap)


def frechet(features_a: Features, features_b: Features) -> float:
    """Frechet distance of two feature sets (N, F). Biased upwards at small N: always report N."""
    for features in (features_a, features_b):
        if len(features) < 2:
            raise UsageError("A Frechet distance needs at least two samples on each side.")
    return gaussian_distance(
        features_a.mean(axis=0),
        np.cov(features_a, rowvar=False).reshape(features_a.shape[1], -1),
        features_b.mean(axis=0),
        np.cov(features_b, rowvar=False).reshape(features_b.shape[1], -1),
    )


@torch.no_grad()
def latent_features(tokenizer: Tokenizer, frames: Frames) -> Features:
    """(N, 2 C): mean and standard deviation over the tokens of every latent channel, per
    picture."""
    out = []
    for start in range(0, len(frames), 32):
        latents = tokenizer.colour.encode(to_float(torch.from_numpy(frames[start : start + 32])))
        out.append(torch.cat([latents.mean(dim=1), latents.std(dim=1)], dim=-1))
    return torch.cat(out).double().numpy()


@torch.no_grad()
def i3d_features(path: Path, videos: Frames) -> Features:
    """Features (N, 400) of videos (N, T, H, W, 3) from the public I3D torchscript file, for FVD.

    T should be 16 and N large (2048 is usual); the picture is resized to 224 x 224.
    """
    if videos.shape[1] < 10:
        raise UsageError(f"I3D needs at least 10 frames per video, got {videos.shape[1]}.")
    try:
        network = torch.jit.load(str(path), map_location="cpu").eval()
    except (RuntimeError, ValueError, OSError) as error:
        raise UsageError(
            f"{path} is not a torchscript file ({error}); pass i3d_torchscript.pt."
        ) from error
    out = []
    for video in videos:
        pixels = F.interpolate(to_float(torch.from_numpy(video)), size=(224, 224), mode="bilinear")
        batch = pixels.movedim(0, 1)[None]  # (1, 3, T, H, W)
        out.append(network(batch, rescale=False, resize=False, return_features=True))
    return torch.cat(out).double().numpy()
