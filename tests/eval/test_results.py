"""The results file and the pages that are generated from it."""

import argparse
import json
from pathlib import Path

import pytest

from nfd_gym.errors import UsageError
from nfd_gym.eval import results
from nfd_gym.eval.results import keep, markdown, portable, publish, record, rewrite, scalars, show


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout with a results file, a results page and a README that shows one section."""
    for path in (results.RESULTS, results.PAGE):
        (tmp_path / path).parent.mkdir()
    (tmp_path / results.RESULTS).write_text("{}")
    (tmp_path / results.PAGE).write_text("old")
    block = "<!-- results:speed -->\nold 99\n<!-- /results -->\nkept\n"
    unknown = "<!-- results:none -->\nx\n<!-- /results -->\n"
    (tmp_path / results.README).write_text(f"# T\n{block}{unknown}")
    return tmp_path


def options(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    results.add_arguments(parser)
    return parser.parse_args(words)


def contents(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_section_is_merged_and_says_where_it_came_from(tmp_path: Path) -> None:
    path = tmp_path / "assets" / "results.json"
    record("a", {"psnr": 20.123}, "python -m a", path)
    record("b", {"fps": 30}, "python -m b", path)
    record("a", {"psnr": 21.0}, "python -m a --again", path)
    stored = json.loads(path.read_text())
    assert stored["a"]["figures"] == {"psnr": 21.0} and stored["b"]["figures"] == {"fps": 30}
    assert stored["a"]["command"] == "python -m a --again"
    assert all(stored["a"][key] for key in ("commit", "machine", "date"))
    assert list(tmp_path.rglob("*.tmp")) == []


def test_nothing_is_written_unless_it_is_asked_for(
    checkout: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`eval` of somebody's own world once replaced the README's figures."""
    monkeypatch.chdir(checkout)
    before = contents(checkout)
    stored = keep(options(), "speed", {"fps": 31.4159}, "bench")
    assert stored["figures"] == {"fps": 31.4159} and contents(checkout) == before
    own = tmp_path_factory.mktemp("own") / "mine.json"
    keep(options("--results", str(own)), "speed", {"fps": 1.0}, "bench")
    assert json.loads(own.read_text())["speed"] and contents(checkout) == before
    keep(options("--publish"), "speed", {"fps": 31.4159}, "bench")
    changed = {path for path, data in contents(checkout).items() if before.get(path) != data}
    assert changed == {checkout / p for p in (results.RESULTS, results.PAGE, results.README)}


def test_publishing_rewrites_the_blocks_and_nothing_else(checkout: Path) -> None:
    publish("speed", {"fps": 31.4159}, "bench", checkout)
    fresh = (checkout / results.README).read_text()
    assert "old 99" not in fresh and "| fps | 31.4 |" in fresh and "`bench`" in fresh
    assert fresh.startswith("# T\n") and "\nkept\n" in fresh
    assert "<!-- results:none -->\nx\n" in fresh, "unknown sections stay"
    stored = results.load(checkout / results.RESULTS)
    assert rewrite(fresh, stored) == fresh, "rewriting twice changes nothing"
    page = (checkout / results.PAGE).read_text()
    assert page == results.page(stored) and "## speed" in page and "| fps | 31.4 |" in page


def test_publishing_outside_a_checkout_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="top of a checkout"):
        publish("speed", {"fps": 1.0}, "bench", tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_table_is_shown_as_given() -> None:
    section = {
        "figures": {"table": {"columns": ["a", "b"], "rows": [["x", 1.0], ["y|z", None]]}},
        "command": "c", "commit": "d", "machine": "m", "date": "2026",
    }  # fmt: skip
    assert markdown(section).splitlines()[:4] == [
        "| a | b |",
        "|---|---|",
        "| x | 1 |",
        "| y\\|z | - |",
    ]


def test_nested_figures_become_names() -> None:
    assert scalars({"a": {"b": 1, "curve": [1, 2]}, "c": 2.0}) == {"a.b": 1, "c": 2.0}
    assert [show(v) for v in (12345.6, 21.27, 0.98765, 3, None, True)] == [
        "12346", "21.3", "0.988", "3", "-", "True",
    ]  # fmt: skip


def test_a_damaged_file_is_kept_and_named(tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    path.write_text("{broken")
    with pytest.raises(UsageError, match=r"results\.json is not JSON"):
        record("a", {}, "c", path)
    assert path.read_text() == "{broken"


def test_infinities_and_bad_names_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError):
        record("a", {"psnr": float("inf")}, "c", tmp_path / "r.json")
    with pytest.raises(UsageError, match="section name"):
        record("a b", {}, "c", tmp_path / "r.json")


def test_commands_name_no_folder_of_this_machine() -> None:
    told = portable("python -m nfd_gym eval --data /home/me/footage/val --out report")
    assert told == "python -m nfd_gym eval --data footage/val --out report"
