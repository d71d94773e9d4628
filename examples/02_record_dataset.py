"""Record an env, check the recording, and read it back as training windows.

    python examples/02_record_dataset.py [WORLD]

The same commands record Luanti-v0 or any other Gymnasium env that draws pictures.
"""

import sys

from nfd_gym.cli import main
from nfd_gym.data import Loader, open_source

WORLD = sys.argv[1] if len(sys.argv) > 1 else "minecraft-island"

command = ["record", "--env", "NFD-v0", "--out", "recordings", "--frames", "60"]
command += ["--make", f"world={WORLD}", "--set", "episode_frames=30", "--set", "crf=0"]
assert main(command) == 0
assert main(["check", "recordings"]) == 0

source = open_source("recordings")
clip = source.read(0)
print(f"{len(source.names)} clips at {source.fps:g} frames a second; actions: {source.codec.kind}")
assert sum(source.lengths) == 60

# actions[i] produced frames[i]; nothing produced frame 0.
assert (clip.actions[0] == source.codec.encode(source.codec.noop())).all()
assert clip.actions.shape == (len(clip.frames), source.codec.width)

# Batches depend on (seed, number) alone, so a training resumes with the very next one.
batch = Loader(source, window=8, batch=4, seed=0).batch(3)
again = Loader(source, window=8, batch=4, seed=0).batch(3)
assert batch.frames.shape[:2] == (4, 8) and (batch.frames == again.frames).all()
