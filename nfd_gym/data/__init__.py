"""Recorded play: one clip format, many sources, one loader."""

from nfd_gym.data.clip import Clip, DataError, Event, Source
from nfd_gym.data.loader import Batch, Loader
from nfd_gym.data.sources import open_source

__all__ = ["Batch", "Clip", "DataError", "Event", "Loader", "Source", "open_source"]
