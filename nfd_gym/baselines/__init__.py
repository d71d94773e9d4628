"""Rivals of next-frame diffusion, on the same codes and footage."""
