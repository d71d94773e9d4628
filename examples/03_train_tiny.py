"""Recordings in, a playable world out: the whole path with the micro preset, in seconds.

    python examples/03_train_tiny.py

The film is a texture that the mouse turns; with real footage the folder and the preset change.
"""

import json
from pathlib import Path

import gymnasium as gym
import numpy as np

import nfd_gym  # noqa: F401  registers NFD-v0
from nfd_gym.actions import KeysAndMouse
from nfd_gym.cli import main
from nfd_gym.data import Clip
from nfd_gym.data.store import ClipWriter

codec = KeysAndMouse()
writer = ClipWriter("footage", codec, fps=20.0, size=(32, 48))
texture = np.kron(np.random.default_rng(0).integers(0, 256, (12, 40, 3)), np.ones((8, 8, 1)))
for number in range(4):
    turns = np.random.default_rng(number).integers(-2, 3, 40)  # degrees to the right, a pixel each
    turns[0] = 0
    where = 100 + np.cumsum(turns)
    frames = np.stack([texture[32:64, x : x + 48] for x in where]).astype(np.uint8)
    actions = np.stack([codec.vector(yaw=float(turn)) for turn in turns])
    pitch = np.zeros(40, np.float32)
    if (name := f"turn-{number}") not in writer:
        writer.write(Clip(frames=frames, actions=actions, pitch=pitch, name=name))

train = ["--data", "footage", "--preset", "micro", "--set", "loop.log_every=5"]
tokenizer, denoiser = ["--out", "run/tokenizer"], ["--out", "run/denoiser"]
main(["train", "tokenizer", *train, *tokenizer, "--set", "loop.steps=15"])
# Usually the model is handed the last frame, turned as the mouse commands: then little is left to
# learn in seconds. Without it, it learns from noise.
more = ["--set", "model.recycle=none", "--set", "loop.warmup=5", "--set", "window=4"]
more += ["--tokenizer", "run/tokenizer", "--set", "loop.steps=40"]
main(["train", "denoiser", *train, *denoiser, *more])
runs = ["--tokenizer", "run/tokenizer", "--denoiser", "run/denoiser"]
main(["train", "world", *runs, "--starts", "footage", "--count", "3", "--out", "my-world"])

lines = [json.loads(line) for line in Path("run/denoiser/log.jsonl").read_text().splitlines()]
losses = [line["loss"] for line in lines if "loss" in line]
print(f"denoiser loss {losses[0]:.3f} -> {losses[-1]:.3f}")
assert np.mean(losses[-3:]) < losses[0]

env = gym.make("NFD-v0", world="my-world")
frame, _ = env.reset(seed=0)
assert frame.shape == (32, 48, 3) and (env.step(env.action_space.sample())[0] != frame).any()
env.close()
