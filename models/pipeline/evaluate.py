"""Held-out users → Recall, HitRate, NDCG, diversity and coverage, through the search and the merge that serve."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.bundle import Manifest, load_bundle, read_manifest
from models.catalogue import Catalogue
from models.dataset import Dataset, SplitName
from models.errors import InputError
from models.multi_interest import MultiInterest
from models.network import Network
from models.pipeline.diagnosis import diagnose
from models.pipeline.metrics import CUTOFFS, category_diversity, coverage, ranking_metrics
from models.pipeline.network_encoder import network_retriever
from models.pipeline.run import RUN_FILE, RunInfo, load_model, load_run
from models.popularity import Popularity
from models.retriever import Retriever
from models.sequences import Rows, Sequences, history_length

Metrics = dict[str, float | None]
DEPTH = max(CUTOFFS)
CHUNK = 256  # users encoded and searched at once


class HeldOut(NamedTuple):
    """Users of a split: the first 80 % of each is history, all the rest are targets."""

    histories: Sequences
    targets: Sequences
    user_ids: list[str]
    noise: Sequences | None  # beside the histories, 1 for a click that is none of the user's interests; None if unknown


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
    first, last = dataset.sequences.offsets[[start, stop]]
    lengths = history_length(users.lengths)
    positions = np.arange(len(users.items)) - np.repeat(users.offsets[:-1], users.lengths)
    is_history = positions < np.repeat(lengths, users.lengths)
    histories = Sequences(users.items[is_history], np.concatenate([[0], lengths.cumsum()]))
    noise = None if dataset.noise is None else dataset.noise[first:last][is_history].astype(np.int32)
    return HeldOut(
        histories,
        Sequences(users.items[~is_history], np.concatenate([[0], (users.lengths - lengths).cumsum()])),
        dataset.user_ids[start:stop],
        None if noise is None else Sequences(noise, histories.offsets),
    )


def recommend(retriever: Retriever, histories: Sequences, exclude_seen: bool, steps: int | None = None) -> Rows:
    """The first 50 candidates of each user, as the service would answer, after `steps` (default: all) steps. (U, 50)"""
    answers = np.zeros((len(histories), DEPTH), np.int32)
    for start in range(0, len(histories), CHUNK):
        users = histories.slice(start, min(start + CHUNK, len(histories)))
        seen = users.recent(int(users.lengths.max()) if exclude_seen else 0)
        asked_steps = retriever.steps if steps is None else steps
        found = retriever.retrieve(users.recent(retriever.max_len), DEPTH, seen, asked_steps).rows
        answers[start : start + len(users), : found.shape[1]] = found
    return answers


def data_of(path: Path) -> Path:
    """The data set folder that a run or a bundle remembers; InputError for what is neither."""
    return read_manifest(path).data if _is_bundle(path) else load_run(path).data


def evaluate(path: Path, dataset: Dataset, split: SplitName, exclude_seen: bool) -> Report:
    """Evaluate a run (a network by torch) or a bundle (by the files that serve)."""
    if _is_bundle(path):
        bundle = load_bundle(path)
        require_data_of(dataset, bundle.manifest)
        return evaluate_model(bundle.manifest.model, bundle.retriever, dataset, split, exclude_seen)
    run = load_run(path)
    require_data_of(dataset, run)
    model = load_model(path, run)
    retriever = network_retriever(model) if isinstance(model, Network) else model
    return evaluate_model(run.recipe.model, retriever, dataset, split, exclude_seen)


def require_catalogue(dataset: Dataset, catalogue: str) -> None:
    """InputError where a data set numbers its items otherwise than the one that a model was trained on."""
    if dataset.catalogue != catalogue:
        raise InputError(
            f"{dataset.path} was prepared again since: its rows are other items than the model's; "
            "train again, or name the older folder with --data"
        )


def require_data_of(dataset: Dataset, made: RunInfo | Manifest) -> None:
    """InputError where a model was trained on another data set: test users of this one may be training users."""
    require_catalogue(dataset, made.catalogue)
    if made.fingerprint not in (None, dataset.fingerprint):
        raise InputError(
            f"{dataset.path} was prepared again since, from other events: its test users may be among those that the "
            "model was trained on; train again, or name the older folder with --data"
        )


def evaluate_model(model: str, retriever: Retriever, dataset: Dataset, split: SplitName, exclude_seen: bool) -> Report:
    """Popularity, the model without refinement, and the model with all its steps and what ails it."""
    users = held_out(dataset, split)
    histories = users.histories
    popular = Popularity.count(dataset.split("train"), dataset.info.num_items)
    answers = {"popular": recommend(popular, histories, exclude_seen)}
    if retriever.steps:
        answers[f"{model}, steps=0"] = recommend(retriever, histories, exclude_seen, steps=0)
    answers[model] = recommend(retriever, histories, exclude_seen)
    report = report_answers(answers, dataset, split, exclude_seen)
    if isinstance(retriever, MultiInterest):
        report.metrics[model] |= diagnose(retriever.encoder.explain, histories, retriever.max_len, users.noise)
    return report


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
    """Each row's category as a number, −1 where unknown; row 0 is padding. (N + 1,)

    Raises InputError where items.parquet is damaged.
    """
    return Catalogue.load(dataset.path / "items.parquet", dataset.item_ids, {}).category_numbers
