"""Play without any display: a player and a number of frames in, a film out."""

import sys
import time
from pathlib import Path

from nfd_gym.play.game import Game
from nfd_gym.play.inputs import Sample
from nfd_gym.play.movie import open_movie


def film(game: Game, *, frames: int, out: Path, fps: int = 20, scale: int = 1) -> str:
    """Write `frames` frames of play to `out`, the start frame first; returns one line about it.

    The film is written even if the run is interrupted, as far as it came.
    """
    first = game.view.frame
    movie = open_movie(out, (first.shape[0], first.shape[1]), fps=fps, scale=scale)
    movie.add(first)
    start, done = time.perf_counter(), 1
    try:
        while done < frames:
            movie.add(game.tick(Sample()).frame)
            done += 1
    except KeyboardInterrupt:
        print(f"stopped after {done} of {frames} frames", file=sys.stderr)
    finally:
        movie.close()
    rate = (done - 1) / max(time.perf_counter() - start, 1e-9)
    return f"{out}: {done} frames of {first.shape[1]}x{first.shape[0]}, made at {rate:.1f} a second"
