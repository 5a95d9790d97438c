"""Which version answers whom: the promoted one and, while an experiment runs, a challenger.

ARTIFACTS/experiment.json names the challenger and either the percentage of users that it answers (`split`), or that
it computes every answer without giving it (`shadow`). It is followed like ARTIFACTS/current; without it there is no
experiment.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

from annotated_types import Ge, Le
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from models.bundle import current
from models.changes import Changes
from models.errors import InputError
from service.coverage import Coverage
from service.matcher import Matcher
from service.query import Match

EXPERIMENT = "experiment.json"
PARTS = 10_000  # users fall into this many parts: a percentage may have two decimals


class Split(BaseModel):
    """The challenger answers this percentage of the users."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    version: Annotated[str, Field(pattern=r"^\w[\w.-]*$")]
    split: Annotated[float, Ge(0), Le(100)]


class Shadow(BaseModel):
    """The challenger computes what it would answer; the metrics say how much that differs."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    version: Annotated[str, Field(pattern=r"^\w[\w.-]*$")]
    shadow: Literal[True]


EXPERIMENTS: TypeAdapter[Split | Shadow] = TypeAdapter(Split | Shadow)


class Plan(NamedTuple):
    """What is to be served, by the files of ARTIFACTS."""

    promoted: Path
    experiment: Split | Shadow | None


def read_plan(artifacts: Path) -> Plan:
    """What ARTIFACTS/current and ARTIFACTS/experiment.json say now; InputError where they say nothing sound."""
    promoted = current(artifacts)
    try:
        content = (artifacts / EXPERIMENT).read_bytes()
        experiment = EXPERIMENTS.validate_json(content)
    except FileNotFoundError:
        return Plan(promoted, None)
    except ValidationError:
        raise InputError(
            f'{artifacts / EXPERIMENT} must be {{"version": …, "split": percent}} or {{"version": …, "shadow": true}}'
        ) from None
    return Plan(promoted, experiment)


class Lineup:
    """The loaded versions of a plan. One lineup serves a whole batch, whatever is reloaded meanwhile."""

    def __init__(self, plan: Plan, promoted: Matcher, challenger: Matcher | None = None) -> None:
        self.plan, self.promoted, self.challenger = plan, promoted, challenger
        self._coverage = {
            matcher.version: Coverage(matcher.version, len(matcher.live.base.catalogue)) for matcher in self.matchers
        }

    @property
    def matchers(self) -> list[Matcher]:
        """All versions that are loaded."""
        return [self.promoted] if self.challenger is None else [self.promoted, self.challenger]

    @property
    def shadow(self) -> Matcher | None:
        """The version that computes without answering."""
        return self.challenger if isinstance(self.plan.experiment, Shadow) else None

    @property
    def since(self) -> int:
        """The last change of items that all versions have."""
        return min(matcher.live.sequence for matcher in self.matchers)

    def apply(self, changes: Changes) -> None:
        """Let all versions take over changes of items."""
        for matcher in self.matchers:
            matcher.live.apply(changes)

    def note(self, matches: Iterable[Match]) -> None:
        """Count what was answered into the coverage of each version."""
        for match in matches:
            self._coverage[match.version].add(match.item_ids)

    def of(self, user_id: str | None) -> Matcher:
        """The version that answers a user, always the same one; sessions without a user are the promoted one's."""
        experiment = self.plan.experiment
        if user_id is None or self.challenger is None or not isinstance(experiment, Split):
            return self.promoted
        # The version is part of it: the users of the next experiment are others than those of this one.
        digest = hashlib.blake2b(f"{experiment.version}\0{user_id}".encode(), digest_size=8).digest()
        part = int.from_bytes(digest) % PARTS
        return self.challenger if part < experiment.split * PARTS / 100 else self.promoted
