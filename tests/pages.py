"""The pages that newcomers read: their code blocks and command lines."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
GENERATED = {"RESULTS.md", "LOG.md", "CHANGELOG.md"}  # records, not instructions
PAGES = ["README.md", *sorted(f"docs/{p.name}" for p in (ROOT / "docs").glob("*.md"))]
GUIDES = [page for page in PAGES if Path(page).name not in GENERATED]
PROGRAM = r"(?:nfd-gym|python -m nfd_gym(?:\.play)?)"
COMMAND = re.compile(rf"(?:^|`)(?:timeout -s INT \d+ )?({PROGRAM} [^\n`#]*)", re.MULTILINE)


def text(page: str) -> str:
    return (ROOT / page).read_text("utf-8")


def python_blocks(page: str) -> list[str]:
    """Blocks that are marked to be run."""
    return re.findall(r"<!-- run(?:: world)? -->\n```python\n(.*?)```", text(page), re.DOTALL)


def files(page: str) -> dict[str, str]:
    """Name -> text of blocks that the reader is told to save."""
    return dict(re.findall(r"<!-- file: (\S+) -->\n```python\n(.*?)```", text(page), re.DOTALL))


def shell(page: str) -> list[str]:
    """Every line of the shell blocks, without its comment. Blocks without `sh` are only shown."""
    blocks = re.findall(r"```sh\n(.*?)```", text(page), re.DOTALL)
    return [line.split("#")[0].strip() for block in blocks for line in block.splitlines()]


def commands(page: str) -> list[str]:
    """Every command of ours in a block or in the text, once, in the page's order."""
    shown = re.sub(r"<!-- results:.*?<!-- /results -->", "", text(page), flags=re.DOTALL)
    return list(dict.fromkeys(line.strip() for line in COMMAND.findall(shown)))


def runnable(page: str) -> list[str]:
    """The commands of ours in shell blocks, in their order."""
    return [match[1].strip() for line in shell(page) if (match := COMMAND.match(line))]
