"""Bodies for the operator."""

from __future__ import annotations

from pydantic import BaseModel, Field


class Version(BaseModel):
    """What is running."""

    service: str
    version: str
    model: str
    steps: int
    num_interests: int
    num_items: int = Field(description="with new items; deleted ones count, too")
    data_cutoff: float
    git_revision: str | None
    experiment: dict[str, str | float | bool] | None = Field(description="as ARTIFACTS/experiment.json has it")
