"""The served half of the network: histories → interests, by ONNX Runtime, without torch."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from models.amendment import Overlay
from models.config import NetworkConfig
from models.errors import InputError
from models.sequences import PADDING, Rows

Vectors = NDArray[np.float32]

# How many columns of padding are left out is a multiple of this, and at least as many columns are left: fewer runs of
# the graph for a batch, and at 64 dimensions and up to 200 events the sums of a history in the order they had with all
# of its padding. With 16 a batch of mixed lengths fell apart into so many runs that small graphs were slower.
STRIDE = 32


class Explained(NamedTuple):
    """Interests and where they come from."""

    interests: Vectors  # (B, S + 1, K, D)  after 0 … S refinement steps
    weights: Vectors  # (B, K, L)  what each item counts in each interest, 0 on padding
    kept: NDArray[np.bool_]  # (B, K, L)  the items that pruning left to each interest


class Encoder:
    """encoder.onnx over a matrix of item vectors.

    The item vectors stay outside the graph: they are a look-up, and the largest thing in a bundle.
    """

    def __init__(self, path: Path, item_vectors: Vectors, config: NetworkConfig) -> None:
        """`item_vectors` (N + 1, D), row 0 being padding. Raises InputError where the file is no such graph."""
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1  # one core a worker: more fight each other
        options.log_severity_level = 3
        try:
            self._session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # ONNX Runtime's errors have no common base
            reason = str(error).splitlines()[0]
            raise InputError(f"{path} is no ONNX model ({reason}); build the bundle again") from None
        length = self._session.get_inputs()[0].shape[1]
        self._takes_any_length = not isinstance(length, int)  # one of before takes max_len columns and no fewer
        self._item_vectors = item_vectors
        self._overlay: Overlay | None = None
        self.config = config

    def encode(self, histories: Rows) -> Vectors:
        """Left-padded item rows (B, L), no line empty → interests after 0 … S steps (B, S + 1, K, D).

        Step 0 are the coarse interests. A line's result does not depend on the other lines, of which there must be some.
        """
        (interests,) = self._run(["interests"], histories)
        return interests

    def explain(self, histories: Rows) -> Explained:
        """The same interests, with each item's weight in them and what pruning kept."""
        return Explained(*self._run(Explained._fields, histories))

    def amended(self, overlay: Overlay) -> Encoder:
        """The same graph over item vectors some of which have changed, or are new."""
        other = copy(self)
        other._overlay = overlay
        return other

    def _run(self, names: Sequence[str], histories: Rows) -> Sequence[NDArray[Any]]:
        """The graph's outputs, the interests first. How much of a line is computed follows from its own length alone."""
        most = histories.shape[1] - STRIDE
        if most < STRIDE or not self._takes_any_length:
            return self._session.run(names, self._inputs(histories))
        padding = (histories != PADDING).argmax(axis=1)  # (B,)  columns
        left_out = padding.clip(max=most) // STRIDE * STRIDE
        parts = []
        for columns in np.unique(left_out):
            interests, *maps = self._session.run(names, self._inputs(histories[left_out == columns, columns:]))
            if columns:
                maps = [np.pad(each, ((0, 0), (0, 0), (columns, 0))) for each in maps]  # (B, K, L)
            parts.append([interests, *maps])
        if len(parts) == 1:
            return parts[0]
        lines = left_out.argsort(kind="stable").argsort()  # where each line stands among the parts
        return [np.concatenate(outputs)[lines] for outputs in zip(*parts, strict=True)]

    def _inputs(self, histories: Rows) -> dict[str, NDArray[Any]]:
        return {"history": self._vectors(histories), "valid": histories != PADDING}

    def _vectors(self, histories: Rows) -> Vectors:
        if self._overlay is None:
            return self._item_vectors[histories]
        return self._overlay.over(histories, self._item_vectors.__getitem__, stand_in=PADDING)
