"""The torch network in the place of a bundle's encoder: for evaluation before anything is exported."""

from __future__ import annotations

import numpy as np
import torch

from models.encoder import Explained, Vectors
from models.index import ItemIndex
from models.multi_interest import MultiInterest
from models.network import Network
from models.sequences import Rows


class NetworkEncoder:
    """What `Encoder` does, by torch; the network should be in evaluation mode."""

    def __init__(self, model: Network) -> None:
        self.config, self._model = model.config, model

    def encode(self, histories: Rows) -> Vectors:
        """See `Encoder.encode`."""
        return self.explain(histories).interests

    @torch.inference_mode()
    def explain(self, histories: Rows) -> Explained:
        """See `Encoder.explain`."""
        rows = torch.from_numpy(histories.astype(np.int64)).to(self._model.item_embedding.weight.device)
        interests = self._model(rows)
        parts = (interests.by_step, interests.weights, interests.kept)
        return Explained(*(part.cpu().numpy() for part in parts))


def network_retriever(model: Network) -> MultiInterest:
    """The torch network with the exact index of its item vectors."""
    return MultiInterest(NetworkEncoder(model), ItemIndex.build(model.item_vectors()))
