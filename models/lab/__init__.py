"""Experiments: a grid of runs, its rows on disk, and the report made of them."""
