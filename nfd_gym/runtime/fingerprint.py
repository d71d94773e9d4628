"""Which world this is, in sixteen hex digits: saved states, logs and converted models carry it."""

import hashlib
import json

from nfd_gym import settings
from nfd_gym.world import WorldModel


def fingerprint(world: WorldModel) -> str:
    """The world's own fingerprint, or one made from the weights of a world that was never saved."""
    if world.fingerprint:
        return world.fingerprint
    described = [
        world.codec.to_json(),
        settings.to_json(world.tokenizer.config),
        settings.to_json(world.denoiser.config),
        settings.to_json(world.settings),
    ]
    digest = hashlib.sha256(json.dumps(described, sort_keys=True).encode())
    for part in (world.tokenizer, world.denoiser):
        for name, value in sorted(part.state_dict().items()):
            digest.update(name.encode())
            digest.update(value.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]
