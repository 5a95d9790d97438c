"""The shared nouns: everything that must be the same, byte for byte, offline and online."""

import os

# OpenMP's threads (torch, FAISS) spin while they wait for each other, and where other work shares the cores that takes
# most of them: beside another training the demo's takes six times as long. Read when torch loads.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
