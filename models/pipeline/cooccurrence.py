"""Item vectors to start from: which items stand near each other in the histories, factorised."""

from __future__ import annotations

import numpy as np
import torch
from scipy import sparse
from torch import Tensor

from models.sequences import Sequences

WINDOW = 10  # events apart, at most; a pair that is l apart counts 1/l (GloVe, Pennington et al., EMNLP 2014)
OVERSAMPLED = 10  # directions sought beyond those wanted, for accuracy (Halko et al., SIAM Review 2011, section 4.2)
LENGTH = 0.8  # of a vector to start from: twice as long or half as long costs Recall (results/notes.md)
SMOOTHING = 0.75  # of how often an item is a neighbour: rare ones count less (Levy et al., TACL 2015, section 3.1)


def cooccurrence_vectors(histories: Sequences, num_items: int, dim: int, seed: int) -> Tensor:
    """Unit vectors of the items: positive pointwise mutual information, factorised by a randomised SVD. (N, dim)

    An item that is near no other has a random direction. Cost and memory grow with the number of events, not with the
    square of a history's length.
    """
    information = _mutual_information(histories, num_items).tocoo()
    where = torch.from_numpy(np.stack(information.coords).astype(np.int64))
    values = torch.from_numpy(information.data.astype(np.float32))
    matrix = torch.sparse_coo_tensor(where, values, information.shape, check_invariants=True).coalesce()
    rank = min(dim, num_items)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        vectors = torch.randn(num_items, dim) * 1e-6  # (N, D)
        directions, strengths, _ = torch.svd_lowrank(matrix, min(rank + OVERSAMPLED, num_items), niter=4)
    vectors[:, :rank] += directions[:, :rank] * strengths[:rank].sqrt()
    return torch.nn.functional.normalize(vectors, dim=1)


def _mutual_information(histories: Sequences, num_items: int) -> sparse.csr_array:
    """max(0, log c_ij / (c_i · p_j)) of items within a window of each other, made symmetric. (N, N)

    c_i counts the neighbours of i, and p_j is how often a neighbour is j.
    """
    counts = _near(histories, num_items).tocoo()  # (N, N)
    total = counts.sum(axis=1)
    share = total**SMOOTHING / max((total**SMOOTHING).sum(), 1e-12)  # nothing is near anything: no division by 0
    information = np.log(counts.data / (total[counts.row] * share[counts.col])).clip(min=0)
    matrix = sparse.csr_array((information, (counts.row, counts.col)), shape=counts.shape)
    matrix = (matrix + matrix.T) / 2
    # An item is as near itself as its nearest neighbour: with nothing on the diagonal two items that have only each
    # other would factorise into opposites as well as into likes.
    return matrix + sparse.diags_array(matrix.max(axis=1).toarray(), format="csr")


def _near(histories: Sequences, num_items: int) -> sparse.csr_array:
    """How often two items stand within WINDOW of each other, 1/l each time they are l apart; 0 on the diagonal."""
    items, user = histories.items - 1, np.repeat(np.arange(len(histories)), histories.lengths)
    counts = sparse.csr_array((num_items, num_items))
    for lag in range(1, WINDOW + 1):
        one, other = items[:-lag], items[lag:]
        pairs = (user[:-lag] == user[lag:]) & (one != other)
        weights = np.full(pairs.sum(), 1 / lag)
        counts += sparse.csr_array((weights, (one[pairs], other[pairs])), shape=counts.shape)
    return counts + counts.T
