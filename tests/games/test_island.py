"""The island on the running game: depth and pose agree with the picture, and the rules hold."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nfd_gym.data.reproject import agreement, splat
from nfd_gym.games.bench import _family
from nfd_gym.games.luanti import check
from nfd_gym.games.luanti.env import LuantiEnv
from nfd_gym.games.luanti.spec import EYE_HEIGHT, FENCE, FOV_Y, KINDS, SEA_TOP
from tests.games.hands import press

pytestmark = [
    pytest.mark.luanti,
    pytest.mark.skipif(bool(check()), reason="; ".join(check()) or "installed"),
]
SEA = {"position": (52.0, 0.0), "yaw": 0.0, "pitch": 45.0}  # flat far and wide
PATH = {"position": (-5.0, -1.0), "yaw": 180.0, "pitch": 40.0}
Frame = np.ndarray


@pytest.fixture(scope="module")
def env() -> Iterator[LuantiEnv]:
    made = LuantiEnv(action_space="minerl", depth=True)
    made.reset(seed=1)
    yield made
    made.close()


def at(env: LuantiEnv, place: dict[str, Any]) -> tuple[Frame, dict[str, Any]]:
    return env.reset(options={"place": place})


def film(env: LuantiEnv, ticks: int, seed: int) -> tuple[Frame, Frame, Frame]:
    """Frames, depth and poses of walking, turning and jumping from a place drawn from `seed`."""
    rng = np.random.default_rng(seed)
    frame, info = env.reset(seed=seed)
    frames, depth, pose = [frame], [info["depth"]], [info["eye"]]
    for tick in range(ticks):
        keys = [("forward",), (), ("forward", "jump"), ("left",), ("back", "right")][tick // 12 % 5]
        turn = rng.normal(0, 3, 2) if tick // 12 % 2 else (0.0, 0.0)
        frame, info = press(env, *keys, down=turn[0], right=turn[1])
        frames.append(frame), depth.append(info["depth"]), pose.append(info["eye"])
    return np.stack(frames), np.stack(depth), np.array(pose)


def test_a_frame_seen_from_the_next_pose_is_the_next_frame(env: LuantiEnv) -> None:
    assert np.median(agreement(*film(env, 60, seed=3), FOV_Y)) > 30


@pytest.mark.slow
def test_the_law_of_reprojection_over_500_frames(env: LuantiEnv) -> None:
    found = [agreement(*film(env, 100, seed=seed), FOV_Y) for seed in range(5)]
    assert np.median(np.concatenate(found)) > 30, [np.median(part) for part in found]


def test_the_pose_is_right_to_half_a_pixel(env: LuantiEnv) -> None:
    """The splatted frame fits best where it is, not a pixel to any side."""
    frames, depth, pose = film(env, 40, seed=4)
    errors = {}
    for shift in ((0, 0), (0, 1), (0, -1), (1, 0), (-1, 0)):
        total = []
        for i in range(40):
            drawn, covered = splat(frames[i], depth[i], pose[i], pose[i + 1], FOV_Y)
            moved = np.roll(frames[i + 1], shift, (0, 1)).astype(float)
            total.append(np.mean((drawn[covered] - moved[covered]) ** 2))
        errors[shift] = np.median(total)
    assert min(errors, key=errors.__getitem__) == (0, 0), errors


def test_the_eye_is_over_the_feet_and_turns_with_the_view(env: LuantiEnv) -> None:
    _, info = at(env, {"position": (52.0, 0.0), "yaw": 30.0, "pitch": 10.0})
    for turn in (0.0, 120.0, 120.0, 120.0):
        _, info = press(env, right=turn)
        x, y, z, yaw, pitch = info["eye"]
        assert np.allclose((x, y - EYE_HEIGHT, z), info["position"], atol=2e-3)
        assert (yaw, pitch) == (pytest.approx(info["yaw"], abs=0.01), pytest.approx(10, abs=0.1))


def test_the_sky_is_zero_and_the_sea_is_where_it_is(env: LuantiEnv) -> None:
    _, info = at(env, {"position": (52.0, 0.0), "yaw": -90.0, "pitch": 0.0})
    depth = info["depth"]
    assert depth.dtype == np.uint16 and depth.shape == (112, 192) and not depth[:50].any()
    below = np.arange(70, 112) + 0.5 - 56  # pixels under the middle of a level view
    away = (info["eye"][1] - SEA_TOP) * 56 / np.tan(np.radians(FOV_Y / 2)) / below
    assert np.allclose(16384 / depth[70:, 96], away, rtol=0.03)


def test_attack_digs_at_once_and_every_quarter_second(env: LuantiEnv) -> None:
    """The hole is in the very frame of the dig, whole: nothing changes afterwards."""
    before, _ = at(env, PATH)
    digs = []
    for tick in range(13):
        after, info = press(env, "attack")
        digs += [tick] * len(info["events"])
        changed = np.abs(after.astype(int) - before).mean()
        assert (changed > 0.3) == bool(info["events"]), (tick, changed)
        before = after
    assert digs == [0, 5, 10]
    assert sum(info["stats"].values()) == 3


@pytest.mark.parametrize("slot", [1, 2, 3])
def test_use_places_the_chosen_kind_at_once(env: LuantiEnv, slot: int) -> None:
    before, _ = at(env, PATH)
    after, info = press(env, f"hotbar.{slot}", "use")
    (event,) = info["events"]
    assert (event["type"], event["node"]) == ("place", KINDS[slot - 1])
    assert info["hotbar"] == slot - 1
    assert np.abs(after.astype(int) - before).mean() > 1
    assert not any(press(env, "use")[1]["events"] for _ in range(4))
    assert press(env, f"hotbar.{slot + 6}")[1]["hotbar"] == slot - 1  # there is nothing in it


def test_blocks_stay_out_of_the_own_body(env: LuantiEnv) -> None:
    at(env, {**PATH, "pitch": 85.0})
    for _ in range(12):
        frame, info = press(env, "use")
        assert not info["events"]
    start = info["position"][1]
    for _ in range(50):  # but under the feet while jumping
        frame, info = press(env, "use", "jump")
        assert frame.mean() > 30  # the eye is never in a block
    for _ in range(15):
        _, info = press(env)
    built = info["stats"]["use_item:island:brick"]
    assert built >= 2 and info["position"][1] == pytest.approx(start + built, abs=0.01)


def test_sea_and_sea_bed_stay_but_carry_blocks(env: LuantiEnv) -> None:
    at(env, SEA)
    assert not any(press(env, "attack")[1]["events"] for _ in range(8))
    assert press(env, "use")[1]["events"]
    _, info = at(env, {"position": (30.0, 10.0), "yaw": 0.0, "pitch": 88.0})
    for _ in range(120):
        _, info = press(env, "attack")
    assert -4 < info["position"][1] < -2 and info["surroundings"]["pointed"] == "island:bed"


def test_a_block_is_climbed_without_jumping(env: LuantiEnv) -> None:
    at(env, SEA)
    press(env, "use")
    path = [press(env, "forward")[1] for _ in range(25)]
    assert max(info["position"][1] for info in path) == pytest.approx(SEA_TOP + 1, abs=0.01)
    assert path[-1]["position"][2] > 4 and "jump" not in path[-1]["stats"]
    heights = [info["eye"][1] for info in path]  # the camera is smooth where the feet are not
    assert np.diff(heights).max() < 0.8


def test_a_wall_stops(env: LuantiEnv) -> None:
    """The hut's east wall is a face at x = -0.5, and the body a box of 0.6 m."""
    at(env, {"position": (2.5, 9.0), "yaw": 90.0, "pitch": 0.0})
    path = [press(env, "forward")[1]["position"] for _ in range(30)]
    assert path[-1][0] == pytest.approx(-0.2, abs=0.02) and path[-1] == path[-5]


