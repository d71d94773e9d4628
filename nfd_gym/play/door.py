"""Who may use the browser view: the bearer of a link that works once, known by a cookie after."""

import secrets
from collections import OrderedDict
from urllib.parse import urlsplit

LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
GUESTS = 64  # browsers that are remembered; the oldest is forgotten first


class Door:
    """Decides from a request's headers alone. `link_token` admits one browser, then it changes.

    With `loopback` only this machine's own names count as its address: a foreign page that points
    its name at 127.0.0.1 (DNS rebinding) is refused before its token is looked at.
    """

    def __init__(self, *, loopback: bool = True) -> None:
        self.loopback = loopback
        self.link_token = secrets.token_urlsafe(18)
        self.guests: OrderedDict[str, None] = OrderedDict()

    def redeem(self, token: str) -> str | None:
        """A cookie for the bearer of the current link, None for any other token."""
        if not self.is_current(token):
            return None
        self.link_token = secrets.token_urlsafe(18)
        guest = secrets.token_urlsafe(18)
        self.guests[guest] = None
        while len(self.guests) > GUESTS:
            self.guests.popitem(last=False)
        return guest

    def is_current(self, token: str) -> bool:
        """Whether the link with this token still admits somebody. Changes nothing."""
        return secrets.compare_digest(token.encode(), self.link_token.encode())

    def knows(self, cookie: str | None) -> bool:
        """Whether this browser came in by a link before."""
        return cookie in self.guests

    def refuses_host(self, host: str) -> bool:
        """Whether the address in the browser's bar may not be this game's."""
        try:
            name = urlsplit(f"//{host}").hostname
        except ValueError:  # an unfinished [address]
            return True
        return self.loopback and name not in LOOPBACK

    def refuses_origin(self, origin: str | None, host: str) -> bool:
        """A page of another site may not open our socket with the visitor's cookie."""
        try:
            return origin is not None and urlsplit(origin).netloc != host
        except ValueError:
            return True


def cookie_name(host: str) -> str:
    """One cookie per port: browsers share cookies between the ports of a machine."""
    port = host.rpartition(":")[2]
    return f"nfd_gym_{port if port.isascii() and port.isdigit() else 80}"
