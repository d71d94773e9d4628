"""Frechet distance of Gaussians against its closed forms."""

from pathlib import Path

import numpy as np
import pytest

from nfd_gym.eval.frechet import frechet, gaussian_distance, i3d_features, sqrtm_psd


def covariance(seed: int, size: int = 6) -> np.ndarray:
    root = np.random.default_rng(seed).normal(size=(size, size))
    return root @ root.T + 0.1 * np.eye(size)


def test_square_root_squares_back() -> None:
    matrix = covariance(0)
    root = sqrtm_psd(matrix)
    np.testing.assert_allclose(root @ root, matrix, atol=1e-10)


def test_equal_gaussians_have_no_distance() -> None:
    matrix, mean = covariance(1), np.arange(6.0)
    assert gaussian_distance(mean, matrix, mean, matrix) == pytest.approx(0, abs=1e-9)


def test_commuting_covariances() -> None:
    """Diagonal A and B: |m|^2 + sum (sqrt a - sqrt b)^2."""
    a, b = np.array([1.0, 4.0, 9.0]), np.array([4.0, 4.0, 1.0])
    mean = np.array([1.0, 2.0, 2.0])
    expected = 9 + np.square(np.sqrt(a) - np.sqrt(b)).sum()
    assert gaussian_distance(np.zeros(3), np.diag(a), mean, np.diag(b)) == pytest.approx(expected)


def test_rotations_do_not_matter() -> None:
    a, b = covariance(2), covariance(3)
    turn = np.linalg.qr(np.random.default_rng(4).normal(size=(6, 6)))[0]
    mean = np.random.default_rng(5).normal(size=6)
    plain = gaussian_distance(np.zeros(6), a, mean, b)
    turned = gaussian_distance(np.zeros(6), turn @ a @ turn.T, turn @ mean, turn @ b @ turn.T)
    assert turned == pytest.approx(plain)
    assert gaussian_distance(mean, b, np.zeros(6), a) == pytest.approx(plain)


def test_samples_approach_the_closed_form() -> None:
    rng = np.random.default_rng(6)
    ours, theirs = rng.normal(0, 1, (20000, 4)), rng.normal(1, 2, (20000, 4))
    assert frechet(ours, theirs) == pytest.approx(4 * 1 + 4 * (2 - 1) ** 2, rel=0.05)


def test_a_single_sample_is_refused() -> None:
    with pytest.raises(ValueError, match="two samples"):
        frechet(np.zeros((1, 3)), np.zeros((5, 3)))


@pytest.mark.filterwarnings("ignore:.torch.jit.load. is deprecated:DeprecationWarning")
def test_a_wrong_i3d_file_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "i3d.pt"
    path.write_bytes(b"not a network")
    with pytest.raises(ValueError, match=r"i3d\.pt is not a torchscript file"):
        i3d_features(path, np.zeros((1, 16, 8, 8, 3), np.uint8))
