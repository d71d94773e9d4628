"""The parts of the twin that need no game: conventions, options, footage, log, gate, clean-up."""

import fcntl
import gc
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nfd_gym.envs.place import Place
from nfd_gym.games.luanti import folder as folders
from nfd_gym.games.luanti import install, textures
from nfd_gym.games.luanti.folder import PREFIX, DamagedGame, create, sweep
from nfd_gym.games.luanti.gate import GameDied, Gate
from nfd_gym.games.luanti.hands import Hands
from nfd_gym.games.luanti.places import BIOMES, Wish, command
from nfd_gym.games.luanti.process import Supervised
from nfd_gym.games.luanti.spec import view_fov

# Stands in for Xvfb: says a display number, then waits. Argument: how long it lives.
DISPLAY = """
import os, sys, time
os.write(int(sys.argv[sys.argv.index("-displayfd") + 1]), b"4711\\n")
time.sleep(300)
"""


@pytest.fixture(autouse=True)
def own_temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))


# ---- options --------------------------------------------------------------------------------


def test_options_hold_for_one_reset_and_typos_name_the_nearest() -> None:
    wish = Wish(None, "v7", 1)
    asked = wish.with_options({"place": "desert", "world_seed": 9})
    assert (asked.place, asked.world_seed, wish.with_options(None)) == ("desert", 9, wish)
    spot = wish.with_options({"place": {"position": (1, 2, 3), "yaw": 90}}).place
    assert spot == Place((1.0, 2.0, 3.0), 90.0, 5.0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"plase": "desert"}, "did you mean 'place'"),
        ({"place": "dessert"}, "did you mean 'desert'"),
        ({"mapgen": "valley"}, "did you mean 'valleys'"),
        ({"world_seed": -1}, "world_seed must be"),
        ({"place": {"position": (1,)}}, r"needs a position \(x, y, z\)"),
        ({"place": {"position": (1, 2)}}, "y is missing"),
        ({"place": {"position": (1, 2, float("nan"))}}, "finite"),
        ({"place": {"pos": (1, 2, 3)}}, "did you mean 'position'"),
    ],
)
def test_bad_options_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Wish(None, "v7", 1).with_options(options)


def test_the_island_has_places_but_no_biomes_and_no_other_maps() -> None:
    island = Wish(None, game="island")
    spot = island.with_options({"place": {"position": (3, 4)}})
    asked = command(spot, np.random.default_rng(0))
    assert asked["at"] == {"x": -3.0, "z": 4.0} and asked["items"][0] == "island:brick 99"
    assert "biome" not in command(island, np.random.default_rng(0))
    for options, message in (
        ({"place": "desert"}, "no biomes"), ({"world_seed": 3}, "always the same"),
        ({"mapgen": "flat"}, "always the same"),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=message):
            island.with_options(options)
    with pytest.raises(ValueError, match="did you mean 'island'"):
        Wish(None, game="iland")


def test_a_wish_becomes_the_same_command_from_the_same_seed() -> None:
    first, second, third = (
        command(Wish(None, "v7", 1), np.random.default_rng(seed)) for seed in (5, 5, 6)
    )
    assert first == second != third
    assert first["biome"] in BIOMES and not first["strict"]
    assert command(Wish("desert", "v7", 1), np.random.default_rng(5))["strict"]


def test_an_exact_place_is_mirrored_for_the_game() -> None:
    asked = command(Wish(Place((3.0, 9.0, -4.0), 90.0), "v7", 1), np.random.default_rng(0))
    assert asked["at"] == {"x": -3.0, "y": 9.0, "z": -4.0} and asked["yaw"] == -90.0


# ---- conventions ----------------------------------------------------------------------------


