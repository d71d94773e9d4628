"""Real worlds behind the same spaces as the learned ones; nothing here knows the model."""

# Environment id -> the module whose `main(args)` records it with the game's own scripted players.
RECORDERS = {
    "Luanti-v0": "nfd_gym.games.luanti.recorder",
    "Crafter-v0": "nfd_gym.games.crafter.recorder",
    "PushT-v0": "nfd_gym.games.pusht.recorder",
    "gym_pusht/PushT-v0": "nfd_gym.games.pusht.recorder",
}
# Environment id -> the module that knows its recordings: SPEC, and logs(frames) that pictures show.
RECORDED = {
    "PushT-v0": "nfd_gym.games.pusht.pictures",
    "gym_pusht/PushT-v0": "nfd_gym.games.pusht.pictures",
}
