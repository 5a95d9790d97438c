"""Benchmarks of the offline half: each measures a baseline in the same run and reports the ratio to it."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from torch.profiler import ProfilerActivity, profile

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
from models.sequences import PADDING, Rows, Sequences

PLAIN_BATCH = 256  # histories, as in REMI's code and ours
BATCH = 8  # users encoded at once
BRIEF = 16  # events of a short history
SECONDS = 2.0  # per measurement
PROFILED = 20  # steps
Figures = dict[str, float]


def rate(work: Callable[[int], int], finish: Callable[[], None] = lambda: None) -> float:
    """Units a second of `work`, called with 0, 1, 2 … for a while; the first call warms up and does not count.

    `finish` waits for what `work` has only begun.
    """
    work(0)
    finish()
    start, calls, units = time.perf_counter(), 0, 0
    while time.perf_counter() - start < SECONDS:
        calls += 1
        units += work(calls)
    finish()
    return units / (time.perf_counter() - start)


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
    """Users a second encoded on one core by the served ONNX graph, alone and in batches of 8, against torch.

    Then batches of 8 users with their newest 16 events each.
    """
    torch.set_num_threads(1)
    served, model = load_bundle(current(artifacts)).retriever, load_best(run, load_run(run))
    if not isinstance(served, MultiInterest):
        raise InputError(f"{artifacts} serves no network: there is nothing to encode")
    encoder = served.encoder
    histories = dataset.split("test").recent(served.max_len)
    short = histories.copy()
    short[:, :-BRIEF] = PADDING
    if len(histories) < BATCH:
        raise InputError(f"{dataset.path} has {len(histories)} test users; the benchmark needs {BATCH}")

    def lines(call: int, size: int, users: Rows = histories) -> Rows:
        first = call * size % (len(users) - size + 1)
        return users[first : first + size]

    def network(call: int) -> int:
        with torch.inference_mode():
            model(torch.from_numpy(lines(call, 1).astype(np.int64)))
        return 1

    eager = rate(network)
    alone = rate(lambda call: len(encoder.encode(lines(call, 1))))
    batched = rate(lambda call: len(encoder.encode(lines(call, BATCH))))
    brief = rate(lambda call: len(encoder.encode(lines(call, BATCH, short))))
    return {
        "onnx, 1 user": alone,
        f"onnx, {BATCH} users": batched,
        f"onnx, {BATCH} users of {BRIEF} events": brief,
        "torch, 1 user": eager,
        "ratio": alone / eager,
    }


def bench_training(dataset: Dataset, model: str, assignments: Sequence[str], device: torch.device) -> Figures:
    """Targets a second trained on one core or a GPU, against the same network trained plainly there.

    `models/pipeline/plain.py` has 256 histories a step whatever `assignments` say, and negatives drawn uniformly, as
    ours have here.
    """
    torch.set_num_threads(1)
    recipe = make_network_recipe(model, 0, [*assignments, "popularity=0"], dataset)
    users, settings = dataset.split("train"), recipe.training
    ours, plain = _untrained(recipe, device), _untrained(recipe, device)
    finish = torch.cuda.synchronize if device.type == "cuda" else lambda: None
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
        history, target, negatives = (part.to(device) for part in plain_batch(users, recipe, PLAIN_BATCH, rng))
        plain_step(*plain, (history, target, negatives), settings)
        return len(target)

    start = time.perf_counter()
    fast = rate(step, finish)
    share = assembling / (time.perf_counter() - start)
    slow = rate(reference, finish)
    targets = int(np.maximum(users.lengths - settings.first_target, 0).sum())
    return {
        "views batched, loss fused": fast,
        "plain": slow,
        "epoch, seconds": targets / fast,
        "plain epoch, seconds": targets / slow,
        "of a step spent on its batch, percent": 100 * share,
        **({"GPU busy, percent": 100 * _gpu_busy(step, finish)} if device.type == "cuda" else {}),
        "ratio": fast / slow,
    }


def _gpu_busy(step: Callable[[int], int], finish: Callable[[], None]) -> float:
    """The share of a few steps' time in which the GPU runs a kernel or a copy."""
    start = time.perf_counter()
    for call in range(PROFILED):
        step(call)
    finish()
    elapsed = time.perf_counter() - start
    with profile(activities=[ProfilerActivity.CUDA]) as watched:  # which slows the steps: their time is that of before
        for call in range(PROFILED):
            step(call)
        finish()
    return sum(event.self_device_time_total for event in watched.events()) / 1e6 / elapsed


def _untrained(recipe: Recipe, device: torch.device) -> tuple[Network, torch.optim.Optimizer]:
    torch.manual_seed(recipe.seed)
    model = Network(recipe.network).to(device)
    return model, torch.optim.AdamW(model.parameters(), recipe.training.learning_rate, fused=True)
