"""The results file and the README blocks that are written from it."""

import json
from pathlib import Path

import pytest

from nfd_gym.eval.results import load, markdown, portable, record, rewrite, scalars, show


def test_a_section_is_merged_and_says_where_it_came_from(tmp_path: Path) -> None:
    path = tmp_path / "assets" / "results.json"
    record("a", {"psnr": 20.123}, "python -m a", path, readme=None)
    record("b", {"fps": 30}, "python -m b", path, readme=None)
    record("a", {"psnr": 21.0}, "python -m a --again", path, readme=None)
    stored = json.loads(path.read_text())
    assert stored["a"]["figures"] == {"psnr": 21.0} and stored["b"]["figures"] == {"fps": 30}
    assert stored["a"]["command"] == "python -m a --again"
    assert all(stored["a"][key] for key in ("commit", "machine", "date"))
    assert list(tmp_path.rglob("*.tmp")) == []


def test_readme_blocks_are_rewritten_and_nothing_else(tmp_path: Path) -> None:
    readme = tmp_path / "README.md"
    blocks = "<!-- results:speed -->\nold 99\n<!-- /results -->\nkept\n"
    text = f"# T\n{blocks}<!-- results:none -->\nx\n<!-- /results -->\n"
    readme.write_text(text)
    record("speed", {"fps": 31.4159}, "bench", tmp_path / "results.json", readme)
    fresh = readme.read_text()
    assert "old 99" not in fresh and "| fps | 31.4 |" in fresh and "`bench`" in fresh
    assert fresh.startswith("# T\n") and "\nkept\n" in fresh
    assert "<!-- results:none -->\nx\n" in fresh, "unknown sections stay"
    again = rewrite(fresh, load(tmp_path / "results.json"))
    assert again == fresh, "rewriting twice changes nothing"


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
    with pytest.raises(ValueError, match=r"results\.json is not JSON"):
        record("a", {}, "c", path, readme=None)
    assert path.read_text() == "{broken"


def test_infinities_and_bad_names_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError):
        record("a", {"psnr": float("inf")}, "c", tmp_path / "r.json", readme=None)
    with pytest.raises(ValueError, match="section name"):
        record("a b", {}, "c", tmp_path / "r.json", readme=None)


def test_commands_name_no_folder_of_this_machine() -> None:
    told = portable("python -m nfd_gym eval --data /home/me/footage/val --out report")
    assert told == "python -m nfd_gym eval --data footage/val --out report"
