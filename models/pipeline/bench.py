"""Benchmarks of the offline half: each measures a baseline in the same run and reports the ratio to it."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from models.bundle import current, load_bundle
from models.dataset import Dataset
from models.errors import InputError
from models.multi_interest import MultiInterest
from models.network import Network
from models.pipeline.batches import Batches
from models.pipeline.plain import plain_batch, plain_step
from models.pipeline.recipe import Recipe, make_network_recipe
from models.pipeline.run import load_best, load_run
from models.pipeline.train import train_step
from models.sequences import Rows, Sequences

PLAIN_BATCH = 256  # histories, as in REMI's code and ours
BATCH = 8  # users encoded at once
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


def bench_batches(dataset: Dataset) -> Figures:
    """Histories a second assembled into training batches on one core, against one loop turn per history."""
    users, recipe = dataset.split("train"), make_network_recipe("dmi", 0, ["max_len=50"], dataset)
    batches = Batches(users, recipe)
    vectorised = rate(lambda step: len(batches[step].history))
    looped = rate(lambda step: len(_looped_batch(users, recipe, step)))
    return {"vectorised": vectorised, "python loop": looped, "ratio": vectorised / looped}


def _looped_batch(users: Sequences, recipe: Recipe, step: int) -> Rows:
    rng = np.random.default_rng(step)
    max_len, first = recipe.network.max_len, recipe.training.first_target
    batch = np.zeros((recipe.training.batch_size, max_len), np.int32)
    for line in range(len(batch)):
        history = users[int(rng.integers(len(users)))]
        end = int(rng.integers(first, max(len(history), first + 1)))
        recent = history[max(end - max_len, 0) : end]
        batch[line, max_len - len(recent) :] = recent
    return batch


def bench_encoder(artifacts: Path, run: Path, dataset: Dataset) -> Figures:
    """Users a second encoded on one core by the served ONNX graph, alone and in batches of 8, against torch."""
    torch.set_num_threads(1)
    served, model = load_bundle(current(artifacts)).retriever, load_best(run, load_run(run))
    if not isinstance(served, MultiInterest):
        raise InputError(f"{artifacts} serves no network: there is nothing to encode")
    encoder = served.encoder
    histories = dataset.split("test").recent(served.max_len)
    if len(histories) < BATCH:
        raise InputError(f"{dataset.path} has {len(histories)} test users; the benchmark needs {BATCH}")

    def lines(call: int, size: int) -> Rows:
        first = call * size % (len(histories) - size + 1)
        return histories[first : first + size]

    def network(call: int) -> int:
        with torch.inference_mode():
            model(torch.from_numpy(lines(call, 1).astype(np.int64)))
        return 1

    eager = rate(network)
    alone = rate(lambda call: len(encoder.encode(lines(call, 1))))
    batched = rate(lambda call: len(encoder.encode(lines(call, BATCH))))
    return {"onnx, 1 user": alone, f"onnx, {BATCH} users": batched, "torch, 1 user": eager, "ratio": alone / eager}


def bench_training(dataset: Dataset, model: str) -> Figures:
    """Targets a second trained on one core, against the same network trained plainly (`models/pipeline/plain.py`)."""
    torch.set_num_threads(1)
    recipe = make_network_recipe(model, 0, ["popularity=0"], dataset)
    users, settings = dataset.split("train"), recipe.training
    ours, plain = _untrained(recipe), _untrained(recipe)
    batches, rng = Batches(users, recipe), random.Random(0)  # noqa: S311
    assembling = 0.0

    def step(call: int) -> int:
        nonlocal assembling
        start = time.perf_counter()
        batch = batches[call]
        assembling += time.perf_counter() - start
        train_step(*ours, batch, recipe.seed, call, settings)
        return len(batch.target)

    def reference(_: int) -> int:
        batch = plain_batch(users, recipe, PLAIN_BATCH, rng)
        plain_step(*plain, batch, settings)
        return len(batch[1])

    start = time.perf_counter()
    fast = rate(step)
    share = assembling / (time.perf_counter() - start)
    slow = rate(reference)
    targets = int(np.maximum(users.lengths - settings.first_target, 0).sum())
    return {
        "views batched, loss fused": fast,
        "plain": slow,
        "epoch, seconds": targets / fast,
        "plain epoch, seconds": targets / slow,
        "of a step spent on its batch, percent": 100 * share,
        "ratio": fast / slow,
    }


def _untrained(recipe: Recipe) -> tuple[Network, torch.optim.Optimizer]:
    torch.manual_seed(recipe.seed)
    model = Network(recipe.network)
    return model, torch.optim.AdamW(model.parameters(), recipe.training.learning_rate, fused=True)
