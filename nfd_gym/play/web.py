"""The browser view: one static page and one WebSocket on a running loop.

Nothing queues: the newest picture is one slot that every viewer copies when its own socket is
ready, and the newest hands are one slot that the loop samples.
"""

import asyncio
import html
import json
import socket
import struct
import time
from importlib import resources

from aiohttp import WSMsgType, web

from nfd_gym.errors import UsageError
from nfd_gym.play.bindings import COMMANDS, Bindings
from nfd_gym.play.door import Door, cookie_name
from nfd_gym.play.game import Shown
from nfd_gym.play.hud import badges, help_rows, hud_rows
from nfd_gym.play.loop import Loop
from nfd_gym.play.messages import MAX_BYTES, Allowance, BadMessageError, Message, parse_message
from nfd_gym.play.seats import Seats
from nfd_gym.play.still import jpeg

VIEWERS = 16
MESSAGES_S = 250.0  # the page sends at most one per animation frame
BAD_MESSAGES = 20  # per connection, then it is closed
SEND_S = 10.0  # a socket that takes nothing for this long is dead
USED = "this link was used before or is not from this game; ask for a new one"
EVERYWHERE = ("0.0.0.0", "::")
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'unsafe-inline'; "
    "style-src 'unsafe-inline'; img-src data: blob:; connect-src 'self'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}


class Viewer:
    """One open socket."""

    def __init__(self, guest: str, socket: web.WebSocketResponse) -> None:
        self.guest = guest
        self.socket = socket
        self.news = asyncio.Event()
        self.keys: frozenset[str] = frozenset()
        self.bad = 0


class WebView:
    """The aiohttp application around a loop."""

    def __init__(self, loop: Loop, bindings: Bindings, door: Door) -> None:
        self.loop = loop
        self.bindings = bindings
        self.door = door
        self.seats = Seats(time.monotonic)
        self.viewers: set[Viewer] = set()
        self.packet: tuple[Shown, bytes] | None = None
        self.app = web.Application(client_max_size=MAX_BYTES)
        self.app.router.add_get("/", self.page)
        self.app.router.add_post("/enter", self.enter)
        self.app.router.add_get("/play", self.socket)

    async def page(self, request: web.Request) -> web.StreamResponse:
        """The game for a known browser, a button for the bearer of a link. Changes nothing, so a
        chat that previews the link does not use it up."""
        if self.door.refuses_host(request.host):
            return _refusal("open this page under http://127.0.0.1, or start play with --host")
        if self.door.knows(request.cookies.get(cookie_name(request.host))):
            if "token" in request.query:
                return web.Response(status=303, headers={"Location": "/", **HEADERS})
            return _html("page.html")
        token = request.query.get("token")
        if token is None:
            return _refusal("this game needs the link that its terminal shows")
        if not self.door.is_current(token):
            return _refusal(USED)
        return _html("enter.html", TOKEN=token)

    async def enter(self, request: web.Request) -> web.StreamResponse:
        """The button was pressed: the link becomes this browser's cookie."""
        if self.door.refuses_host(request.host):
            return _refusal("open this page under http://127.0.0.1, or start play with --host")
        guest = self.door.redeem(str((await request.post()).get("token", "")))
        if guest is None:
            return _refusal(USED)
        print(f"a viewer came in; the link for the next one: {self.link(request.host)}", flush=True)
        answer = web.Response(status=303, headers={"Location": "/", **HEADERS})
        encrypted = request.secure or request.headers.get("X-Forwarded-Proto") == "https"
        name = cookie_name(request.host)
        answer.set_cookie(name, guest, httponly=True, samesite="Strict", secure=encrypted)
        return answer

    async def socket(self, request: web.Request) -> web.StreamResponse:
        """One viewer's connection, from hello to close."""
        cookie = request.cookies.get(cookie_name(request.host))
        if self.door.refuses_host(request.host) or not self.door.knows(cookie):
            return _refusal("this game needs the link that its terminal shows")
        if self.door.refuses_origin(request.headers.get("Origin"), request.host):
            return _refusal("this page belongs to another site")
        if len(self.viewers) >= VIEWERS:
            return web.Response(status=503, text=f"{VIEWERS} viewers are watching already\n")
        channel = web.WebSocketResponse(max_msg_size=MAX_BYTES, heartbeat=15.0, compress=False)
        await channel.prepare(request)
        viewer = Viewer(request.query.get("guest", "")[:64] or "anonymous", channel)
        await self._replace_older(viewer)
        self.viewers.add(viewer)
        self.loop.asleep = False
        self.seats.join(viewer.guest)
        sender = asyncio.create_task(self._send_pictures(viewer))
        try:
            await self._listen(viewer)
        finally:
            sender.cancel()
            self._gone(viewer)
        return channel

    async def pump(self) -> None:
        """Carry the loop's pictures to the viewers until the loop ends."""
        number = 0
        while not self.loop.stopped:
            shown = await asyncio.to_thread(self.loop.newer, number, 0.25)
            if shown is None:
                continue
            number = shown.number
            if self.viewers:
                self.packet = (shown, await asyncio.to_thread(jpeg, shown.frame))
                for viewer in self.viewers:
                    viewer.news.set()

    def link(self, host: str) -> str:
        """The address to open, with the token that admits the next browser."""
        return f"http://{host}/?token={self.door.link_token}"

    async def _listen(self, viewer: Viewer) -> None:
        allowance = Allowance(MESSAGES_S, time.monotonic())
        async for raw in viewer.socket:
            if raw.type is not WSMsgType.TEXT:
                viewer.bad += 1
            elif not allowance.spend(time.monotonic()):
                await viewer.socket.close(code=1008, message=b"too many messages")
            else:
                try:
                    await self._obey(viewer, parse_message(raw.data))
                except BadMessageError:
                    viewer.bad += 1
            if viewer.bad > BAD_MESSAGES:
                await viewer.socket.close(code=1008, message=b"malformed messages")

    async def _obey(self, viewer: Viewer, message: Message) -> None:
        if message.ping is not None:
            await viewer.socket.send_json({"pong": message.ping})
        if message.take:
            self.seats.join(viewer.guest)
        if self.seats.player != viewer.guest:
            return
        inputs = self.loop.inputs
        if message.keys is not None:
            for key in sorted(message.keys - viewer.keys):
                self.loop.game.command(self.bindings.uses.get(key, ""))
            viewer.keys = message.keys
            inputs.hold(
                {key for key in message.keys if self.bindings.uses.get(key) not in COMMANDS}
            )
        inputs.move(message.dx, message.dy)
        if message.wheel:
            inputs.scroll(message.wheel)
        if message.stamp is not None:
            inputs.mark(message.stamp)

    async def _send_pictures(self, viewer: Viewer) -> None:
        """Send the newest picture whenever this viewer's socket is ready for one."""
        hello = {"bindings": self.bindings.uses, "help": help_rows(self.bindings)}
        try:
            await viewer.socket.send_json({"hello": hello})
            while True:
                await viewer.news.wait()
                viewer.news.clear()
                if self.packet is not None:
                    packed = self._packed(viewer, *self.packet)
                    await asyncio.wait_for(viewer.socket.send_bytes(packed), SEND_S)
        except (ConnectionError, asyncio.TimeoutError):
            await viewer.socket.close()

    def _packed(self, viewer: Viewer, shown: Shown, picture: bytes) -> bytes:
        """[length of the header, little-endian][header as JSON][JPEG]."""
        plays = self.seats.player == viewer.guest
        header = {
            "number": shown.number,
            "rows": hud_rows(shown.facts),
            "badges": badges(shown.facts),
            "toast": shown.facts["toast"],
            "role": "player" if plays else "free" if self.seats.free else "viewer",
            "viewers": len(self.viewers),
            "twin": shown.facts["twin"],
            "stamp": shown.stamp if plays else None,
        }
        text = json.dumps(header).encode()
        return struct.pack("<I", len(text)) + text + picture

    async def _replace_older(self, viewer: Viewer) -> None:
        """The same tab came back before its old connection was noticed to be dead."""
        for older in [one for one in self.viewers if one.guest == viewer.guest]:
            self.viewers.discard(older)
            await older.socket.close(code=4000, message=b"opened again")

    def _gone(self, viewer: Viewer) -> None:
        self.viewers.discard(viewer)
        if not any(one.guest == viewer.guest for one in self.viewers):
            if self.seats.player == viewer.guest:
                self.loop.inputs.release_all()
            self.seats.leave(viewer.guest)
        # A world without anybody watching waits: it neither drifts away nor heats the room.
        self.loop.asleep = not self.viewers


