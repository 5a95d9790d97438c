"""The item index: interests in, the best items by inner product out. Exact for now."""

from __future__ import annotations

from pathlib import Path
from typing import Self

import faiss
import numpy as np
from numpy.typing import NDArray

from models.errors import InputError
from models.merge import Hits
from models.sequences import Rows

# From 20 queries on FAISS switches to BLAS, whose sums differ in the last bits: an answer would then depend on how
# many users were asked about together. One code path for every number of queries instead.
faiss.cvar.distance_compute_blas_threshold = 2**31 - 1


def use_one_core() -> None:
    """Keep FAISS to one core in the calling thread: workers, not searches, share a machine's cores."""
    faiss.omp_set_num_threads(1)


class ItemIndex:
    """Item vectors behind one face: build, save, load, search. Row r of the catalogue is FAISS id r − 1."""

    def __init__(self, index: faiss.Index) -> None:
        self._index = index

    def __len__(self) -> int:
        return int(self._index.ntotal)

    @property
    def dim(self) -> int:
        """Dimensions of an item vector."""
        return int(self._index.d)

    @classmethod
    def build(cls, vectors: NDArray[np.float32]) -> Self:
        """An exact inner-product index over the item vectors (N, D), row 1 first."""
        index = faiss.IndexFlatIP(vectors.shape[1])
        index.add(np.ascontiguousarray(vectors, np.float32))
        return cls(index)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read an index file whose hash has been checked; InputError where FAISS cannot."""
        try:
            # The default limit would let a damaged header ask for a terabyte.
            faiss.set_deserialization_vector_byte_limit(2 * path.stat().st_size)
            return cls(faiss.read_index(str(path)))
        except RuntimeError as error:
            reason = str(error).splitlines()[-1]
            raise InputError(f"{path} is no FAISS index ({reason}); build the bundle again") from None

    def save(self, path: Path) -> None:
        """Write the index file; OSError where the disk does not take it."""
        try:
            faiss.write_index(self._index, str(path))
        except RuntimeError as error:
            raise OSError(str(error).splitlines()[-1]) from error

    def search(self, interests: NDArray[np.float32], count: int, allowed: NDArray[np.bool_] | None = None) -> Hits:
        """The `count` allowed items of highest inner product with each interest. (B, K, D) → (B, K, ≤ count)

        `allowed` (N + 1,) says which rows may be found, padding first; None: all of them.
        """
        batch, num_interests, dim = interests.shape
        queries = np.ascontiguousarray(interests.reshape(-1, dim), np.float32)
        if allowed is None:
            count = min(count, len(self))
            scores, ids = self._index.search(queries, count)  # (B·K, C)
        else:
            count = max(min(count, int(np.count_nonzero(allowed[1:]))), 1)  # FAISS finds at least one thing, or "none"
            selector = faiss.IDSelectorBitmap(np.packbits(allowed[1:], bitorder="little"))  # type: ignore[call-arg,arg-type]
            only = faiss.SearchParameters(sel=selector)  # type: ignore[call-arg]
            scores, ids = self._index.search(queries, count, params=only)
        rows = (ids + 1).astype(np.int32)  # FAISS marks "none" with −1, which becomes padding
        return Hits(rows.reshape(batch, num_interests, count), scores.reshape(batch, num_interests, count))

    def vectors(self, rows: Rows) -> NDArray[np.float32]:
        """The item vectors of these rows, none of them padding. (M,) → (M, D)"""
        return self._index.reconstruct_batch(rows.astype(np.int64) - 1)

    def centroid(self, rows: Rows) -> NDArray[np.float32]:
        """The mean of these items' vectors (at least one), as long as they are on the average. (M,) → (D,)

        A mean is shorter than what it is made of, and inner products would count it for less.
        """
        members = self.vectors(rows)
        mean = members.mean(axis=0)
        return mean * (np.linalg.norm(members, axis=1).mean() / max(float(np.linalg.norm(mean)), 1e-12))
