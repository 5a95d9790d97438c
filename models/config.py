"""What a model is, offline and online, without torch: a network (sizes, encoder, extraction, refinement), or counts."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, Self

from annotated_types import Ge, Gt, Le, Lt
from pydantic import BaseModel, ConfigDict, model_validator

EncoderName = Literal["none", "gru", "transformer"]
ExtractorName = Literal["self-attention", "dynamic-routing", "b2i-routing", "newest", "contextual"]
ScheduleName = Literal["linear", "cosine"]
SamplerName = Literal["ddim", "posterior"]
RelevanceName = Literal["attention", "similarity"]
RetrieverName = Literal["multi-interest", "neighbours", "popular"]


class NetworkConfig(BaseModel):
    """What the network is; saved as config.json with the weights. Unknown fields are refused.

    A network is an encoder (what a position knows of the others), an extractor (K interests out of the positions)
    and a number of refinement steps; `models/pipeline/presets.py` lists the models made of them.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    retriever: ClassVar[RetrieverName] = "multi-interest"

    num_items: Annotated[int, Ge(1)]
    dim: Annotated[int, Ge(4), Le(1024)] = 64
    max_len: Annotated[int, Ge(1), Le(1000)] = 50
    dropout: Annotated[float, Ge(0), Lt(1)] = 0.2
    # Of a dimension of an item vector drawn at random, which has to be unlearned.
    embedding_std: Annotated[float, Gt(0), Le(1)] = 0.02
    encoder: EncoderName = "none"
    num_blocks: Annotated[int, Ge(1), Le(16)] = 1
    num_heads: Annotated[int, Ge(1), Le(64)] = 2
    extractor: ExtractorName = "self-attention"
    num_interests: Annotated[int, Ge(1), Le(64)] = 4
    # Refinement: 0 steps are the interests as extracted.
    steps: Annotated[int, Ge(0), Le(64)] = 4
    eta: Annotated[float, Ge(0), Le(1)] = 0.5
    # Controllable noise: how strong (schedule, start of T timesteps, scale) and how it is removed.
    schedule: ScheduleName = "linear"
    num_timesteps: Annotated[int, Ge(1), Le(10_000)] = 32
    start: Annotated[int, Ge(1), Le(10_000)] = 8
    noise_scale: Annotated[float, Ge(0), Le(10)] = 0.1
    sampler: SamplerName = "ddim"
    # Item pruning: an interest keeps its top fraction of the history, and of that the top mass, by the weight of each
    # item in it (DMI) or by the softmax of v_0 · item.
    prune_by: RelevanceName = "attention"
    keep_fraction: Annotated[float, Gt(0), Le(1)] = 0.5
    keep_mass: Annotated[float, Gt(0), Le(1)] = 1.0

    @property
    def is_causal(self) -> bool:
        """Whether one pass over a history gives the interests at each of its positions."""
        return self.encoder != "none"

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.dim % (2 * self.num_heads):
            raise ValueError(f"dim {self.dim} must be a multiple of 2 · num_heads ({2 * self.num_heads})")
        if self.start > self.num_timesteps:
            raise ValueError(f"start {self.start} lies beyond num_timesteps {self.num_timesteps}")
        if self.steps > self.start:
            raise ValueError(f"steps {self.steps} needs a start of at least as many timesteps, not {self.start}")
        if self.extractor == "newest" and self.num_interests != 1:
            raise ValueError(f"extractor newest makes 1 interest, not num_interests {self.num_interests}")
        if self.is_causal and self.extractor not in ("newest", "contextual"):
            raise ValueError(f"extractor {self.extractor} reads items, not states: encoder must be none")
        return self


class NeighboursConfig(BaseModel):
    """Item-based nearest neighbours: similar(i, j) = c_ij / (√(c_i·c_j) + shrinkage) by the users who have both.

    An item scores Σ decay^lag · similar(i, item) over the last `max_len` items i of a history, the newest having lag 0.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    retriever: ClassVar[RetrieverName] = "neighbours"
    steps: ClassVar[int] = 0
    num_interests: ClassVar[int] = 1

    num_items: Annotated[int, Ge(1)]
    max_len: Annotated[int, Ge(1), Le(1000)] = 50
    neighbours: Annotated[int, Ge(1), Le(2000)] = 200  # kept of each item, the most similar
    shrinkage: Annotated[float, Ge(0), Le(1e6)] = 30.0  # pulls similarities that rest on few users towards 0
    decay: Annotated[float, Gt(0), Le(1)] = 0.8  # 1 counts old items like new ones


class PopularConfig(BaseModel):
    """The most popular items for everybody."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    retriever: ClassVar[RetrieverName] = "popular"
    steps: ClassVar[int] = 0
    num_interests: ClassVar[int] = 0

    num_items: Annotated[int, Ge(1)]


Config = NetworkConfig | NeighboursConfig | PopularConfig
CONFIGS: dict[RetrieverName, type[Config]] = {
    config.retriever: config for config in (NetworkConfig, NeighboursConfig, PopularConfig)
}
