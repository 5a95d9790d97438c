"""Models that are counted and not trained: the most popular items, and item-based nearest neighbours."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file
from scipy import sparse

from models.config import NeighboursConfig, PopularConfig
from models.dataset import Dataset
from models.errors import InputError
from models.neighbours import Neighbours
from models.popularity import Popularity
from models.sequences import Sequences

Counted = Neighbours | Popularity
BLOCK = 2048  # items whose counts with all others are in memory at once


def count(dataset: Dataset, config: NeighboursConfig | PopularConfig) -> Counted:
    """Popularity or neighbours, by the training users."""
    users = dataset.split("train")
    if isinstance(config, PopularConfig):
        return Popularity.count(users, config.num_items)
    return fit_neighbours(users, config)


def fit_neighbours(histories: Sequences, config: NeighboursConfig) -> Neighbours:
    """The items most similar to each by their users (Sarwar et al., WWW 2001), shrunk; repeats count once."""
    shape = (config.num_items + 1, config.neighbours)
    rows, similarities = np.zeros(shape, np.int32), np.zeros(shape, np.float32)
    has = _incidence(histories, config.num_items)  # (U, N + 1)
    of_item = has.T.tocsr()
    users = np.diff(of_item.indptr).astype(np.float64)  # (N + 1,)
    for start in range(0, len(rows), BLOCK):
        both = (of_item[start : start + BLOCK] @ has).tocoo()  # (BLOCK, N + 1)
        item, other = both.row + start, both.col
        similar = both.data / (np.sqrt(users[item] * users[other]) + config.shrinkage)
        order = np.lexsort((other, -similar, item))  # by item, the most similar first, then the more popular
        order = order[item[order] != other[order]]
        item, other, similar = item[order], other[order], similar[order]
        rank = np.arange(len(item)) - np.searchsorted(item, item)
        kept = rank < config.neighbours
        rows[item[kept], rank[kept]] = other[kept]
        similarities[item[kept], rank[kept]] = similar[kept]
    return Neighbours(rows, similarities, config)


def _incidence(histories: Sequences, num_items: int) -> sparse.csr_array:
    """1 where a user has an item. (U, N + 1)"""
    users = np.repeat(np.arange(len(histories)), histories.lengths)
    pairs: NDArray[np.int64] = np.unique(users * (num_items + 1) + histories.items)
    ones = np.ones(len(pairs), np.int32)
    return sparse.csr_array((ones, np.divmod(pairs, num_items + 1)), shape=(len(histories), num_items + 1))


def save_counted(path: Path, model: Counted) -> None:
    """Write a run's weights.safetensors."""
    if isinstance(model, Neighbours):
        model.save(path)
    else:
        save_file({name: np.ascontiguousarray(model.ranking[name]) for name in ("row", "events")}, path)


def load_counted(path: Path, config: NeighboursConfig | PopularConfig) -> Counted:
    """Read a run's weights.safetensors; SafetensorError or InputError where it is damaged or of another config."""
    if isinstance(config, NeighboursConfig):
        return Neighbours.load(path, config)
    tensors = load_file(path)
    row, events = (tensors.get(name, np.empty(0, np.int64)) for name in ("row", "events"))
    if len(row) != len(events) or not len(row) or row.min() < 1 or row.max() > config.num_items:
        raise InputError(f"{path} is damaged or of another config; train again")
    return Popularity.ranked(row, events)
