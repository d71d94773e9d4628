"""The browser view: a real server process, raw sockets against it, and a real Chromium."""

import asyncio
import base64
import io
import json
import shutil
import socket
import struct
import time

import numpy as np
import pytest
from scroll_world import shift_of

aiohttp = pytest.importorskip("aiohttp")
from nfd_gym.play.web import address_of  # noqa: E402  after the check for aiohttp

pytestmark = pytest.mark.filterwarnings("default")  # aiohttp's and selenium's own warnings


@pytest.fixture
def server(play_process):
    """Starts the browser view and returns (link, process)."""

    def start(*arguments):
        process = play_process(
            "--env", "scroll_world:Scroll-v0", "--web", "--port", 0, *arguments,
            env={"SDL_VIDEODRIVER": None, "DISPLAY": None},
        )  # fmt: skip
        line = process.stdout.readline()
        assert "play at http" in line, process.stderr.read()
        return line.split()[-1], process

    return start


def unpack(data):
    """(header, frame) of a picture message."""
    from PIL import Image

    (length,) = struct.unpack_from("<I", data)
    picture = Image.open(io.BytesIO(data[4 + length :]))
    return json.loads(data[4 : 4 + length]), np.asarray(picture.convert("RGB"))


async def pictures(socket, count):
    """The next `count` (header, frame)."""
    got = []
    while len(got) < count:
        message = await socket.receive(timeout=20)
        assert message.type in (aiohttp.WSMsgType.BINARY, aiohttp.WSMsgType.TEXT), message
        if message.type is aiohttp.WSMsgType.BINARY:
            got.append(unpack(message.data))
    return got


async def enter(session, link):
    """Press the button of a link; the address of the game, whose cookie the session now has."""
    address, token = link.split("?token=")
    async with session.post(f"{address}enter", data={"token": token}) as answer:
        assert answer.status == 200 and "token" not in str(answer.url)
        assert "<canvas" in await answer.text()
    return address


def next_link(process):
    """The link that the terminal shows after somebody came in."""
    while "token=" not in (line := process.stdout.readline()):
        assert line, "the game ended"
    return line.split()[-1]


def talk(conversation):
    """Run an async conversation with one HTTP session (cookies kept, also for IP addresses)."""

    async def run():
        jar = aiohttp.CookieJar(unsafe=True)
        async with aiohttp.ClientSession(cookie_jar=jar) as session:
            return await conversation(session)

    return asyncio.run(run())


def test_one_plays_the_others_watch_the_same_frames_and_the_seat_comes_back(server):
    link, _ = server()

    async def conversation(session):
        address = await enter(session, link)
        player = await session.ws_connect(f"{address}play?guest=ann")
        (first, _) = (await pictures(player, 1))[0]
        viewer = await session.ws_connect(f"{address}play?guest=bob")
        await viewer.send_json({"keys": ["w"]})  # a viewer's keys do nothing
        still = await pictures(viewer, 4)
        await player.send_json({"keys": ["left"]})
        mine, theirs = await asyncio.gather(pictures(player, 12), pictures(viewer, 12))
        await player.close()
        again = await session.ws_connect(f"{address}play?guest=ann")
        (back, _) = (await pictures(again, 1))[0]
        return first, still, mine, theirs, back

    first, still, mine, theirs, back = talk(conversation)
    assert (
        first["role"] == "player" and theirs[0][0]["role"] == "viewer" and back["role"] == "player"
    )
    assert np.array_equal(still[0][1], still[-1][1])
    assert not np.array_equal(mine[0][1], mine[-1][1])
    seen = {header["number"]: frame for header, frame in theirs}
    shared = [(frame, seen[h["number"]]) for h, frame in mine if h["number"] in seen]
    assert len(shared) >= 3 and all(np.array_equal(a, b) for a, b in shared)


def test_a_world_without_viewers_waits(server):
    link, _ = server()

    async def conversation(session):
        address = await enter(session, link)
        socket = await session.ws_connect(f"{address}play?guest=ann")
        before = (await pictures(socket, 5))[-1][0]["number"]
        await socket.close()
        await asyncio.sleep(1.5)
        socket = await session.ws_connect(f"{address}play?guest=ann")
        return before, (await pictures(socket, 2))[-1][0]["number"]

    before, after = talk(conversation)
    assert after - before < 15  # 1.5 s would have been 30 ticks


