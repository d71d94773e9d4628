"""Several viewers, one player: who holds the controls of the browser view."""

from collections.abc import Callable

GRACE_S = 10.0  # a closed tab may come back to its seat for this long


class Seats:
    """The player's chair. `now` is a monotonic clock, an argument so that tests own the time."""

    def __init__(self, now: Callable[[], float]) -> None:
        self.now = now
        self.player: str | None = None
        self.left_at: float | None = None

    def join(self, guest: str) -> bool:
        """Whether `guest` plays. Side effect: takes the chair if it is free."""
        if self.player == guest or self.free:
            self.player, self.left_at = guest, None
        return self.player == guest

    def leave(self, guest: str) -> None:
        """The guest's last connection is gone; the chair is kept for a while."""
        if self.player == guest:
            self.left_at = self.now()

    @property
    def free(self) -> bool:
        """Whether anybody may sit down."""
        gone = self.left_at is not None and self.now() - self.left_at > GRACE_S
        return self.player is None or gone
