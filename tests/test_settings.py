import argparse
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nfd_gym import settings
from nfd_gym.settings import SettingsError


@dataclass(frozen=True, kw_only=True)
class Optimiser:
    rate: float = 1e-3
    betas: tuple[float, float] = (0.9, 0.99)
    warm: bool = True


@dataclass(frozen=True, kw_only=True)
class Run:
    steps: int = 100
    name: str = "run"
    mode: Literal["x", "v"] = "x"
    sizes: tuple[int, ...] = (1, 2)
    limit: int | None = None
    folder: Path = Path("out")
    optimiser: Optimiser = field(default_factory=Optimiser)


@dataclass(frozen=True, kw_only=True)
class Needed:
    must: int


@pytest.mark.parametrize(
    ("assignment", "expected"),
    [
        ("steps=7", replace(Run(), steps=7)),
        ("name=a=b", replace(Run(), name="a=b")),
        ("mode=v", replace(Run(), mode="v")),
        ("sizes=3,4,5", replace(Run(), sizes=(3, 4, 5))),
        ("limit=9", replace(Run(), limit=9)),
        ("folder=a/b", replace(Run(), folder=Path("a/b"))),
        ("optimiser.rate=2e-4", replace(Run(), optimiser=Optimiser(rate=2e-4))),
        ("optimiser.betas=0.5,0.6", replace(Run(), optimiser=Optimiser(betas=(0.5, 0.6)))),
        ("optimiser.warm=off", replace(Run(), optimiser=Optimiser(warm=False))),
    ],
)
def test_set_changes_one_value_and_its_type(assignment, expected):
    assert settings.apply(Run(), [assignment]) == expected


def test_later_assignments_win_and_the_original_stays():
    run = Run()
    assert settings.apply(run, ["steps=1", "steps=2"]).steps == 2
    assert run.steps == 100


def test_none_can_be_set_back():
    assert settings.apply(Run(limit=3), ["limit=none"]).limit is None


@pytest.mark.parametrize(
    ("assignment", "sentence"),
    [
        ("stesp=1", "did you mean 'steps'"),
        ("optimiser.rat=1", "did you mean 'optimiser.rate'"),
        ("steps=fast", "'fast' is not int"),
        ("mode=z", "none of x, v"),
        ("steps.more=1", "inside a plain value"),
        ("steps", "name=value"),
        ("optimiser.betas=1", "is not tuple"),
        ("optimiser.warm=maybe", "'maybe' is not bool"),
        ("optimiser=3", "cannot be set"),
    ],
)
def test_a_wrong_assignment_is_one_sentence(assignment, sentence):
    with pytest.raises(SettingsError, match=sentence) as caught:
        settings.apply(Run(), [assignment])
    assert str(caught.value).count("\n") == 0


@given(
    st.builds(
        Run,
        steps=st.integers(),
        name=st.text(),
        mode=st.sampled_from(["x", "v"]),
        sizes=st.lists(st.integers()).map(tuple),
        limit=st.none() | st.integers(),
        folder=st.sampled_from([Path("a"), Path("b/c")]),
        optimiser=st.builds(Optimiser, rate=st.floats(allow_nan=False), warm=st.booleans()),
    )
)
def test_json_round_trip(run):
    assert settings.from_json(Run, settings.to_json(run)) == run


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        ({"stepz": 1}, "unknown key 'stepz'; the nearest is 'steps'"),
        ({"steps": "3"}, "is not int"),
        ({"steps": True}, "is not int"),
        ({"optimiser": {"rate": "x"}}, r"optimiser\.rate"),
        ({"optimiser": 1}, "a group of settings"),
        ({"mode": "q"}, "'q'"),
    ],
)
def test_json_is_read_strictly(data, sentence):
    with pytest.raises(SettingsError, match=sentence):
        settings.from_json(Run, data)


def test_a_missing_key_without_default_is_named():
    with pytest.raises(SettingsError, match="'must' is missing"):
        settings.from_json(Needed, {})


def test_command_line_presets():
    presets = {"small": Run(), "large": Run(steps=1000)}
    parser = argparse.ArgumentParser()
    settings.add_arguments(parser, presets)
    args = parser.parse_args(["--preset", "large", "--set", "optimiser.rate=1", "--dry-run"])
    run = settings.resolve(args, presets)
    assert (run.steps, run.optimiser.rate, args.dry_run) == (1000, 1.0, True)
    assert '"steps": 1000' in settings.show(run)
    args.preset = "lage"
    with pytest.raises(SettingsError, match="did you mean 'large'"):
        settings.resolve(args, presets)