@pytest.mark.parametrize("arguments", [(), ("--host", "127.0.0.1")])
def test_a_link_works_once_and_a_wrong_one_never(server, arguments):
    link, process = server(*arguments)
    address = link.split("?")[0]

    async def conversation(session):
        async with session.get(address) as answer:
            assert answer.status == 403  # also on loopback: other users of the machine are there
        for path in ("?token=wrong", "?token="):
            async with session.get(address + path) as answer:
                assert answer.status == 403
        with pytest.raises(aiohttp.WSServerHandshakeError):
            await session.ws_connect(f"{address}play?guest=x")
        async with session.post(f"{address}enter", data={"token": "wrong"}) as answer:
            assert answer.status == 403
        await enter(session, link)
        socket = await session.ws_connect(f"{address}play?guest=x")
        assert len(await pictures(socket, 2)) == 2
        async with aiohttp.ClientSession() as stranger, stranger.get(link) as answer:
            assert answer.status == 403  # used up
        async with session.get(link) as answer:  # the guest's own bookmark still opens the game
            assert answer.status == 200 and "<canvas" in await answer.text()

    talk(conversation)
    assert next_link(process) != link


def test_a_preview_of_the_link_does_not_use_it_up(server):
    """Chat programs send HEAD and GET before the invited person does."""
    link, _ = server()

    async def conversation(session):
        async with aiohttp.ClientSession() as robot:
            async with robot.head(link) as answer:
                assert "Set-Cookie" not in answer.headers
            async with robot.get(link) as answer:
                page = await answer.text()
                assert answer.status == 200 and "<canvas" not in page and "/enter" in page
                assert "Set-Cookie" not in answer.headers
        await enter(session, link)

    talk(conversation)


def test_foreign_pages_and_foreign_names_are_refused(server):
    link, _ = server()

    async def conversation(session):
        address = await enter(session, link)
        for headers in ({"Origin": "http://evil.example"}, {"Host": "evil.example"}):
            with pytest.raises(aiohttp.WSServerHandshakeError) as error:
                await session.ws_connect(f"{address}play?guest=x", headers=headers)
            assert error.value.status == 403
        for host in ("evil.example", "[::1"):
            async with session.get(link, headers={"Host": host}) as answer:
                assert answer.status == 403

    talk(conversation)


def test_the_printed_link_can_be_opened_and_the_network_is_warned_of():
    assert address_of(None) == "127.0.0.1" and address_of("::1") == "[::1]"
    assert address_of("0.0.0.0") == socket.gethostname() == address_of("::")


def test_the_cookie_is_secure_behind_an_encrypting_proxy(server):
    link, _ = server("--host", "127.0.0.1")
    address, token = link.split("?token=")

    async def conversation(session):
        headers, data = {"X-Forwarded-Proto": "https"}, {"token": token}
        post = session.post(f"{address}enter", data=data, headers=headers, allow_redirects=False)
        async with post as answer:
            told = answer.headers["Set-Cookie"]
            assert all(word in told for word in ("Secure", "HttpOnly", "SameSite=Strict"))

    talk(conversation)


def test_ten_thousand_bad_messages_neither_crash_nor_slow_the_game(server):
    link, process = server()
    bad = [
        "{",
        "[]",
        '{"dx": 1e99}',
        '{"keys": ["rm"]}',
        "x" * 4000,
        '{"dx": NaN}',
        "\x00",
        "9" * 4000,
    ]

    async def rate(socket, seconds=1.5):
        start = time.monotonic()
        first = (await pictures(socket, 1))[0][0]["number"]
        while True:
            last = (await pictures(socket, 1))[0][0]["number"]
            if time.monotonic() - start > seconds:
                return (last - first) / (time.monotonic() - start)

    async def attack(session, address):
        sent = closed = 0
        while sent < 10_000:
            socket = await session.ws_connect(f"{address}play?guest=eve{sent}")
            try:
                for number in range(60):
                    if number % 29 == 28:
                        await socket.send_str("y" * 200_000)  # far beyond the limit
                    elif number % 7 == 6:
                        await socket.send_bytes(b"\xff" * 1000)
                    else:
                        await socket.send_str(bad[number % len(bad)])
                    sent += 1
            except (ConnectionError, aiohttp.ClientError):
                sent += 1
            closed += 1
            await socket.close()
        return closed

    async def conversation(session):
        address = await enter(session, link)
        player = await session.ws_connect(f"{address}play?guest=ann")
        quiet = await rate(player)
        attacker = asyncio.create_task(attack(session, address))
        busy = await rate(player)
        closed = await attacker
        after = await rate(player)
        (header, _) = (await pictures(player, 1))[0]
        return quiet, busy, after, closed, header

    quiet, busy, after, closed, header = talk(conversation)
    assert process.poll() is None and header["role"] == "player" and closed > 100
    assert after > 0.8 * quiet and busy > 0.5 * quiet, (quiet, busy, after)


