"""The shared nouns: everything that must be the same, byte for byte, offline and online."""

import os

# OpenMP's threads (torch, FAISS) spin while they wait for each other, for milliseconds: where other work shares the cores
# they take the time of those they wait for, and training takes ten times as long. So many turns are some microseconds,
# long enough between two operations; then they sleep. libgomp reads it when torch loads.
os.environ.setdefault("GOMP_SPINCOUNT", "10000")
