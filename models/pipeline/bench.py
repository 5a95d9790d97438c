"""Benchmarks of the offline half: each measures a baseline in the same run and reports the ratio to it."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from models.bundle import current, load_bundle
from models.dataset import Dataset
from models.pipeline.batches import FIRST_TARGET, Batches
from models.pipeline.run import load_best, load_run
from models.sequences import Rows, Sequences

SECONDS = 2.0  # per measurement
Figures = dict[str, float]


def rate(work: Callable[[int], int]) -> float:
    """Units a second of `work`, called with 0, 1, 2 … for a while; the first call warms up and does not count."""
    work(0)
    start, calls, units = time.perf_counter(), 0, 0
    while (elapsed := time.perf_counter() - start) < SECONDS:
        calls += 1
        units += work(calls)
    return units / elapsed


def bench_batches(dataset: Dataset, size: int = 256, max_len: int = 50) -> Figures:
    """Histories a second assembled into training batches on one core, against one loop turn per history."""
    users = dataset.split("train")
    batches = Batches(users, dataset.info.num_items, max_len, size, 1280, seed=0)
    vectorised = rate(lambda step: len(batches[step].history))
    looped = rate(lambda step: len(_looped_batch(users, size, max_len, step)))
    return {"vectorised": vectorised, "python loop": looped, "ratio": vectorised / looped}


def _looped_batch(users: Sequences, size: int, max_len: int, step: int) -> Rows:
    rng = np.random.default_rng(step)
    batch = np.zeros((size, max_len), np.int32)
    for line in range(size):
        history = users[int(rng.integers(len(users)))]
        end = int(rng.integers(FIRST_TARGET, max(len(history), FIRST_TARGET + 1)))
        recent = history[max(end - max_len, 0) : end]
        batch[line, max_len - len(recent) :] = recent
    return batch


def bench_encoder(artifacts: Path, run: Path, dataset: Dataset) -> Figures:
    """Users a second encoded on one core by the served ONNX graph, alone and in batches of 8, against torch."""
    torch.set_num_threads(1)
    bundle, model = load_bundle(current(artifacts)), load_best(run, load_run(run))
    histories = dataset.split("test").recent(bundle.config.max_len)

    def lines(call: int, size: int) -> Rows:
        first = call * size % (len(histories) - size)
        return histories[first : first + size]

    def network(call: int) -> int:
        with torch.inference_mode():
            model(torch.from_numpy(lines(call, 1).astype(np.int64)))
        return 1

    eager = rate(network)
    alone = rate(lambda call: len(bundle.encoder.encode(lines(call, 1))))
    batched = rate(lambda call: len(bundle.encoder.encode(lines(call, 8))))
    return {"onnx, 1 user": alone, "onnx, 8 users": batched, "torch, 1 user": eager, "ratio": alone / eager}