def test_pixels_never_stray_from_the_commanded_sum() -> None:
    pytest.importorskip("Xlib")
    from nfd_gym.games.luanti.game import PIXEL_DEGREES, pixels

    rng, carry, moved, asked = np.random.default_rng(0), 0.0, 0, 0.0
    for degrees in rng.normal(0, 5, 2000):
        whole, carry = pixels(float(degrees), carry)
        moved, asked = moved + whole, asked + degrees
        assert abs(moved * PIXEL_DEGREES - asked) <= PIXEL_DEGREES / 2 + 1e-6
    assert pixels(0.0, 0.49)[0] == 0  # what is left over never moves a resting view


def test_tracker_speaks_minecraft() -> None:
    """The game's line of a frame has the frame's position but the view of the frame before."""
    pytest.importorskip("Xlib")
    from nfd_gym.games.luanti.tracker import Tracker

    line: dict[str, Any] = {
        "x": 2.0, "y": 8.0, "z": 3.0, "rise": 0.0, "yaw": 30.0, "pitch": 0.0, "slot": 0,
        "ground": True, "liquid": False, "events": [], "biome": "desert", "light": 15,
        "head": False, "kinds": "fswlcfff", "distances": [7, 1, 2, 3, 4, 7, 7, 7], "pointed": "",
        "reach": 9, "trunk": [5, 6, 7], "eye": (-2.0, 9.6, 3.0, 333.0, -1.5),
    }  # fmt: skip
    tracker = Tracker(line)
    assert (tracker.position, tracker.yaw) == ((-2.0, 8.0, 3.0), -30.0)
    dig = {"type": "dig", "node": "default:tree", "x": 1, "y": 2, "z": 3}
    tracker.advance({**line, "ground": False, "rise": 6.0, "events": [dig]}, dx=20, dy=-10)
    info = tracker.info()
    assert (info["yaw"], info["pitch"]) == (pytest.approx(-27.0), pytest.approx(-1.5))
    assert info["events"] == [{"type": "dig", "node": "default:tree", "pos": [-1, 2, 3]}]
    assert info["stats"] == {"mine_block:default:tree": 1, "jump": 1}
    assert info["eye"] == (-2.0, 9.6, 3.0, -27.0, -1.5)  # the yaw goes on like the view's
    around = info["surroundings"]  # clockwise: the server's first to the left comes last
    assert (around["kinds"], around["distances"][7]) == ("ffffclws", 1)
    assert around["trunk"] == (-5, 6, 7)


def test_the_view_widens_for_narrow_pictures_only() -> None:
    assert view_fov(192, 112) == view_fov(640, 384) == 72.0
    assert view_fov(64, 64) == pytest.approx(72 * 1.6**0.5)
    assert view_fov(32, 384) == pytest.approx(72 * 1.4)


# ---- hands ----------------------------------------------------------------------------------


def test_a_button_rests_after_it_has_done_something() -> None:
    """Held with nothing in reach it stays down; after a dig it is up for four ticks."""
    hands, both = Hands(), frozenset({"attack", "use"})
    assert all(hands.filter(both) == both for _ in range(9))
    hands.happened([{"type": "dig"}])
    assert [hands.filter(both) for _ in range(5)] == [frozenset({"use"})] * 4 + [both]
    hands.happened([{"type": "place"}])
    assert [hands.filter(both) for _ in range(5)] == [frozenset({"attack"})] * 4 + [both]


def test_the_lowest_hotbar_key_with_a_block_counts() -> None:
    hands = Hands()
    assert hands.filter(frozenset({"hotbar.2", "hotbar.3", "jump"})) == {"hotbar.2", "jump"}
    assert hands.slot == 1
    assert hands.filter(frozenset({"hotbar.7"})) == frozenset() and hands.slot == 1


def test_a_block_needs_room_beside_the_body() -> None:
    pytest.importorskip("Xlib")
    from nfd_gym.games.luanti.game import has_room

    feet = {"x": 0.0, "y": 1.5, "z": 0.0}
    for above, room in (
        ([0, 1, 0], True), ([0, 2, 0], False), ([0, 3, 0], False), ([0, 4, 0], True),
        ([1, 2, 0], True), ([1, 3, 1], True), (None, False),
    ):  # fmt: skip
        assert has_room({**feet, "above": above}) == room, above
    assert not has_room({**feet, "x": 0.25, "above": [1, 2, 0]})


