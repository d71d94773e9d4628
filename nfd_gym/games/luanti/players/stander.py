"""The stander: does nothing for ten seconds and more, as people do."""

from nfd_gym.games.luanti.players.actor import Actor, Script


class Stander(Actor):
    """Stands quite still for a long time, then looks round or walks a little and stands again."""

    name = "stander"

    def scene(self) -> Script:
        self.hold()
        yield from self.wait(210, 420)
        yield from self.survey()
        if self.chance(0.7):
            yield from self.go(*self.anywhere(), most=60)
