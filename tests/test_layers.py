"""The house rules of the imports, by walking the syntax tree of every file."""

import ast
import re
import subprocess
import sys
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

from nfd_gym.keyboard import KEYS

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "nfd_gym"

GROUND = {
    *("errors", "settings", "keyboard", "noise", "progress", "extras", "actions", "dialects"),
    *("command", "filelock", "shipped", "shapes"),
}
# package or root module -> what of nfd_gym it may import besides the ground modules
MAY_IMPORT = {
    **{module: set() for module in GROUND},
    "model": set(),
    "diffusion": set(),  # receives callables; knows no network
    "data": set(),
    "memory": {"model"},  # read and write; knows no denoiser's weights
    "baselines": {"model"},  # rivals, on the same codes
    "presets": {"model"},
    "world": {"model", "memory", "diffusion", "data", "baselines"},
    "runtime": {"model", "memory", "diffusion", "data", "world"},
    "train": {"model", "memory", "diffusion", "data", "world", "presets", "baselines"},
    "envs": {"runtime", "data", "world"},
    "games": {"data", "envs"},  # real games: they know nothing of the model
    "eval": {
        *("model", "memory", "diffusion", "data", "world", "presets", "runtime", "train"),
        "baselines",
        *("envs", "games"),
    },
    "agent": {"runtime"},  # a trained policy, read from its zip
    "play": {"agent", "data", "world", "runtime", "envs", "games"},
    "__init__": {"runtime", "envs", "games"},  # entry points, and settle() when it is called
    "cli": {"data", "train", "eval", "runtime", "play", "games"},
    "__main__": {"cli"},
}
# What no game may reach: neither its modules nor the names of its keys.
NO_GAME = ("model", "memory", "diffusion", "world")
# third-party package -> where it may be imported
THIRD_PARTY = {
    "pygame": {"play"},
    "aiohttp": {"play"},
    "stable_baselines3": {"agent"},  # agents/ trains; one file reads the result, lazily
    "sb3_contrib": {"agent"},
    "matplotlib": {"eval"},
    "openvino": {"runtime"},
    "onnx": {"runtime"},
    "onnxruntime": {"runtime"},
    "pyarrow": {"data"},
    "h5py": {"data"},
    "Xlib": {"games"},
    "gymnasium": {"__init__", "actions", "agent", "data", "envs", "games", "play", "eval"},
    "torch": {
        "agent",
        "baselines",
        "model",
        "diffusion",
        "runtime",
        "train",
        "envs",
        "eval",
        "world",
        "memory",
    },
    "av": {"data", "eval", "play", "games"},
}


