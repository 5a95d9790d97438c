"""Held-out users → Recall, HitRate, NDCG, diversity and coverage, through the search and the merge that serve."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray

from models.bundle import load_bundle, read_manifest
from models.config import DMIConfig
from models.dataset import Dataset, SplitName
from models.dmi import DMI
from models.encoder import Encoder
from models.errors import InputError
from models.index import ItemIndex
from models.merge import Hits, merge
from models.pipeline.metrics import CUTOFFS, category_diversity, coverage, ranking_metrics
from models.pipeline.run import RUN_FILE, load_best, load_run
from models.sequences import Rows, Sequences, history_length

Metrics = dict[str, float | None]
DEPTH = max(CUTOFFS)
CHUNK = 256  # users encoded and searched at once


class HeldOut(NamedTuple):
    """Users of a split: the first 80 % of each is history, all the rest are targets."""

    histories: Sequences
    targets: Sequences
    user_ids: list[str]


class Recommender(NamedTuple):
    """What is evaluated: left-padded histories (B, L) → interests (B, K, D), and the index they search."""

    encode: Callable[[Rows], NDArray[np.float32]]
    items: ItemIndex
    max_len: int


class Report(NamedTuple):
    """Metrics by the name of what was evaluated; the model itself comes last."""

    split: SplitName
    exclude_seen: bool
    num_users: int
    metrics: dict[str, Metrics]


def held_out(dataset: Dataset, split: SplitName) -> HeldOut:
    """Divide a split's users into histories and targets."""
    start, stop = dataset.bounds(split)  # every user has at least 2 events: prepare sees to it
    users = dataset.sequences.slice(start, stop)
    lengths = history_length(users.lengths)
    positions = np.arange(len(users.items)) - np.repeat(users.offsets[:-1], users.lengths)
    is_history = positions < np.repeat(lengths, users.lengths)
    return HeldOut(
        Sequences(users.items[is_history], np.concatenate([[0], lengths.cumsum()])),
        Sequences(users.items[~is_history], np.concatenate([[0], (users.lengths - lengths).cumsum()])),
        dataset.user_ids[start:stop],
    )


def network_recommender(model: DMI) -> Callable[[int], Recommender]:
    """By number of refinement steps: the torch network with the exact index of its item vectors."""
    index = ItemIndex.build(model.item_vectors())

    @torch.inference_mode()
    def encode(histories: Rows, steps: int) -> NDArray[np.float32]:
        rows = torch.from_numpy(histories.astype(np.int64)).to(model.position.device)
        return model(rows).by_step[:, steps].float().cpu().numpy()

    return lambda steps: Recommender(lambda rows: encode(rows, steps), index, model.config.max_len)


def bundle_recommender(encoder: Encoder, index: ItemIndex) -> Callable[[int], Recommender]:
    """By number of refinement steps: the parts of a bundle, as they serve."""
    max_len = encoder.config.max_len
    return lambda steps: Recommender(lambda rows: encoder.encode(rows)[:, steps], index, max_len)


def recommend(recommender: Recommender, histories: Sequences, exclude_seen: bool) -> Rows:
    """The first 50 candidates of each user, as the service would answer. (U, 50)"""
    answers = np.zeros((len(histories), DEPTH), np.int32)
    for start, users in _chunks(histories):
        interests = recommender.encode(users.recent(recommender.max_len))
        seen = _seen(users) if exclude_seen else None
        hits = recommender.items.search(interests, DEPTH + (0 if seen is None else seen.shape[1]))
        found = merge(hits, DEPTH, seen).rows
        answers[start : start + len(users), : found.shape[1]] = found
    return answers


def recommend_popular(num_items: int, histories: Sequences, exclude_seen: bool) -> Rows:
    """The most popular items for everybody, rows being numbered by popularity. (U, 50)"""
    answers = np.zeros((len(histories), DEPTH), np.int32)
    for start, users in _chunks(histories):
        seen = _seen(users) if exclude_seen else None
        ranked = np.arange(1, min(num_items, DEPTH + (0 if seen is None else seen.shape[1])) + 1, dtype=np.int32)
        rows = np.tile(ranked, (len(users), 1, 1))
        found = merge(Hits(rows, -rows.astype(np.float32)), DEPTH, seen).rows
        answers[start : start + len(users), : found.shape[1]] = found
    return answers


def data_of(path: Path) -> Path:
    """The data set folder that a run or a bundle remembers; InputError for what is neither."""
    return read_manifest(path).data if _is_bundle(path) else load_run(path).data


def evaluate(path: Path, dataset: Dataset, split: SplitName, exclude_seen: bool) -> Report:
    """Evaluate a run (by its network) or a bundle (by its ONNX encoder and its index file)."""
    if _is_bundle(path):
        bundle = load_bundle(path)
        require_catalogue(dataset, bundle.manifest.catalogue)
        recommender = bundle_recommender(bundle.encoder, bundle.index)
        return evaluate_model(bundle.manifest.model, bundle.config, recommender, dataset, split, exclude_seen)
    run = load_run(path)
    require_catalogue(dataset, run.catalogue)
    recommender = network_recommender(load_best(path, run))
    return evaluate_model(run.recipe.model, run.recipe.network, recommender, dataset, split, exclude_seen)


def require_catalogue(dataset: Dataset, catalogue: str) -> None:
    """InputError where a data set numbers its items otherwise than the one that a model was trained on."""
    if dataset.catalogue != catalogue:
        raise InputError(
            f"{dataset.path} was prepared again since: its rows are other items than the model's; "
            "train again, or name the older folder with --data"
        )


def evaluate_model(
    model: str,
    config: DMIConfig,
    recommender: Callable[[int], Recommender],
    dataset: Dataset,
    split: SplitName,
    exclude_seen: bool,
) -> Report:
    """Popularity, the model without refinement, and the model with all its steps."""
    histories = held_out(dataset, split).histories
    answers = {"popular": recommend_popular(config.num_items, histories, exclude_seen)}
    if config.steps:
        answers[f"{model}, steps=0"] = recommend(recommender(0), histories, exclude_seen)
    answers[model] = recommend(recommender(config.steps), histories, exclude_seen)
    return report_answers(answers, dataset, split, exclude_seen)


def report_answers(answers: dict[str, Rows], dataset: Dataset, split: SplitName, exclude_seen: bool) -> Report:
    """Everything measured of named lists of answers (U, 50) for a split's users."""
    targets, categories = held_out(dataset, split).targets, item_categories(dataset)
    metrics: dict[str, Metrics] = {
        name: {
            **ranking_metrics(found, targets),
            "category_diversity@50": category_diversity(found, categories),
            "coverage@50": coverage(found, dataset.info.num_items),
        }
        for name, found in answers.items()
    }
    return Report(split, exclude_seen, len(targets), metrics)


def _is_bundle(path: Path) -> bool:
    return not (path / RUN_FILE).exists()


def item_categories(dataset: Dataset) -> NDArray[np.int64]:
    """Each row's category as a number, −1 where unknown; row 0 is padding. (N + 1,)"""
    category = pl.read_parquet(dataset.path / "items.parquet")["category"]
    numbers = category.cast(pl.Categorical).to_physical().cast(pl.Int64).fill_null(-1)
    return np.concatenate([[-1], numbers.to_numpy()])


def _chunks(histories: Sequences) -> Iterable[tuple[int, Sequences]]:
    for start in range(0, len(histories), CHUNK):
        yield start, histories.slice(start, min(start + CHUNK, len(histories)))


def _seen(users: Sequences) -> Rows:
    return users.recent(int(users.lengths.max()))
