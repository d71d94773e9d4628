"""nfd_gym: a learned world you can gym.make. Importing it registers the environment ids."""

import gymnasium

__version__ = "0.1.0"

NFD_ENV = "nfd_gym.envs.nfd_env:NFDEnv"
NFD_VECTOR_ENV = "nfd_gym.envs.vector_env:NFDVectorEnv"
CRAFTER_ENV = "nfd_gym.games.crafter.env:CrafterEnv"
PUSHT_ENV = "nfd_gym.games.pusht.env:PushTEnv"
LUANTI_ENV = "nfd_gym.games.luanti.env:LuantiEnv"

# Entry points are strings so that the import stays light and every spec survives EnvSpec.to_json().
# A learned world limits its own episodes: a wrapper would not know of undo, load and fork.
WORLDS: dict[str, dict[str, object]] = {
    "NFD-Minecraft-v0": {"world": "minecraft-island", "max_episode_steps": 1000},
    "NFD-Crafter-v0": {
        "world": "crafter",
        "task": "nfd_gym.games.crafter.task:Crafter",
        "max_episode_steps": 10_000,
    },
    "NFD-PushT-v0": {
        "world": "pusht",
        "task": "nfd_gym.games.pusht.task:PushT",
        "max_episode_steps": 300,
    },
    "NFD-v0": {"max_episode_steps": 1000},  # any world
}
for name, kwargs in WORLDS.items():
    gymnasium.register(
        id=name, entry_point=NFD_ENV, vector_entry_point=NFD_VECTOR_ENV, kwargs=kwargs
    )
# The game's own threads run in real time: pictures of equal seeds differ slightly (see LuantiEnv).
gymnasium.register(
    id="Luanti-v0", entry_point=LUANTI_ENV, max_episode_steps=1000, nondeterministic=True
)
gymnasium.register(id="Crafter-v0", entry_point=CRAFTER_ENV, max_episode_steps=10_000)
# gym_pusht/PushT-v0, the same game, with pictures that are averaged and states that are exact.
gymnasium.register(id="PushT-v0", entry_point=PUSHT_ENV, max_episode_steps=300)


def settle(threads: int | None = None) -> None:
    """Set up this process for steady inference on a CPU. Opt-in: no environment does it for you.

    Waiting OpenMP threads sleep instead of spinning (only if torch is not imported yet; spinning
    makes a step many times slower beside another busy process), and glibc's malloc keeps freed
    blocks, up to 1 GiB of them, instead of mapping every large tensor anew. `threads` limits
    torch's threads. The commands of nfd_gym call it; call it first in your own script if you step
    environments on a CPU, and leave it out where memory is short.
    """
    from nfd_gym.runtime.threads import settle as settle_process

    settle_process(threads)
