"""Tiny recordings made on the fly: what a camera sees that pans over a random texture."""

import json
import sys
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from nfd_gym.actions import Camera, KeysAndMouse
from nfd_gym.data.clip import Clip, Event
from nfd_gym.keyboard import DEGREES_PER_PIXEL

sys.path.insert(0, str(Path(__file__).parent))
HEIGHT, WIDTH = 32, 48


def scroll_frames(moves, seed=0, size=(HEIGHT, WIDTH)):
    """Frames of a camera that pans moves[i] columns before frame i: one pixel per action unit."""
    texture = np.random.default_rng(seed).integers(0, 256, (size[0], 1024, 3), dtype=np.uint8)
    columns = 400 + np.cumsum(moves)
    return np.stack([texture[:, column : column + size[1]] for column in columns])


def scroll_clip(count=40, seed=0, name="scroll"):
    """An aligned clip: action i turned the camera by moves[i] mouse pixels and made frame i."""
    rng = np.random.default_rng(seed)
    moves = rng.integers(-3, 4, count)
    moves[0] = 0
    codec = KeysAndMouse(camera=Camera(72.0))
    keys = [("forward",) if rng.random() < 0.5 else () for _ in range(count)]
    keys[0] = ()
    return Clip(
        frames=scroll_frames(moves, seed),
        actions=np.stack(
            [codec.vector(k, yaw=m * DEGREES_PER_PIXEL) for k, m in zip(keys, moves, strict=True)]
        ),
        rewards=np.arange(count, dtype=np.float32),
        events=(Event(3, "dig", "default:tree"), Event(7, "place", "default:cobble")),
        pitch=np.linspace(-30, 30, count).astype(np.float32),
        name=name,
        fps=20.0,
        state={"yaw": np.cumsum(moves) * DEGREES_PER_PIXEL},
    )


def encode(path: Path, frames, *, gop=20, bframes=3, fps=20, rgb=True):
    """A lossless mp4 with B-frames, as awkward to seek in as real footage."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264rgb" if rgb else "libx264", rate=Fraction(fps))
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = "rgb24" if rgb else "yuv420p"
        stream.options = {"crf": "0", "preset": "veryfast", "bf": str(bframes)}
        stream.codec_context.gop_size = gop
        stream.codec_context.thread_count = 1
        for frame in frames:
            picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")
            for packet in stream.encode(picture):
                container.mux(packet)
        for packet in stream.encode(None):
            container.mux(packet)


def vpt_row(**changes):
    """One row of a contractor recording; changes={"mouse.dx": 3, ...} overwrite fields."""
    row = {
        "mouse": {"x": 640.0, "dx": 0.0, "dy": 0.0, "dwheel": 0.0, "buttons": [], "newButtons": []},
        "keyboard": {"keys": [], "newKeys": [], "chars": ""},
        "isGuiOpen": False,
        "hotbar": 0,
        "yaw": 0.0,
        "pitch": 0.0,
        "stats": {},
    }  # fmt: skip
    for name, value in changes.items():
        group, _, key = name.partition("_")
        if key and group in ("mouse", "keyboard"):
            row[group][key] = value
        else:
            row[name] = value
    return row


class Pairs:
    """Writes NAME.mp4 + NAME.jsonl pairs into one folder."""

    def __init__(self, folder: Path):
        self.folder = folder

    def add(self, rows, frames=None, name="clip", **video):
        if frames is None:
            moves = [0, *(int(row["mouse"]["dx"]) if row.get("mouse") else 0 for row in rows[:-1])]
            frames = scroll_frames(moves)
        encode(self.folder / f"{name}.mp4", frames, **video)
        text = "".join(row if isinstance(row, str) else json.dumps(row) + "\n" for row in rows)
        (self.folder / f"{name}.jsonl").write_text(text, "utf-8")
        return self.folder


@pytest.fixture
def pairs(tmp_path: Path) -> Pairs:
    folder = tmp_path / "recordings"
    folder.mkdir()
    return Pairs(folder)


@pytest.fixture(scope="session")
def long_pair(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two clips with B-frames and long groups of pictures; read only."""
    folder = tmp_path_factory.mktemp("long")
    rng = np.random.default_rng(5)
    for number, count in enumerate((90, 55)):
        moves = rng.integers(-3, 4, count).tolist()
        rows = [vpt_row(mouse_dx=move, hotbar=0) for move in moves]
        Pairs(folder).add(rows, scroll_frames([0, *moves[:-1]], seed=number), f"clip-{number}")
    return folder


@pytest.fixture
def make_row():
    return vpt_row


@pytest.fixture
def make_scroll():
    return scroll_clip


@pytest.fixture
def pan():
    return scroll_frames


@pytest.fixture
def encode_mp4():
    return encode


@pytest.fixture(scope="session")
def movie(tmp_path_factory: pytest.TempPathFactory):
    """(path, frames): 60 noisy frames in groups of 20 with B-frames; read only."""
    frames = np.random.default_rng(0).integers(0, 256, (60, 16, 24, 3), dtype=np.uint8)
    path = tmp_path_factory.mktemp("movie") / "movie.mp4"
    encode(path, frames)
    return path, frames


@pytest.fixture
def make_room():
    """Clips of a walk through a ray-cast room, with depth and poses."""
    from box_room import room_clip

    return room_clip