def test_the_camera_is_read_from_its_matrix() -> None:
    """A matrix built from eye and angles gives them back, also far from the origin."""
    pytest.importorskip("Xlib")
    from nfd_gym.games.luanti.game import eye_of

    for yaw, pitch in ((0.0, 0.0), (30.0, 40.0), (-120.0, -75.0)):
        y, p = np.radians([yaw, pitch])
        ahead = np.array([np.sin(y) * np.cos(p), -np.sin(p), np.cos(y) * np.cos(p)])  # the game's x
        right = np.cross([0, 1, 0], ahead) / np.cos(p)
        turn = np.stack([right, np.cross(ahead, right), ahead], 1)
        place = np.array([230.0, 12.5, -41.0])
        view = np.eye(4)
        view[:3, :3], view[3, :3] = turn, -10 * (place - [200.0, 0, 0]) @ turn
        found = eye_of(view, (231.0, 11.0, -41.0))
        assert np.allclose(found, (-230.0, 12.5, -41.0, yaw, pitch), atol=1e-6)


def test_textures_are_few_close_tones_and_always_the_same() -> None:
    first, again = textures.all_pictures(), textures.all_pictures()
    assert all(np.array_equal(first[name], again[name]) for name in first)
    for name, picture in first.items():
        assert picture.shape[:2] == (16, 16), name
    assert first["grass"][4:12, 4:12].std(axis=(0, 1)).max() < 20
    assert textures.png(first["grass"]).startswith(b"\x89PNG")


# ---- gate -----------------------------------------------------------------------------------


def test_the_gate_ends_with_the_game() -> None:
    gate = Gate(192, 112)
    gate.release_game_fds()  # as if the game had died
    with pytest.raises(GameDied):
        gate.release()
    with pytest.raises(GameDied, match="has ended"):
        gate.wait(5, {})
    gate.close()


def test_the_gate_names_a_hanging_game() -> None:
    gate = Gate(192, 112)
    gate.release()
    with pytest.raises(GameDied, match=r"no frame within 0 s"):
        gate.wait(0.05, {})
    assert gate.in_flight
    gate.release_game_fds()
    gate.close()


# ---- clean-up -------------------------------------------------------------------------------


def start(tmp_path: Path) -> tuple[Supervised, list[int], Path]:
    """A supervisor with stand-ins for display and game; their process ids and the folder."""
    folder, lock = create(384, 224, 1, "v7")
    read, write = os.pipe()
    job = {
        "folder": str(folder), "xvfb": [sys.executable, "-c", DISPLAY],
        "game": ["sleep", "300"], "game_fds": [write], "log_fd": write, "environment": {},
    }  # fmt: skip
    process = Supervised(job, lock, [write])
    os.close(lock)
    assert process.hear() == {"display": 4711}
    process.play()
    game = process.hear()["game"]
    os.close(read)
    os.close(write)
    return process, [game, process._process.pid], folder


def gone(pids: list[int], folder: Path, seconds: float = 10.0) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if not folder.exists() and not any(running(pid) for pid in pids):
            return True
        time.sleep(0.02)
    return False


def running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_stop_waits_until_everything_is_gone(tmp_path: Path) -> None:
    process, pids, folder = start(tmp_path)
    assert all(running(pid) for pid in pids) and folder.exists()
    process.stop()
    assert not folder.exists() and not any(running(pid) for pid in pids)
    process.stop()


def test_a_game_that_ends_is_reported(tmp_path: Path) -> None:
    process, pids, _ = start(tmp_path)
    os.kill(pids[0], signal.SIGKILL)
    with pytest.raises(GameDied, match="code -9"):
        process.hear_end()
    assert not process.alive
    process.stop()


def test_a_killed_supervisor_takes_its_children_along_and_the_sweep_its_folder(
    tmp_path: Path,
) -> None:
    process, pids, folder = start(tmp_path)
    os.kill(pids[1], signal.SIGKILL)
    deadline = time.monotonic() + 5
    while running(pids[0]) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not running(pids[0]) and folder.exists()
    sweep()
    assert not folder.exists()
    process.stop()


