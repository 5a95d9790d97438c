"""Every setting of the service, read once from `DMI_…` environment variables."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Literal

from annotated_types import Ge, Gt, Le
from pydantic import AfterValidator, BeforeValidator, Field, SecretStr
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

MAX_WEIGHT = 10
Weight = Annotated[int, Ge(-1), Le(MAX_WEIGHT)]


def _weights(value: object) -> object:
    """`view=1,dislike=-1` as a mapping; what is no such text is left for the field's own check."""
    if not isinstance(value, str):
        return value
    pairs = [pair.partition("=") for pair in value.split(",") if pair.strip()]
    return {kind.strip(): weight.strip() for kind, _, weight in pairs}


def _keys(value: object) -> object:
    if not isinstance(value, str):
        return value
    keys = [key.strip() for key in value.split(",") if key.strip()]
    if not keys:
        raise ValueError("it is set, and names no key; unset it to let everybody in")
    return keys


def _lower(value: object) -> object:
    return value.lower() if isinstance(value, str) else value


def _installed(wanted: bool) -> bool:
    if wanted and not (find_spec("opentelemetry.sdk") and find_spec("opentelemetry.exporter")):
        raise ValueError("traces need more packages: pip install -c constraints.txt -e '.[otel]'")
    return wanted


class Settings(BaseSettings):
    """One field, one variable: `artifacts` is DMI_ARTIFACTS."""

    model_config = SettingsConfigDict(env_prefix="DMI_", env_ignore_empty=True, frozen=True)

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
    event_weights: Annotated[dict[str, Weight], NoDecode, BeforeValidator(_weights)] = Field(
        {"view": 1, "cart": 2, "purchase": 3, "impression": 0, "dislike": -1},
        description="what each kind of event counts: 1 to 10 times in the history that the model reads; 0: only as "
        "seen; -1: the item is never returned. An event without a kind counts 1",
    )
    max_batch: Annotated[int, Ge(1), Le(1024)] = Field(16, description="concurrent requests computed together, at most")
    max_inflight: Annotated[int, Ge(1)] = Field(
        256, description="requests in a worker at one time; more are refused with 429"
    )
    max_body: Annotated[int, Ge(1024)] = Field(1 << 20, description="bytes of a request body; larger ones get 413")
    body_timeout: Annotated[float, Gt(0), Le(3600)] = Field(
        10.0, description="seconds until a request body must be whole; later ones get 408"
    )
    keep_alive: Annotated[int, Ge(1), Le(86_400)] = Field(
        75,
        description="seconds until an idle connection is closed; more than the balancer's, or that sends on a closed one",
    )
    reload_interval: Annotated[float, Gt(0)] = Field(1.0, description="seconds between looks at `current`")
    fallback: str | None = Field(
        None,
        description="version to start with where the promoted one is damaged; a worker that is replaced later has the "
        "one that the service started with",
    )
    admin_token: SecretStr | None = Field(
        None, description="bearer token of the admin and item routes; unset turns them off"
    )
    explorer: bool = Field(True, description="serve the explorer page at / and what it asks for; it lists user ids")
    api_keys: Annotated[tuple[SecretStr, ...], NoDecode, BeforeValidator(_keys)] = Field(
        (),
        description="comma-separated bearer tokens, one of which all but /livez, /readyz, /metrics and the explorer page "
        "then need; items and admin want the admin token",
    )
    log_format: Literal["json", "console"] | None = Field(
        None, description="lines of the log; unset: for people on a terminal, JSON elsewhere"
    )
    log_level: Annotated[Literal["debug", "info", "warning", "error"], BeforeValidator(_lower)] = Field(
        "info", description="what is logged, from this level on"
    )
    slow_request: Annotated[float, Ge(0)] = Field(
        0.25, description="seconds after which a request is logged with its stage times; 0: never"
    )
    access_log: Annotated[float, Ge(0), Le(1)] = Field(0.0, description="share of all requests that are logged, 0 to 1")
    otel: Annotated[bool, AfterValidator(_installed)] = Field(
        False, description="send traces by OTLP, as the standard OTEL_ variables say; needs the extra `otel`"
    )
