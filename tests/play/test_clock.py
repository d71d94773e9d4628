"""The metronome's grid and its honest figures, on a clock that the tests turn."""

import itertools
import threading

import pytest

from nfd_gym.play import clock
from nfd_gym.play.clock import Metronome, Spread
from nfd_gym.play.hud import badges, hud_rows, slow_motion

FACTS = {
    "world": "w", "size": [192, 112], "player": "human", "twin": False, "side": "dream",
    "recording": None, "paused": False, "toast": "", "seed": 3, "score": 0.0, "tick_ms": None,
    "ms": {}, "speculation": None, "drift": None, "steps": None, "fps": 0.0, "rate": 20.0,
    "awake_s": 0.0, "latency_ms": None,
}  # fmt: skip


@pytest.fixture
def hand(monkeypatch):
    """A clock that only moves when told, or while the metronome waits."""

    class Hand:
        now = 100.0

        def perf_counter(self):
            return self.now

    hand = Hand()
    monkeypatch.setattr(clock, "time", hand)
    return hand


class Sleeper(threading.Event):
    """An event whose wait moves the hand."""

    def __init__(self, hand):
        super().__init__()
        self.hand = hand

    def wait(self, timeout=None):
        self.hand.now += timeout
        return False


def run(hand, work_s, ticks):
    metronome, stop = Metronome(20.0), Sleeper(hand)
    starts = []
    for _ in range(ticks):
        metronome.wait(stop)
        starts.append(hand.now)
        hand.now += work_s
    return metronome, starts


def test_ticks_lie_on_the_grid_however_long_the_work_takes_within_a_tick(hand):
    metronome, starts = run(hand, 0.031, 100)
    assert starts == pytest.approx([100 + 0.05 * tick for tick in range(100)])
    assert metronome.fps() == pytest.approx(20.0) and metronome.late == 0


def test_a_late_tick_is_never_made_up_for(hand):
    metronome, stop = Metronome(20.0), Sleeper(hand)
    starts = []
    for tick in range(40):
        metronome.wait(stop)
        starts.append(hand.now)
        hand.now += 1.0 if tick == 10 else 0.01
    gaps = [b - a for a, b in itertools.pairwise(starts)]
    assert min(gaps) > 0.049 and max(gaps) == pytest.approx(1.0) and metronome.late == 1


def test_the_figures_speak_of_the_last_two_seconds(hand):
    metronome, stop = Metronome(20.0), Sleeper(hand)
    for work in [0.01] * 100 + [2.9] * 3:
        metronome.wait(stop)
        hand.now += work
    metronome.wait(stop)
    assert metronome.fps() == pytest.approx(1 / 2.9, rel=0.01)


def test_a_rest_is_neither_slow_nor_late(hand):
    metronome, stop = Metronome(20.0), Sleeper(hand)
    metronome.wait(stop)
    hand.now += 500
    metronome.restart()
    for _ in range(10):
        metronome.wait(stop)
    assert metronome.late == 0 and metronome.awake_s < 1 and metronome.fps() == pytest.approx(20)


@pytest.mark.parametrize(("fps", "speed"), [(20.0, None), (19.5, None), (12.0, 0.6), (0.3, 0.015)])
def test_slow_motion_is_said(fps, speed):
    facts = {**FACTS, "fps": fps, "awake_s": 5.0}
    assert slow_motion(facts) == (None if speed is None else pytest.approx(speed))
    assert any("slow motion" in text for text, _ in badges(facts)) == (speed is not None)
    assert slow_motion({**facts, "awake_s": 0.2}) is None


def test_a_figure_that_nobody_measured_is_not_shown():
    labels = [label for label, _ in hud_rows(FACTS)]
    assert labels == ["world", "player", "seed"]
    known = {
        **FACTS, "fps": 20.0, "tick_ms": [31.0, 40.0], "ms": {"draw": 1.2}, "drift": 1.1,
        "steps": 2, "speculation": {"steps": 50, "hits": 40}, "latency_ms": 60.0, "score": 2.0,
    }  # fmt: skip
    rows = dict(hud_rows(known))
    assert rows["speculation"] == "80 % hits" and rows["input to picture"] == "60 ms   1.2 ticks"
    assert {"drift", "denoising steps", "reward", "  draw", "step", "ticks"} <= rows.keys()


def test_percentiles_of_the_whole_run():
    spread = Spread(size=10)
    assert spread.at(50) is None and spread.recent_at(50) is None
    for value in range(101):
        spread.add(float(value))
    assert spread.at(50, 95) == [50.0, 95.0] and spread.recent_at(50) == [95.5]