def imports(tree):
    """(line, dotted name) of every import, and of every module or entry point named in a string."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            if node.level:
                yield node.lineno, "." * node.level
            elif node.module == "nfd_gym":
                yield from ((node.lineno, f"nfd_gym.{alias.name}") for alias in node.names)
            else:
                yield node.lineno, str(node.module)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            if re.fullmatch(r"nfd_gym(\.\w+)+(:\w+)?", node.value):
                yield node.lineno, node.value


def breaches(where, tree):
    """Every import that points the wrong way, as text."""
    for line, name in imports(tree):
        top, _, rest = name.partition(".")
        if name.startswith("."):
            yield f"{line}: relative import"
        elif top == "__future__":
            yield f"{line}: from __future__"
        elif top == "pickle":
            yield f"{line}: pickle"
        elif where in NO_GAME and name.startswith(("nfd_gym.keyboard", "nfd_gym.dialects")):
            yield f"{line}: {where} must not know keys"
        elif top == "nfd_gym":
            target = rest.partition(".")[0]
            if target and (PACKAGE / target).exists() | (PACKAGE / f"{target}.py").exists():
                if target not in MAY_IMPORT[where] | GROUND | {where}:
                    yield f"{line}: {where} must not import nfd_gym.{target}"
        elif where not in THIRD_PARTY.get(top, {where}):
            yield f"{line}: {where} must not import {top}"


def sources():
    return sorted(PACKAGE.rglob("*.py"))


def place(path):
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return parts[0]


@pytest.mark.parametrize("path", sources(), ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_point_one_way(path):
    found = [f"{path}:{text}" for text in breaches(place(path), ast.parse(path.read_text("utf-8")))]
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    ("where", "code"),
    [
        ("data", "import torch"),
        ("model", "from nfd_gym.runtime.session import Session"),
        ("runtime", "def f():\n    import nfd_gym.train.loop"),
        ("train", "from nfd_gym import runtime"),
        ("model", 'importlib.import_module("nfd_gym.games.luanti.env")'),
        ("memory", "from nfd_gym.world.state import WorldState"),
        ("world", "from nfd_gym.keyboard import KEYS"),
        ("diffusion", "from nfd_gym.model.cache import FrameCache"),
        ("runtime", "import gymnasium"),
        ("envs", "import pygame"),
        ("games", "from nfd_gym.model.denoiser import Denoiser"),
        ("eval", "import stable_baselines3"),
        ("play", "from . import hud"),
        ("data", 'importlib.import_module("nfd_gym.games.luanti.recorder")'),
        ("data", "from __future__ import annotations"),
        ("world", "import pickle"),
        ("actions", "from nfd_gym.data.clip import Clip"),
    ],
)
def test_the_checker_sees_planted_breaches(where, code):
    """A checker that cannot fail checks nothing."""
    assert list(breaches(where, ast.parse(code)))


def key_names(tree):
    """(line, key) of every string that is the name of a key."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and node.value in KEYS:
            yield node.lineno, node.value


@pytest.mark.parametrize(
    "path", [path for path in sources() if place(path) in NO_GAME], ids=lambda path: path.stem
)
def test_no_key_is_named_below_the_games(path):
    assert not list(key_names(ast.parse(path.read_text("utf-8")))), path


def test_a_planted_key_is_found():
    assert list(key_names(ast.parse('held = action[INDEX["attack"]]')))


def arrows():
    """Every file and the files of ours that it imports; its own package is no arrow."""
    names = {
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
        for path in sources()
    }
    graph = {}
    for name, path in names.items():
        targets = set()
        for _, target in imports(ast.parse(path.read_text("utf-8"))):
            target = target.partition(":")[0]
            while target and target not in names:  # a class or a function of the module
                target = target.rpartition(".")[0]
            if target and not f"{name}.".startswith(f"{target}."):
                targets.add(target)
        graph[name] = targets
    return graph


def test_nothing_imports_back():
    """No two files import each other, directly or through others, not even by a string."""
    graph = arrows()
    assert len(graph) > 150 and "nfd_gym.world.step" in graph["nfd_gym.runtime.session"]
    list(TopologicalSorter(graph).static_order())  # raises CycleError and names the circle


def test_a_planted_circle_is_found():
    graph = arrows()
    graph["nfd_gym.world.step"] |= {"nfd_gym.runtime.session"}
    with pytest.raises(CycleError, match="nodes are in a cycle"):
        list(TopologicalSorter(graph).static_order())


def picture():
    """The rooms from the roof down, each with the rooms below that it may enter."""
    rooms = {room: set(may) for room, may in MAY_IMPORT.items() if room not in GROUND}
    rooms["nfd_gym"] = rooms.pop("__init__")

    def floor(room):
        return 1 + max(map(floor, rooms[room]), default=0)

    return "".join(
        f"{room:<9} -> {' '.join(sorted(rooms[room])) or 'the ground'}\n"
        for room in sorted(rooms, key=lambda room: (-floor(room), room))
    )


def test_contributing_shows_the_rooms_and_their_arrows():
    """The ground: modules that import nothing but each other (errors, settings, actions, ...)."""
    assert f"```\n{picture()}```" in (ROOT / "docs" / "CONTRIBUTING.md").read_text("utf-8"), (
        f"write this into docs/CONTRIBUTING.md:\n{picture()}"
    )


