import io

import pytest

from nfd_gym.progress import Progress


class Terminal(io.StringIO):
    def isatty(self):
        return True


class Clock:
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


def work(stream, seconds, steps=10):
    clock = Clock()
    with Progress(steps, "frames", stream=stream, clock=clock) as bar:
        for _ in range(steps):
            clock.now += seconds / steps
            bar.add()
    return stream.getvalue()


def test_short_work_is_silent():
    assert work(Terminal(), 1.5) == ""


def test_long_work_shows_a_bar_that_ends_full():
    text = work(Terminal(), 20)
    assert text.count("\r") >= 5 and text.endswith("\n")
    assert "100%  10/10 frames" in text.splitlines()[-1]


@pytest.mark.parametrize("seconds", [1, 100])
def test_anything_but_a_terminal_gets_nothing(seconds):
    assert work(io.StringIO(), seconds) == ""


def test_the_bar_is_redrawn_at_most_ten_times_a_second():
    assert work(Terminal(), 4, steps=4000).count("\r") <= 25


def test_an_error_passes_through():
    with pytest.raises(ZeroDivisionError), Progress(3, "frames", stream=Terminal()):
        raise ZeroDivisionError
