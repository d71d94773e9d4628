"""Train inside the dream, score in the real game. Run the scripts as `python -m agents.NAME`."""
