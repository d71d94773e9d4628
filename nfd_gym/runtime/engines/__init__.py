"""How the denoiser is computed here; `make.py` chooses. All engines wrap `world.step.predict`."""
