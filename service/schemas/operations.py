"""Bodies for the operator."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class Health(BaseModel):
    """That the service runs and, of readiness, whether Redis is reachable: without it answers are degraded."""

    status: str = Field(examples=["ready"])
    redis: str | None = Field(None, examples=["reachable"])


class Reloaded(BaseModel):
    """The promoted version, and whether anything else is served than before."""

    version: str = Field(examples=["20261124-054020-84f27809"])
    reloaded: bool


class Version(BaseModel):
    """What is running."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "service": "0.1.0",
                    "version": "20261124-054020-84f27809",
                    "model": "dmi",
                    "steps": 4,
                    "num_interests": 4,
                    "num_items": 1152,
                    "data_cutoff": 1775001428.0,
                    "git_revision": "112b1aea1a16b562533e1740fb8cb5a23f2217e0",
                    "experiment": {"version": "20261125-061000-1f3b5c7d", "split": 10},
                }
            ]
        }
    )

    service: str
    version: str
    model: str
    steps: int
    num_interests: int
    num_items: int = Field(description="with new items; deleted ones count, too")
    data_cutoff: float
    git_revision: str | None
    experiment: dict[str, str | float | bool] | None = Field(description="as ARTIFACTS/experiment.json has it")