def test_a_busy_port_is_one_sentence(server, play_process):
    link, _ = server()
    port = link.rstrip("/").rsplit(":", 1)[1]
    second = play_process("--env", "scroll_world:Scroll-v0", "--web", "--port", port)
    _, err = second.communicate(timeout=60)
    assert second.returncode != 0 and "--port" in err and "Traceback" not in err


@pytest.fixture
def browser(tmp_path):
    """Opens headless Chromium windows, each with a profile of its own."""
    program, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if program is None or driver is None:
        pytest.skip("needs the packages chromium and chromium-driver")
    webdriver = pytest.importorskip("selenium.webdriver")
    flags = (
        "--headless=new --no-sandbox --disable-gpu --disable-quic --no-first-run "
        "--disable-background-networking --disable-component-update --disable-sync "
        "--disable-dev-shm-usage --window-size=1100,760"
    )
    opened = []

    def start():
        options = webdriver.ChromeOptions()
        options.binary_location = program
        for flag in flags.split():
            options.add_argument(flag)
        options.add_argument(f"--user-data-dir={tmp_path / f'profile-{len(opened)}'}")
        window = webdriver.Chrome(options, webdriver.ChromeService(driver))
        opened.append(window)
        return window

    yield start
    for window in opened:
        window.quit()


SEE = """const canvas = document.getElementById("picture");
return window.nfd && [window.nfd.number, canvas.toDataURL("image/png"), window.nfd.role];"""


def see(window):
    """(number, frame, role) of what the page shows, None before its first picture."""
    from PIL import Image

    seen = window.execute_script(SEE)
    if not seen:
        return None
    data = base64.b64decode(seen[1].split(",")[1])
    return seen[0], np.asarray(Image.open(io.BytesIO(data)).convert("RGB")), seen[2]


def wait_for(condition, seconds=30.0):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if result := condition():
            return result
        time.sleep(0.05)
    raise AssertionError("it did not happen in time")


@pytest.mark.browser
def test_the_page_plays_reconnects_and_shares_in_chromium(server, browser):
    from selenium.webdriver.common.action_chains import ActionChains
    from selenium.webdriver.common.by import By

    link, process = server()
    window = browser()
    window.get(link)
    window.find_element(By.TAG_NAME, "button").click()  # enter
    number, before, role = wait_for(lambda: see(window))
    assert role == "player" and before.shape == (32, 48, 3)
    wait_for(lambda: see(window)[0] > number)  # frames keep coming

    window.find_element(By.ID, "go").click()
    chain = ActionChains(window)
    chain.key_down("w").pause(0.5).key_up("w").perform()
    wait_for(lambda: not np.array_equal(see(window)[1], before))  # W changes them
    chain.send_keys("\ue033").perform()  # F3
    hud = window.find_element(By.ID, "hud")
    wait_for(lambda: hud.is_displayed() and "network round trip" in hud.text)
    assert "input to picture" in hud.text and "ticks" in hud.text

    second = browser()
    second.get(next_link(process))
    second.find_element(By.TAG_NAME, "button").click()
    wait_for(lambda: see(second))
    window.execute_script("document.dispatchEvent(new Event('visibilitychange'))")
    chain.send_keys("p").perform()  # paused, so that both can be compared at leisure
    wait_for(lambda: "paused" in window.find_element(By.ID, "badges").text)
    time.sleep(0.5)
    mine, theirs = see(window), see(second)
    assert theirs[2] == "viewer" and np.array_equal(mine[1], theirs[1])

    window.execute_script("socket.close()")  # the network went away
    wait_for(lambda: "away" not in window.find_element(By.TAG_NAME, "body").get_attribute("class"))
    last = see(window)
    wait_for(lambda: see(window)[0] > last[0])
    assert see(window)[2] == "player"
    window.refresh()  # the tab closed and came back
    assert wait_for(lambda: see(window))[2] == "player"
    assert shift_of(mine[1], see(window)[1]) == (0, 0)  # and the world waited, paused


@pytest.mark.browser
def test_a_function_without_a_key_holds_nothing_in_chromium(server, browser, tmp_path):
    """{"sprint": []} once made the page send null as a key until it was thrown out, for ever."""
    from selenium.webdriver.common.by import By

    (tmp_path / "keys.json").write_text('{"sprint": [], "left": []}')
    link, _ = server("--bindings", tmp_path / "keys.json")
    window = browser()
    window.get(link)
    window.find_element(By.TAG_NAME, "button").click()
    wait_for(lambda: see(window))
    held = window.execute_script(
        """forwardUp = performance.now(); press("w");  // twice forward: a sprint
        hold("left", true); press(undefined); return [...held];"""
    )
    assert held == ["w"]
