"""Scripted players of the island, whose play is worth learning from."""

from nfd_gym.games.luanti.players.actor import Actor
from nfd_gym.games.luanti.players.builder import Builder
from nfd_gym.games.luanti.players.bumper import Bumper
from nfd_gym.games.luanti.players.explorer import Explorer
from nfd_gym.games.luanti.players.fidgeter import Fidgeter
from nfd_gym.games.luanti.players.returner import Returner
from nfd_gym.games.luanti.players.stander import Stander

# The mix: every twelve clips in a row hold each player so often.
MIX: tuple[type[Actor], ...] = (
    Explorer, Builder, Returner, Builder, Bumper, Builder, Explorer, Builder, Stander, Builder,
    Fidgeter, Fidgeter,
)  # fmt: skip

__all__ = ["MIX", "Actor", "Builder", "Bumper", "Explorer", "Fidgeter", "Returner", "Stander"]