def test_every_package_has_its_rule():
    packages = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    modules = {path.stem for path in PACKAGE.glob("*.py")}
    assert packages | modules <= set(MAY_IMPORT)


@pytest.mark.parametrize("path", sources(), ids=lambda path: str(path.relative_to(ROOT)))
def test_house_style(path):
    """350 lines at most, no utils.py, no bare or silent except, numpy never unpickles."""
    text = path.read_text("utf-8")
    assert text.count("\n") <= 350, f"{path} has {text.count(chr(10))} lines"
    assert path.name != "utils.py"
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ExceptHandler):
            assert node.type is not None, f"{path}:{node.lineno}: bare except"
        if isinstance(node, ast.Call) and ast.unparse(node.func) in ("np.load", "numpy.load"):
            safe = any(ast.unparse(key) == "allow_pickle=False" for key in node.keywords)
            assert safe, f"{path}:{node.lineno}: np.load without allow_pickle=False"
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "torch.load":
            raise AssertionError(f"{path}:{node.lineno}: torch.load reads pickles")


# Rooms whose refusals are all NfdErrors: all but data's parsers and the bridge's far end.
SPEAKING = {
    *("play", "cli", "command", "agent", "settings", "extras", "errors", "shipped", "filelock"),
    *("actions", "__init__", "__main__", "noise", "presets"),
    *("model", "memory", "diffusion", "runtime", "envs", "train", "eval"),
}
CAUGHT_INSIDE = {"runtime/state.py"}  # a ValueError that the caller turns into a StateError


def plain_refusals(tree):
    """(line, name) of every builtin refusal that is raised.

    A ValueError reaches the user as a traceback; an NfdError as one line.
    """
    plain = {"ValueError", "KeyError", "FileNotFoundError", "SystemExit", "OSError"}
    for node in ast.walk(tree):
        if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call):
            name = ast.unparse(node.exc.func)
            if name in plain:
                yield node.lineno, name


@pytest.mark.parametrize(
    "path",
    [
        path
        for path in sources()
        if place(path) in SPEAKING and str(path.relative_to(PACKAGE)) not in CAUGHT_INSIDE
    ],
    ids=lambda path: path.stem,
)
def test_refusals_are_nfd_errors(path):
    found = list(plain_refusals(ast.parse(path.read_text("utf-8"))))
    assert not found, f"{path}: raise an NfdError instead: {found}"


def loaded_after(statement):
    code = f"{statement}\nimport sys; print(*sys.modules)"
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True
    )
    return set(run.stdout.split())


def test_the_import_is_light():
    """`import nfd_gym` must be safe on a laptop without torch's seconds or a display."""
    heavy = {"torch", "pygame", "stable_baselines3", "av", "openvino", "matplotlib", "pyarrow"}
    assert not loaded_after("import nfd_gym") & heavy


def test_reading_recordings_needs_no_torch():
    modules = loaded_after("import nfd_gym.data, nfd_gym.data.cli_check, nfd_gym.data.sources.vpt")
    assert "torch" not in modules and "pygame" not in modules


def test_no_machine_paths_in_tracked_files():
    """Neither this machine's folders nor its registries belong into the repository."""
    listing = subprocess.run(["git", "ls-files", "-z"], capture_output=True, cwd=ROOT, check=False)
    if listing.returncode:
        pytest.skip("not a git checkout")
    secret = [b"/work" + b"/", b"/tmp" + b"/venv", b"/opt" + b"/pypi", b"/ro" + b"ot/"]
    for name in listing.stdout.split(b"\0"):
        path = ROOT / name.decode()
        if (
            path.suffix in (".py", ".md", ".toml", ".txt", ".json", ".lua", ".sh", "")
            and path.is_file()
        ):
            content = path.read_bytes()
            found = [word for word in secret if word in content]
            assert not found, f"{path} holds {found}"