def test_nobody_leaves_the_world(env: LuantiEnv) -> None:
    _, info = at(env, {"position": (60.0, 0.0), "yaw": -90.0, "pitch": 0.0})
    for _ in range(60):
        _, info = press(env, "forward", "jump")
    assert FENCE - 2 < info["position"][0] < FENCE and info["position"][1] >= SEA_TOP


def test_a_reset_restores_every_edit(env: LuantiEnv) -> None:
    """Also those far away and out of sight, and in half a second."""
    first, before = at(env, PATH)
    for _ in range(40):
        press(env, "attack", right=4.0)
        press(env, "use", "forward", down=0.5)
    begin = time.monotonic()
    at(env, {"position": (30.0, 30.0)})
    spent = time.monotonic() - begin
    again, after = at(env, PATH)
    assert np.array_equal(first, again) and np.array_equal(before["depth"], after["depth"])
    assert spent < 1.5  # 0.1 on a quiet machine


def test_equal_seeds_begin_with_equal_pictures(env: LuantiEnv) -> None:
    first, one = env.reset(seed=7)
    other, two = env.reset(seed=8)
    again, three = env.reset(seed=7)
    assert np.array_equal(first, again) and one["eye"] == pytest.approx(three["eye"], abs=1e-3)
    assert one["position"] != two["position"] and not np.array_equal(first, other)


def test_standing_still_changes_nothing(env: LuantiEnv) -> None:
    first, _ = env.reset(seed=9)
    assert all(np.array_equal(press(env)[0], first) for _ in range(40))


def sockets(pids: list[int]) -> list[str]:
    """Local addresses (hex) of all UDP and listening TCP sockets of these processes."""
    inodes = set()
    for pid in pids:
        for link in Path(f"/proc/{pid}/fd").iterdir():
            target = str(link.readlink()) if link.is_symlink() else ""
            inodes |= {target[8:-1]} if target.startswith("socket:[") else set()
    found = []
    for table in ("udp", "udp6", "tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[9] in inodes:
                found.append(fields[1].partition(":")[0])
    return found


def test_every_socket_is_on_loopback(env: LuantiEnv) -> None:
    env.reset(seed=1)
    family = _family()
    found = sockets([family["minetest"], family["Xvfb"]])
    assert len(found) >= 2  # the game's server and its client
    loopback = {"0100007F", "0" * 24 + "01000000"}
    assert set(found) <= loopback


def test_the_display_wants_its_cookie(env: LuantiEnv) -> None:
    """A program that does not know the cookie is turned away; one that does is let in."""
    env.reset(seed=1)
    keyboard = env._game._keyboards[0]  # type: ignore[union-attr]
    code = "import sys; from Xlib.display import Display; Display(sys.argv[1])"
    command = [sys.executable, "-W", "ignore", "-c", code, keyboard._display.get_display_name()]
    cookie = str(env._game._process.folder / "cookie")  # type: ignore[union-attr]
    for path, welcome in (("/nowhere", False), (cookie, True)):
        asked = subprocess.run(
            command, env={**os.environ, "XAUTHORITY": path}, capture_output=True, check=False
        )
        assert (asked.returncode == 0) == welcome, asked.stderr[-300:]