async def serve(loop: Loop, bindings: Bindings, *, host: str | None, port: int) -> None:
    """Serve the page until the loop ends. Prints the address."""
    view = WebView(loop, bindings, Door(loopback=host is None))
    runner = web.AppRunner(view.app, access_log=None)
    await runner.setup()
    try:
        site = web.TCPSite(runner, host or "127.0.0.1", port)
        try:
            await site.start()
        except OSError as error:
            raise UsageError(
                f"port {port} of {host or '127.0.0.1'} cannot be used ({error.strerror}); choose "
                "another --port"
            ) from None
        bound = runner.addresses[0][1]
        print(f"play at {view.link(f'{address_of(host)}:{bound}')}", flush=True)
        if host is None:
            hint = f"from another machine: ssh -L {bound}:127.0.0.1:{bound} THIS_MACHINE"
        else:
            hint = "the connection is not encrypted; across a network use ssh -L or a TLS proxy"
        print(hint, flush=True)
        loop.asleep = True
        await view.pump()
    finally:
        await runner.cleanup()


def address_of(host: str | None) -> str:
    """A host name that others can open: this machine's own where it listens everywhere."""
    if host is None:
        return "127.0.0.1"
    name = socket.gethostname() if host in EVERYWHERE else host
    return f"[{name}]" if ":" in name else name


def _html(name: str, **values: str) -> web.Response:
    """A page of this package with its placeholders filled in."""
    page = resources.files("nfd_gym.play").joinpath(name).read_text(encoding="utf-8")
    for key, value in values.items():
        page = page.replace(key, html.escape(value, quote=True))
    return web.Response(text=page, content_type="text/html", headers=HEADERS)


def _refusal(text: str) -> web.Response:
    return web.Response(status=403, text=text + "\n", headers=HEADERS)
