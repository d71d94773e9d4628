"""One of two ranks: trains the micro denoiser, then again with --fsdp; for test_distributed.py."""

import argparse
import os
import sys

from nfd_gym.train import cli

rank, port, data, tokenizer, out = sys.argv[1:]
for offset, name in enumerate(("averaged", "shared")):
    os.environ |= {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1"}
    os.environ["MASTER_PORT"] = str(int(port) + offset)
    for steps in (2, 3):  # the third step after a resume
        words = ["denoiser", "--data", data, "--tokenizer", tokenizer, "--out", f"{out}/{name}"]
        words += ["--preset", "micro", "--set", f"loop.steps={steps}", "--set", "loop.log_every=1"]
        words += ["--set", "batch=1", "--set", "window=3", "--set", "loop.warmup=1"]
        words += ["--set", "loss.rollout_from=0", "--set", "loop.cooldown=0"]
        words += ["--fsdp"] if name == "shared" else []
        parser = argparse.ArgumentParser()
        cli.add_arguments(parser)
        assert cli.main(parser.parse_args(words)) == 0
        os.environ["MASTER_PORT"] = str(int(os.environ["MASTER_PORT"]) + 2)
