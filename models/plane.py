"""The plane on which items and interests are drawn: the two directions in which the items differ most.

A search asks where an interest points, so that lengths would only blur the picture: everything is drawn by its
direction, a vector of length 1.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file

Vectors = NDArray[np.float32]


class Plane(NamedTuple):
    """A principal component analysis, cut off after two components; made when a bundle is built."""

    mean: Vectors  # (D,)  of the directions of all items
    axes: Vectors  # (2, D)  orthonormal
    explained: Vectors  # (2,)  share of the variance along each axis

    @classmethod
    def through(cls, vectors: Vectors) -> Self:
        """The plane nearest to these items (N, D)."""
        directions = _directions(vectors)
        mean = directions.mean(axis=0)
        centred = directions - mean
        variances, axes = np.linalg.eigh(centred.T @ centred / len(centred))  # rising
        first = axes[:, :-3:-1].T  # (2, D)
        # An axis has two ends, and which one comes out is chance: the picture should not turn over with each build.
        first = first * np.sign(first[np.arange(2), np.abs(first).argmax(axis=1)])[:, None]
        explained = variances[:-3:-1] / max(float(variances.sum()), 1e-12)
        return cls(mean, np.ascontiguousarray(first, np.float32), np.asarray(explained, np.float32))

    @classmethod
    def load(cls, path: Path, dim: int) -> Self:
        """Read plane.safetensors; ValueError where it is no plane in a space of `dim` dimensions."""
        tensors = load_file(path)
        shapes = {name: tensor.shape for name, tensor in tensors.items()}
        if shapes != {"mean": (dim,), "axes": (2, dim), "explained": (2,)}:
            raise ValueError(f"{path.name} holds {shapes}, no plane in {dim} dimensions")
        return cls(**tensors)

    def save(self, path: Path) -> None:
        """Write plane.safetensors."""
        save_file(self._asdict(), path)

    def places(self, vectors: Vectors) -> list[tuple[float, float]]:
        """Where vectors (M, D) are drawn."""
        drawn = ((_directions(vectors) - self.mean) @ self.axes.T).astype(np.float64)  # (M, 2)
        return [(x, y) for x, y in drawn.round(4).tolist()]


def _directions(vectors: Vectors) -> Vectors:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-12)
