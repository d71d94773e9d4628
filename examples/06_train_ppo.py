"""Stable-Baselines3 in a dream: train a little, save, act. agents/train_ppo.py does it in earnest.

python examples/06_train_ppo.py [WORLD]
"""

import sys
from pathlib import Path

import torch
from stable_baselines3 import PPO

sys.path.insert(0, str(Path(__file__).parents[1]))  # agents/ belongs to the repository

from agents.lanes import Setup, codec_of, make_lanes
from agents.saving import save_agent
from nfd_gym.agent import Policy

WORLD = sys.argv[1] if len(sys.argv) > 1 else "minecraft-island"

# Two lanes of ten ticks; the policy sees 48x48 pixels and holds each action for two ticks.
setup = Setup(env="NFD-v0", world=WORLD, lanes=2, horizon=10, repeat=2, view=(48, 48), stack=2)
lanes = make_lanes(setup)
model = PPO("CnnPolicy", lanes, n_steps=8, batch_size=16, n_epochs=1, seed=0)
before = torch.cat([part.flatten().clone() for part in model.policy.parameters()])
model.learn(32)
after = torch.cat([part.flatten() for part in model.policy.parameters()])
print(f"{model.num_timesteps} decisions, {len(model.ep_info_buffer)} episodes")
assert (before != after).any() and len(model.ep_info_buffer) >= 4

# What the policy sees and does goes into the zip, so that anybody can play it:
# python -m nfd_gym.play --agent agent.zip
seen = {"algorithm": "ppo", "codec": codec_of(lanes).to_json(), "size": setup.view}
seen |= {"stack": setup.stack, "repeat": setup.repeat, "policy_kwargs": {}}
save_agent(model, Path("agent.zip"), seen)
frames = lanes.get_images()
lanes.close()

policy = Policy(Path("agent.zip"))  # reads tensors and JSON, never pickle
policy.begin([0])
action = policy.act(frames[0][None])[0]
assert policy.codec.space().contains(action)
