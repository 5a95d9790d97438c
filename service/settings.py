"""Every setting of the service, read once from `DMI_…` environment variables."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from annotated_types import Ge, Gt, Le
from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """One field, one variable: `artifacts` is DMI_ARTIFACTS."""

    model_config = SettingsConfigDict(env_prefix="DMI_", frozen=True)

    artifacts: Path = Field(Path("artifacts"), description="folder of bundles; its file `current` names the served one")
    redis: str = Field("redis://localhost:6379/0", description="URL of the Redis that holds the histories")
    redis_timeout: Annotated[float, Gt(0), Le(60)] = Field(
        0.25, description="seconds to wait for Redis before answering with popular items"
    )
    history_limit: Annotated[int, Ge(1), Le(100_000)] = Field(
        4096, description="events kept for a user, and how far back `exclude_seen` looks"
    )
    history_ttl: Annotated[int, Ge(1)] = Field(
        90 * 86_400, description="seconds after the last event until a user is forgotten"
    )
    max_batch: Annotated[int, Ge(1), Le(1024)] = Field(16, description="concurrent requests computed together, at most")
    max_inflight: Annotated[int, Ge(1)] = Field(
        256, description="requests in a worker at one time; more are refused with 429"
    )
    max_body: Annotated[int, Ge(1024)] = Field(1 << 20, description="bytes of a request body; larger ones get 413")
    reload_interval: Annotated[float, Gt(0)] = Field(1.0, description="seconds between looks at `current`")
    fallback: str | None = Field(
        None, description="version to start with where the promoted one is damaged; set by `dmi serve`"
    )
    admin_token: SecretStr | None = Field(None, description="bearer token of the admin routes; unset turns them off")
