"""Control judges on clips made by known camera motion: right when obeyed, wrong when not."""

from dataclasses import replace

import numpy as np
import pytest

from nfd_gym.actions import Camera, KeysAndMouse
from nfd_gym.data.clip import Clip, Event
from nfd_gym.eval.baselines import warp_frames
from nfd_gym.eval.control import Probe, commanded, dig_share, moving_pairs, read, summarise
from nfd_gym.eval.metrics import blur, gaussian_taps
from nfd_gym.eval.readings import change, share_of_change
from nfd_gym.keyboard import PITCH, YAW, camera_to_scalar

CODEC = KeysAndMouse(camera=Camera(72.0))
CONTEXT, TICKS, LOOK = 3, 4, 12.0


def still_picture(seed: int) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(size=(122, 202, 3)).astype(np.float32)
    smooth = np.stack([blur(noise[..., c], gaussian_taps()) for c in range(3)], axis=-1)
    return np.clip(128 + 60 * smooth / smooth.std(), 0, 255).astype(np.uint8)


def turning(action: str, yaw: float, pitch: float, seed: int = 0) -> Probe:
    """A picture that is turned by (yaw, pitch) degrees a tick after the context."""
    frames = CONTEXT + TICKS
    steps = np.concatenate([np.zeros(CONTEXT), np.arange(1, TICKS + 1)])
    video = warp_frames(
        np.repeat(still_picture(seed)[None], frames, axis=0),
        pitch * steps, yaw * steps, np.full(frames, LOOK), 72.0,
    )  # fmt: skip
    actions = np.zeros((frames, CODEC.width), np.float32)
    actions[CONTEXT:, YAW] = camera_to_scalar(yaw)
    actions[CONTEXT:, PITCH] = camera_to_scalar(pitch)
    view = (LOOK + pitch * steps).astype(np.float32)
    return Probe(action, CONTEXT, Clip(video, actions, pitch=view, name=action))


PROBES = [
    turning("turn_right", 4.0, 0),
    turning("turn_left", -4.0, 0, seed=1),
    turning("look_down", 0, 2.0, seed=2),
    turning("look_up", 0, -2.0, seed=3),
]


def test_commanded_rates_come_from_the_actions() -> None:
    assert commanded(PROBES[0], CODEC) == pytest.approx((4.0, 0.0), abs=1e-4)
    assert commanded(PROBES[3], CODEC) == pytest.approx((0.0, -2.0), abs=1e-4)


def test_an_obedient_dream_scores_one() -> None:
    taken = [read(probe, probe.clip.frames[probe.tail], CODEC) for probe in PROBES]
    figures = summarise(PROBES, taken, CODEC)
    assert figures["turn_sign_right"] == 1.0 and figures["turn_probes"] == 4
    assert figures["rate_over_command"] == pytest.approx(1.0, abs=0.1)
    assert set(figures["rate_over_command_by_action"]) == {p.action for p in PROBES}


def test_a_frozen_and_a_mirrored_dream_score_zero() -> None:
    frozen = [read(p, np.repeat(p.clip.frames[:1], TICKS + 1, axis=0), CODEC) for p in PROBES]
    assert summarise(PROBES, frozen, CODEC)["turn_sign_right"] == 0.0
    other = [PROBES[1], PROBES[0], PROBES[3], PROBES[2]]
    mirrored = [read(p, q.clip.frames[p.tail], CODEC) for p, q in zip(PROBES, other, strict=True)]
    figures = summarise(PROBES, mirrored, CODEC)
    assert figures["turn_sign_right"] == 0.0
    assert figures["rate_over_command"] == pytest.approx(-1.0, abs=0.1)


def digging(hole: int = 12) -> Probe:
    """A dark hole appears at the crosshair two frames after the dig event."""
    frames = 40
    video = np.repeat(still_picture(5)[None], frames, axis=0)
    video[17:, 56 - hole : 56 + hole, 96 - hole : 96 + hole] //= 4
    actions = np.zeros((frames, CODEC.width), np.float32)
    event = Event(frame=16, kind="dig", name="default:dirt")
    clip = Clip(video, actions, events=(event,), pitch=np.full(frames, 50, np.float32), name="dig")
    return Probe("attack", CONTEXT, clip)


def test_the_hole_of_the_recording_is_found_and_only_there() -> None:
    probe = digging()
    real = probe.clip.frames[probe.tail]
    assert dig_share(probe, real) == pytest.approx(1.0)
    assert dig_share(probe, np.repeat(real[:1], len(real), axis=0)) == pytest.approx(0.0)
    # A tool swinging through the picture is at each place only briefly: it is no hole.
    swing = np.repeat(real[:1], len(real), axis=0).copy()
    for t in range(len(swing)):
        swing[t, 30:80, (t * 15) % 150 : (t * 15) % 150 + 20] = 255
    share = dig_share(probe, swing)
    assert share is not None and abs(share) < 0.3


def test_a_clip_without_a_dig_is_not_judged() -> None:
    probe = digging()
    idle = replace(probe, clip=replace(probe.clip, events=()))
    assert dig_share(idle, idle.clip.frames[idle.tail]) is None


def test_half_a_change_is_half() -> None:
    before = np.full((1, 40, 60, 3), 100, np.uint8)
    full, half = before.copy(), before.copy()
    full[:, 15:25, 25:35], half[:, 15:25, 25:35] = 40, 70
    whole = change(before, full)
    assert share_of_change(change(before, half), whole) == pytest.approx(0.5, abs=0.01)


def test_walking_pairs_need_the_game_to_have_moved() -> None:
    frames = CONTEXT + 30
    z = np.concatenate([np.zeros(CONTEXT + 10), 0.2 * np.arange(20)])
    clip = Clip(
        np.zeros((frames, 8, 8, 3), np.uint8),
        np.zeros((frames, CODEC.width), np.float32),
        pitch=np.zeros(frames, np.float32),
        state={"xpos": np.zeros(frames), "zpos": z},
    )
    starts = moving_pairs(Probe("forward", CONTEXT, clip))
    assert starts.size and starts.min() >= 8  # before that it stood still
    assert moving_pairs(Probe("noop", CONTEXT, clip)).min() == 2
