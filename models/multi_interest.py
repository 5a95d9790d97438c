"""The network's way to candidates: interests, an exact search with each of them, one merged list."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol, Self

import numpy as np
from numpy.typing import NDArray
from safetensors import safe_open

from models.amendment import AmendedIndex, Overlay
from models.config import NetworkConfig
from models.encoder import Encoder, Explained, Vectors
from models.errors import InputError
from models.index import ItemIndex
from models.merge import Hits
from models.retriever import Allowed, Encoded, Retriever, Source
from models.sequences import Rows

ITEM_VECTORS = "item_embedding.weight"


class InterestEncoder(Protocol):
    """The served ONNX graph, or the torch network in its place."""

    @property
    def config(self) -> NetworkConfig:
        """What the network is."""

    def encode(self, histories: Rows) -> Vectors:
        """Item rows (B, L) → interests after 0 … S steps (B, S + 1, K, D)."""

    def explain(self, histories: Rows) -> Explained:
        """The same interests, with each item's weight in them and what pruning kept."""


class MultiInterest(Retriever):
    """An encoder of histories and an index of item vectors; a candidate's interest is the one that found it."""

    source: Source = "dmi"

    def __init__(self, encoder: InterestEncoder, index: ItemIndex) -> None:
        self.encoder, self.index = encoder, index
        self.max_len, self.steps = encoder.config.max_len, encoder.config.steps

    @classmethod
    def load(cls, weights: Path, graph: Path, index_file: Path, config: NetworkConfig) -> Self:
        """Read a bundle's three files; InputError, naming the file, where one is not of this config."""
        with safe_open(weights, "numpy") as reader:
            item_vectors: NDArray[np.float32] = reader.get_tensor(ITEM_VECTORS)
        if item_vectors.shape != (config.num_items + 1, config.dim):
            raise InputError(
                f"{weights} is of another config: item vectors {item_vectors.shape}, "
                f"where config.json says ({config.num_items + 1}, {config.dim})"
            )
        index = ItemIndex.load(index_file)
        if (len(index), index.dim) != (config.num_items, config.dim):
            raise InputError(
                f"{index_file} holds {len(index)} items of {index.dim} dimensions, "
                f"where config.json says {config.num_items} of {config.dim}"
            )
        return cls(Encoder(graph, item_vectors, config), index)

    def amended(self, overlay: Overlay) -> MultiInterest:
        """The same model over changed and new item vectors; what is offline has none of these."""
        if not isinstance(self.encoder, Encoder):
            raise TypeError("only a bundle's encoder can be amended")
        return MultiInterest(self.encoder.amended(overlay), AmendedIndex(self.index, overlay))

    def encode(self, histories: Rows, steps: int | Sequence[int], explain: bool = False) -> Encoded:
        """See `Retriever.encode`; the queries are the interests after the steps asked for."""
        explained = self.encoder.explain(histories) if explain else None
        by_step = explained.interests if explained else self.encoder.encode(histories)  # (B, S + 1, K, D)
        served = by_step[np.arange(len(histories)), steps]  # (B, K, D)
        shift = _shift(by_step[:, 0], served)
        if explained is None:
            return Encoded(served, shift)
        return Encoded(served, shift, explained.weights, explained.kept, by_step)

    def search(self, queries: Vectors, count: int, allowed: Allowed = None) -> Hits:
        """See `Retriever.search`."""
        return self.index.search(queries, count, allowed)


def _shift(coarse: Vectors, served: Vectors) -> Vectors:
    """1 − cos(coarse, served). (B, K, D) twice → (B, K)"""
    norms = np.linalg.norm(coarse, axis=-1) * np.linalg.norm(served, axis=-1)  # (B, K)
    cosine = (coarse * served).sum(axis=-1) / np.maximum(norms, 1e-12)
    return 1 - cosine
