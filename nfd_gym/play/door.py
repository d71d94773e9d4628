"""Who may come in: loopback names without a token, everybody else with a link that works once."""

import secrets
from collections import OrderedDict
from urllib.parse import urlsplit

LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
GUESTS = 64  # browsers that are remembered; the oldest is forgotten first


class Door:
    """Decides from a request's headers alone. `link_token` admits one browser, then it changes."""

    def __init__(self, *, needs_token: bool) -> None:
        self.needs_token = needs_token
        self.link_token = secrets.token_urlsafe(18)
        self.guests: OrderedDict[str, None] = OrderedDict()

    def redeem(self, token: str) -> str | None:
        """A cookie for the bearer of the current link, None for any other token."""
        if not secrets.compare_digest(token.encode(), self.link_token.encode()):
            return None
        self.link_token = secrets.token_urlsafe(18)
        guest = secrets.token_urlsafe(18)
        self.guests[guest] = None
        while len(self.guests) > GUESTS:
            self.guests.popitem(last=False)
        return guest

    def knows(self, cookie: str | None) -> bool:
        """Whether this browser came in by a link before."""
        return not self.needs_token or cookie in self.guests

    def refuses_host(self, host: str) -> bool:
        """Without a token only loopback names count, or a foreign page could point its own name
        at 127.0.0.1 and play (DNS rebinding)."""
        return not self.needs_token and urlsplit(f"//{host}").hostname not in LOOPBACK

    def refuses_origin(self, origin: str | None, host: str) -> bool:
        """A page of another site may not open our socket with the visitor's cookie."""
        return origin is not None and urlsplit(origin).netloc != host