def test_a_folder_is_never_free_while_it_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    """A sweep by another process just before the lock is taken leaves the folder alone."""
    lock_file = fcntl.flock
    sweeps = []

    def sweep_first(descriptor: int, how: int) -> None:
        if not sweeps:
            sweeps.append(how)
            sweep()
        lock_file(descriptor, how)

    monkeypatch.setattr(fcntl, "flock", sweep_first)
    folder, lock = create(384, 224, 1, "v7")
    assert sweeps and (folder / "lock").exists() and (folder / "game.conf").exists()
    os.close(lock)


def test_the_sweep_spares_folders_in_use(tmp_path: Path) -> None:
    process, _, folder = start(tmp_path)
    sweep()
    assert folder.exists()
    process.stop()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_killed_controller_leaves_nothing(tmp_path: Path, number: signal.Signals) -> None:
    """A forked child that still holds the pipe open must not keep the game alive either."""
    code = f"""
import os, signal, sys, tempfile, time
signal.signal(signal.SIGINT, signal.default_int_handler)  # shells may ignore it
sys.path[:0] = {[str(Path(__file__).parent), *sys.path]!r}
tempfile.tempdir = {str(tmp_path)!r}
from pathlib import Path
from test_luanti_parts import start
process, pids, folder = start(Path(tempfile.tempdir))
if os.fork() == 0:
    time.sleep(30)
    os._exit(0)
print(__import__("json").dumps([pids, str(folder)]), flush=True)
time.sleep(30)
"""
    victim = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        start_new_session=True,
    )  # fmt: skip
    assert victim.stdout is not None
    pids, folder = json.loads(victim.stdout.readline())
    victim.send_signal(number)
    victim.wait()
    assert gone(pids, Path(folder))
    os.killpg(victim.pid, signal.SIGKILL)  # the forked child
    victim.stdout.close()


def test_garbage_collection_of_a_gate_leaves_no_descriptor() -> None:
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(20):
        gate = Gate(64, 64)
        gate.release_game_fds()
        gate.close()
    del gate
    gc.collect()
    # other tests' threads come and go; a leak would be one per gate at least
    assert len(os.listdir("/proc/self/fd")) < before + 20


# ---- installation ---------------------------------------------------------------------------


def test_check_names_what_is_missing_and_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.setattr(install, "find_game", lambda: None)
    missing = install.check()
    assert any("minetest" in text and "apt-get install -y" in text for text in missing)
    assert any("Xvfb" in text for text in missing) and any("C compiler" in text for text in missing)


def test_folders_are_named_so_that_they_can_be_swept(tmp_path: Path) -> None:
    folder, lock = create(384, 224, 7, "valleys")
    try:
        assert folder.name.startswith(PREFIX) and folder.parent == tmp_path
        text = (folder / "game.conf").read_text()
        assert "fixed_map_seed = 7\nmg_name = valleys" in text and "screen_w = 384" in text
        assert (folder / "world" / "worldmods" / "nfd_server" / "places.lua").exists()
        assert (folder / "home/.minetest/clientmods/nfd_client/init.lua").exists()
    finally:
        os.close(lock)


def test_the_island_comes_with_its_textures_and_a_damaged_one_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, lock = create(384, 224, 1, "v7", "island")
    os.close(lock)
    game = folder / "home/.minetest/games/island"
    assert (game / "mods/island/textures/grass.png").stat().st_size > 60
    assert "mg_name = singlenode" in (folder / "game.conf").read_text()
    assert "gameid = island" in (folder / "world/world.mt").read_text()
    monkeypatch.setattr(folders, "ISLAND_FILES", ("mods/island/gone.lua",))
    with pytest.raises(DamagedGame, match=r"gone.lua is missing .* install nfd_gym again"):
        create(384, 224, 1, "v7", "island")
    assert list(tmp_path.glob(PREFIX + "*")) == [folder]
