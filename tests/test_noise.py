import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nfd_gym.noise import noise

address = st.integers(0, 2**64 - 1)


@given(address, address, address, address)
def test_noise_depends_on_its_address_alone(seed, lane, frame, draw):
    """Drawing other noise in between changes nothing: there is no hidden state."""
    first = noise(seed, lane, frame, draw, (5,))
    noise(1, 2, 3, 4, (1000,))
    assert np.array_equal(first, noise(seed, lane, frame, draw, (5,)))


@given(st.lists(address, min_size=4, max_size=4), st.integers(0, 3), st.integers(1, 2**63))
def test_every_part_of_the_address_matters(values, part, step):
    other = list(values)
    other[part] = (other[part] + step) % 2**64
    assert not np.array_equal(noise(*values, (8,)), noise(*other, (8,)))


def test_noise_is_standard_normal():
    sample = noise(7, 0, 0, 0, (400, 400))
    assert sample.dtype == np.float32
    assert abs(sample.mean()) < 0.01 and abs(sample.std() - 1) < 0.01
    assert abs((sample**3).mean()) < 0.03 and abs((sample**4).mean() - 3) < 0.1


def test_neighbours_are_uncorrelated():
    here = noise(7, 0, 10, 0, (20000,))
    for other in (
        noise(7, 0, 11, 0, (20000,)),
        noise(7, 1, 10, 0, (20000,)),
        noise(8, 0, 10, 0, (20000,)),
    ):
        assert abs(np.corrcoef(here, other)[0, 1]) < 0.03


def test_a_longer_draw_begins_with_the_shorter():
    """The stream of one address cannot run into its neighbour: the counter's low words count it."""
    assert np.array_equal(noise(1, 2, 3, 4, (10,)), noise(1, 2, 3, 4, (1000,))[:10])


@pytest.mark.parametrize("bad", [(-1, 0, 0, 0), (0, 2**64, 0, 0), (0, 0, -5, 0), (0, 0, 0, -1)])
def test_addresses_outside_the_counter_are_refused(bad):
    with pytest.raises(ValueError, match=r"from 0 to 2\*\*64"):
        noise(*bad, (1,))


def test_golden_values():
    """These numbers are part of every saved session: a change breaks all replays."""
    expected = [0.84902835, -0.04425343, 1.48229027]
    got = noise(2026, 3, 14, 1, (3,))
    assert got.tolist() == pytest.approx(expected, abs=1e-6)
