"""Measures worlds: fidelity, drift, controllability. Every number comes with a baseline or a ceiling."""
