"""The documents are executed: marked blocks run, tables are generated, paths exist.

tests/test_commands.py runs their command lines.
"""

import json
import re

import pytest

from nfd_gym.eval import results
from tests.pages import GUIDES, PAGES, ROOT, files, python_blocks, shell, text

README = text("README.md")
BLOCKS = [
    pytest.param(code, id=f"{page}-{number}")
    for page in GUIDES
    for number, code in enumerate(python_blocks(page))
]


@pytest.mark.parametrize("code", BLOCKS)
def test_marked_blocks_run(code, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    exec(compile(code, "block of a page", "exec"), {"__name__": "page"})


def test_every_python_block_is_run_or_a_file():
    saved = sum(len(files(page)) for page in GUIDES)
    assert len(BLOCKS) + saved == sum(text(page).count("```python") for page in GUIDES)
    assert len(BLOCKS) >= 3 and saved
    assert len(python_blocks("README.md")) == 1


def test_the_readme_is_short():
    assert README.count("\n") <= 130


@pytest.mark.parametrize(
    "line", [line for page in GUIDES for line in shell(page) if line.startswith("make ")]
)
def test_make_targets_exist(line):
    assert re.search(rf"^{line.split()[1]}:", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)


def test_installations_use_the_exact_versions():
    lines = [line for page in GUIDES for line in shell(page) if line.startswith("pip install")]
    assert lines and all("-c constraints.txt" in line for line in lines)


def test_the_tree_exists():
    tree = re.search(r"## What lies where\n\n```\n(.*?)```", README, re.DOTALL).group(1)
    base = ROOT
    for line in tree.splitlines():
        names = re.split(r"\s{2,}", line.strip())
        for name in [word for part in names[:2] for word in part.split()]:
            if not re.fullmatch(r"[\w./]+(\.py|\.txt|/|run)|Makefile", name):
                break
            if name == "nfd_gym/":
                base = ROOT / "nfd_gym"
                continue
            where = base if line.startswith("  ") else ROOT
            assert (where / name).exists(), f"README's tree names {name}"


@pytest.mark.parametrize("page", [*PAGES, "agents/README.md"])
def test_linked_files_and_sections_exist(page):
    folder = (ROOT / page).parent
    for target in re.findall(r"\]\(([^)]+)\)", text(page)):
        if re.match(r"\w+:", target):
            continue
        name, _, section = target.partition("#")
        file = folder / name if name else ROOT / page
        assert file.exists(), f"{page} links to {target}"
        if section:
            headings = re.findall(r"^#+ (.*)$", file.read_text("utf-8"), re.MULTILINE)
            anchors = {
                re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in headings
            }
            assert section in anchors, f"{page} links to {target}"


def test_published_tables_are_generated_from_the_results_file():
    """No figure of the page was typed or left behind: `results.publish` makes them."""
    stored = json.loads((ROOT / results.RESULTS).read_text("utf-8"))
    assert (ROOT / results.PAGE).read_text("utf-8") == results.page(stored)
    assert results.rewrite(README, stored) == README
