"""Bodies for the operator."""

from __future__ import annotations

from pydantic import BaseModel


class Version(BaseModel):
    """What is running."""

    service: str
    version: str
    model: str
    steps: int
    num_interests: int
    num_items: int
    data_cutoff: float
    git_revision: str | None
