"""Learned worlds: the value, its files and its one step."""

from nfd_gym.world.drift import Drift
from nfd_gym.world.files import load_world, save_world
from nfd_gym.world.settings import WorldError, WorldSettings
from nfd_gym.world.world import World

__all__ = ["Drift", "World", "WorldError", "WorldSettings", "load_world", "save_world"]
