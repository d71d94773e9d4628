"""Evaluations refuse recordings whose actions are not the world's."""

import argparse

import pytest

from nfd_gym.data import DataError
from nfd_gym.eval import report
from nfd_gym.shipped import shipped


@pytest.mark.parametrize("world, option", [("pusht", "--data"), ("minecraft-island", "--probes")])
def test_recordings_of_other_actions_are_refused(world: str, option: str) -> None:
    parser = argparse.ArgumentParser()
    report.add_arguments(parser)
    other = shipped("worlds")["crafter"] / "starts"
    with pytest.raises(DataError, match="action"):
        report.main(parser.parse_args(["--world", world, option, str(other), "--runs", "1"]))
