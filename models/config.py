"""What a DMI network is: sizes, refinement, noise, pruning. Known offline and online, without torch."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from annotated_types import Ge, Gt, Le, Lt
from pydantic import BaseModel, ConfigDict, model_validator

ScheduleName = Literal["linear", "cosine"]
SamplerName = Literal["ddim", "posterior"]


class DMIConfig(BaseModel):
    """What the network is; saved as config.json with the weights. Unknown fields are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    num_items: Annotated[int, Ge(1)]
    dim: Annotated[int, Ge(4), Le(1024)] = 64
    max_len: Annotated[int, Ge(1), Le(1000)] = 50
    num_interests: Annotated[int, Ge(1), Le(64)] = 4
    dropout: Annotated[float, Ge(0), Lt(1)] = 0.2
    # Refinement: 0 steps is exactly ComiRec-SA.
    steps: Annotated[int, Ge(0), Le(64)] = 4
    eta: Annotated[float, Ge(0), Le(1)] = 0.5
    num_heads: Annotated[int, Ge(1), Le(64)] = 2
    # Controllable noise: how strong (schedule, start of T timesteps, scale) and how it is removed.
    schedule: ScheduleName = "linear"
    num_timesteps: Annotated[int, Ge(1), Le(10_000)] = 32
    start: Annotated[int, Ge(1), Le(10_000)] = 8
    noise_scale: Annotated[float, Ge(0), Le(10)] = 0.1
    sampler: SamplerName = "ddim"
    # Item pruning: an interest keeps its top fraction of the history, and of that the top mass of its attention.
    keep_fraction: Annotated[float, Gt(0), Le(1)] = 0.5
    keep_mass: Annotated[float, Gt(0), Le(1)] = 1.0

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.dim % (2 * self.num_heads):
            raise ValueError(f"dim {self.dim} must be a multiple of 2 · num_heads ({2 * self.num_heads})")
        if self.start > self.num_timesteps:
            raise ValueError(f"start {self.start} lies beyond num_timesteps {self.num_timesteps}")
        if self.steps > self.start:
            raise ValueError(f"steps {self.steps} needs a start of at least as many timesteps, not {self.start}")
        return self
