"""One of two ranks: trains the small stage, then again with its weights shared out; for
test_distributed.py."""

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
import stage

rank, port, data, out = sys.argv[1:]
for offset, name in enumerate(("averaged", "shared")):
    os.environ |= {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1"}
    os.environ["MASTER_PORT"] = str(int(port) + offset)
    for steps in (2, 3):  # the third step after a resume
        run = Path(out) / name
        stage.train(Path(data), run, batch=1, steps=steps, fsdp=name == "shared")
        os.environ["MASTER_PORT"] = str(int(os.environ["MASTER_PORT"]) + 2)
