"""Measures worlds. Every number comes with a baseline or a ceiling."""
