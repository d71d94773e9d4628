"""The window on SDL's dummy driver, driven by synthetic events, and on a real X server."""

import itertools
import os
import shutil
import signal
import subprocess
import time

import numpy as np
import pytest
from scroll_world import shift_of

from nfd_gym.play.inputs import Inputs
from nfd_gym.play.loop import Loop

pygame = pytest.importorskip("pygame")


@pytest.fixture
def window(make_game, monkeypatch):
    """A window on a running loop; the test pumps it by hand."""
    from nfd_gym.play.bindings import Bindings
    from nfd_gym.play.viewer import Window

    opened = []

    def build(**settings):
        game = make_game(**settings)
        loop = Loop(game, Inputs())
        view = Window(loop, Bindings(), (48, 32))
        loop.start()
        opened.append(loop)
        return view

    yield build
    pygame.display.quit()
    for loop in opened:
        loop.finish()


def pump(view, until, seconds=5.0):
    """Run the window's own steps until a condition holds on what is shown."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        view.handle_events()
        fresh = view.loop.newer(view.shown.number if view.shown else 0, 0.004)
        if fresh is not None:
            view.shown = fresh
            view.draw()
            if until(fresh):
                return fresh
    raise AssertionError("it did not happen in time")


def ticks(view, count):
    """The next `count` pictures."""
    frames = []
    pump(view, lambda shown: frames.append(shown.frame) or len(frames) == count)
    return frames


def post(kind, **fields):
    pygame.event.post(pygame.event.Event(kind, **fields))


def press(key):
    post(pygame.KEYDOWN, key=key)


def release(key):
    post(pygame.KEYUP, key=key)


def moved(frames):
    return [shift_of(a, b) for a, b in itertools.pairwise(frames)]


def test_the_left_arrow_turns_the_picture_left(window):
    view = window()
    ticks(view, 1)
    press(pygame.K_LEFT)
    assert (-4, 0) in moved(ticks(view, 4))
    release(pygame.K_LEFT)
    assert moved(ticks(view, 4))[-1] == (0, 0)


def test_the_mouse_turns_the_picture_by_the_sum_of_its_motion(window):
    view = window()
    view.grab(True)
    start = ticks(view, 1)[0]
    for _ in range(8):
        post(pygame.MOUSEMOTION, rel=(5, 0), pos=(0, 0), buttons=(0, 0, 0))
    frames = ticks(view, 4)
    assert shift_of(start, frames[-1]) == (6, 0)  # 40 pixels at 0.15 degrees, none lost


def test_a_free_mouse_turns_nothing_and_the_first_click_only_takes_it(window):
    view = window()
    view.grab(False)
    ticks(view, 1)
    post(pygame.MOUSEMOTION, rel=(50, 0), pos=(0, 0), buttons=(0, 0, 0))
    assert set(moved(ticks(view, 3))) == {(0, 0)}
    post(pygame.MOUSEBUTTONDOWN, button=1, pos=(5, 5))
    view.handle_events()
    assert view.grabbed and not view.loop.inputs.take().held
    post(pygame.MOUSEBUTTONDOWN, button=1, pos=(5, 5))
    view.handle_events()
    assert "mouse left" in view.loop.inputs._held


def test_losing_the_focus_lets_go_of_everything(window):
    view = window()
    view.grab(True)
    press(pygame.K_w)
    assert (0, -2) in moved(ticks(view, 4))
    post(pygame.WINDOWFOCUSLOST)
    frames = ticks(view, 4)
    assert moved(frames)[-1] == (0, 0) and not view.grabbed


def test_escape_frees_the_mouse_first_and_then_quits(window):
    view = window()
    view.grab(True)
    press(pygame.K_ESCAPE)
    view.handle_events()
    assert view.running and not view.grabbed
    press(pygame.K_ESCAPE)
    view.handle_events()
    assert not view.running


def test_f3_and_f1_draw_over_the_picture_and_leave_again(window):
    view = window()
    view.help_until = 0.0
    view.grab(True)
    press(pygame.K_p)  # paused: a busy machine's slow motion does not come and go
    pump(view, lambda shown: shown.facts["paused"])
    plain = pygame.surfarray.array3d(view.screen)
    for key in (pygame.K_F3, pygame.K_F1):
        press(key)
        ticks(view, 2)
        assert (pygame.surfarray.array3d(view.screen) != plain).mean() > 0.02
        press(key)
        ticks(view, 2)
    assert np.array_equal(pygame.surfarray.array3d(view.screen), plain)


def test_the_picture_is_scaled_by_whole_numbers(window):
    view = window()
    view.help_until = 0.0
    view.grab(True)
    (frame,) = ticks(view, 1)
    shown = pygame.surfarray.array3d(view.screen).transpose(1, 0, 2)
    scale = shown.shape[0] // 32
    assert np.array_equal(shown[scale // 2 :: scale, scale // 2 :: scale], frame)


def test_keys_of_the_game_reach_it(window):
    view = window()
    press(pygame.K_p)
    assert pump(view, lambda shown: shown.facts["paused"])
    press(pygame.K_m)
    assert pump(view, lambda shown: shown.facts["player"] == "scripted")
    press(pygame.K_r)
    assert pump(view, lambda shown: shown.facts["seed"] == 1)


def test_a_slow_world_is_shown_as_slow_motion_and_inputs_do_not_queue(window):
    from nfd_gym.play.hud import slow_motion

    view = window(step_s=0.1)
    frames = ticks(view, 8)
    for _ in range(30):  # a second of nervous tapping while the world manages two or three ticks
        press(pygame.K_LEFT)
        release(pygame.K_LEFT)
    frames = ticks(view, 6)
    assert sum(move != (0, 0) for move in moved(frames)) <= 2
    shown = pump(view, lambda shown: shown.facts["awake_s"] > 2)
    assert 0 < slow_motion(shown.facts) < 0.6  # a busy machine is slower still


def test_a_gamepad_walks_and_looks():
    from nfd_gym.play.gamepad import Gamepad

    class Pad:
        axes = {pygame.CONTROLLER_AXIS_LEFTY: -32768, pygame.CONTROLLER_AXIS_RIGHTX: 32767}

        def attached(self):
            return True

        def get_axis(self, axis):
            return self.axes.get(axis, 0)

        def get_button(self, button):
            return button == pygame.CONTROLLER_BUTTON_A

    pad = Gamepad(Pad())
    assert pad.changes() == [("pad a", True), ("pad stick up", True)]
    pad.last -= 0.05
    right, down = pad.motion()
    assert right * 0.15 == pytest.approx(7.5, abs=1.0) and down == 0
    Pad.axes = {}
    assert pad.changes() == [("pad stick up", False)]


@pytest.mark.parametrize("display", [None, ":98765"])
def test_without_a_display_play_names_the_two_other_ways(play_process, display):
    none = {"SDL_VIDEODRIVER": None, "DISPLAY": display, "WAYLAND_DISPLAY": None}
    process = play_process("--env", "scroll_world:Scroll-v0", env=none)
    out, err = process.communicate(timeout=60)
    (sentence,) = [line for line in err.splitlines() if line.startswith("python -m nfd_gym.play: ")]
    assert process.returncode == 2 and "Traceback" not in err
    assert "--web" in sentence and "--headless" in sentence and "ticks" not in out


@pytest.mark.xvfb
def test_in_a_real_window_real_keys_and_a_real_mouse_play(play_process, tmp_path):
    if not (shutil.which("Xvfb") and shutil.which("xdotool")):
        pytest.skip("needs the packages xvfb and xdotool")
    read, write = os.pipe()
    server = subprocess.Popen(
        ["Xvfb", "-displayfd", str(write), "-screen", "0", "800x600x24", "-nolisten", "tcp"],
        pass_fds=[write], stderr=subprocess.DEVNULL,
    )  # fmt: skip
    os.close(write)
    with os.fdopen(read) as answer:  # read to the end of the line: Xvfb dies of a closed pipe
        display = ":" + answer.readline().strip()

    def hands(*words):
        here = {**os.environ, "DISPLAY": display}
        done = subprocess.run(
            ["xdotool", *words], env=here, capture_output=True, timeout=20, text=True
        )
        return done.stdout.strip() if done.returncode == 0 else ""

    try:
        process = play_process(
            "--env", "scroll_world:Scroll-v0", "--record", "--folder", tmp_path,
            env={"DISPLAY": display, "SDL_VIDEODRIVER": None},
        )  # fmt: skip
        deadline = time.monotonic() + 60
        while not (found := hands("search", "--onlyvisible", "--class", "nfd_gym")):
            assert time.monotonic() < deadline and process.poll() is None, "no window came up"
            time.sleep(0.2)
        hands("windowfocus", found)
        while not list(tmp_path.glob(".*.mp4.part")) and time.monotonic() < deadline:
            time.sleep(0.1)
        hands("mousemove", "400", "300", "click", "1")  # takes the mouse
        time.sleep(0.3)
        hands("keydown", "w")
        time.sleep(0.5)
        hands("keyup", "w")
        for _ in range(5):
            hands("mousemove_relative", "8", "0")
        time.sleep(0.3)
        hands("key", "Escape")
        time.sleep(0.3)
        hands("key", "Escape")
        out, err = process.communicate(timeout=30)
        assert process.returncode == 0, err
        assert "input to picture" in out
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(timeout=10)
    from nfd_gym.data import open_source
    from nfd_gym.keyboard import KEY_INDEX

    source = open_source(tmp_path)
    actions = np.concatenate([source.read(i).actions for i in range(len(source.names))])
    pitch, yaw = source.codec.rotation(actions)
    assert 2 <= actions[:, KEY_INDEX["forward"]].sum() <= 16  # half a second; fewer if slow
    assert yaw.sum() == pytest.approx(40 * 0.15, rel=0.01) and not pitch.any()
