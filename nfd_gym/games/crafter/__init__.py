"""Crafter: a 2D survival game with 22 achievements, creatures with chance, night and a map."""
