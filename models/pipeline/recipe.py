"""What to train: the named models and the values given with `--set`."""

from __future__ import annotations

from collections.abc import Sequence, Set
from typing import Annotated, Literal

import numpy as np
from annotated_types import Ge, Gt, Le, Lt
from pydantic import BaseModel, ConfigDict, ValidationError

from models.config import NeighboursConfig, NetworkConfig, PopularConfig
from models.dataset import Dataset
from models.errors import InputError
from models.pipeline.presets import COUNTED, Settings, kind_of, preset


class TrainConfig(BaseModel):
    """How a network is trained. Unknown fields are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    batch_size: Annotated[int, Ge(1), Le(65_536)] = 256  # users
    first_target: Annotated[int, Ge(1)] = 4  # events before the earliest target, as in ComiRec's and REMI's code
    # A target is drawn among so many next events: 1 predicts the next, more what is to come (PinnerFormer, arXiv 2205.04507).
    horizon: Annotated[int, Ge(1), Le(1000)] = 1
    # What item vectors start from: noise, or which items stand near each other in the histories.
    item_vectors: Literal["random", "cooccurrence"] = "random"
    num_negatives: Annotated[int, Ge(1), Le(1_000_000)] = 2048
    popularity: Annotated[float, Ge(0), Le(1)] = 0.0  # negatives are drawn by count^popularity, with logQ correction
    learning_rate: Annotated[float, Gt(0), Le(1)] = 2e-3
    # The weights kept are an exponential moving average of the steps' with this decay; 0: those of the last step.
    average: Annotated[float, Ge(0), Lt(1)] = 0.995
    weight_decay: Annotated[float, Ge(0), Le(10)] = 0.0
    max_steps: Annotated[int, Ge(1)] = 20_000
    eval_every: Annotated[int, Ge(1)] = 500
    patience: Annotated[int, Ge(1)] = 8
    # Which interest scores a negative: the one nearest the target (ComiRec), or the negative's own best, as in serving.
    contrast: Literal["nearest", "best"] = "nearest"
    # REMI's additions; 0 turns them off.
    hardness: Annotated[float, Ge(0), Le(100)] = 0.0
    routing: Annotated[float, Ge(0)] = 0.0
    # Weight of the same loss on the interests before refinement: keeps steps=0 a usable fallback.
    coarse: Annotated[float, Ge(0)] = 1.0
    # Weight of ‖refined − sg(v_0)‖²; the loss drawn in DMI's figure has no such term.
    reconstruction: Annotated[float, Ge(0)] = 0.0
    # Weight of 1 − cos(target, the interest nearest it): draws interests to the middle of what they stand for.
    alignment: Annotated[float, Ge(0)] = 0.0


class Recipe(BaseModel):
    """A model by name, its network, its training and the seed: all that decides the weights but the data."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: str
    seed: Annotated[int, Ge(0), Le(2**31 - 1)]
    network: NetworkConfig
    training: TrainConfig

    @property
    def settings(self) -> Settings:
        """All that `--set` can change, and the number of items."""
        return self.network.model_dump() | self.training.model_dump()


class CountRecipe(BaseModel):
    """The same of a model that is counted and not trained: nothing in it is random."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: str
    seed: int
    counting: PopularConfig | NeighboursConfig

    @property
    def settings(self) -> Settings:
        """All that `--set` can change, and the number of items."""
        return self.counting.model_dump()


AnyRecipe = Recipe | CountRecipe


def make_recipe(model: str, seed: int, assignments: Sequence[str], dataset: Dataset) -> AnyRecipe:
    """The recipe of a named model as tuned for data of this kind, changed by `name=value` assignments.

    Raises InputError for an unknown model or name and for a value out of range.
    """
    if model not in COUNTED:
        return make_network_recipe(model, seed, assignments, dataset)
    config = COUNTED[model]
    values = _values(model, assignments, dataset, config.model_fields.keys() - {"num_items"})
    try:
        return CountRecipe(model=model, seed=seed, counting=config(num_items=dataset.info.num_items, **values))
    except ValidationError as error:
        raise InputError(f"--set: {first_problem(error)}") from None


def make_network_recipe(model: str, seed: int, assignments: Sequence[str], dataset: Dataset) -> Recipe:
    """The same where it has to be a network."""
    if model in COUNTED:
        raise InputError(f"{model} is counted, not trained: it has no network")
    network_names = NetworkConfig.model_fields.keys() - {"num_items"}
    values = _values(model, assignments, dataset, network_names | TrainConfig.model_fields.keys())
    network = {name: value for name, value in values.items() if name in network_names}
    training = {name: value for name, value in values.items() if name not in network_names}
    try:
        return Recipe(
            model=model,
            seed=seed,
            network=NetworkConfig(num_items=dataset.info.num_items, **network),
            training=TrainConfig(**training),
        )
    except ValidationError as error:
        raise InputError(f"--set: {first_problem(error)}") from None


def _values(model: str, assignments: Sequence[str], dataset: Dataset, names: Set[str]) -> Settings:
    """The preset's values with the assignments in their place."""
    histories = dataset.split("train")
    values = preset(model, kind_of(histories))
    if "max_len" in values:  # no further back than all but the longest histories go
        values["max_len"] = min(values["max_len"], int(np.quantile(histories.lengths, 0.99, method="higher")))
    for assignment in assignments:
        name, equals, value = assignment.partition("=")
        if not equals:
            raise InputError(f"--set {assignment!r}: expected name=value")
        if name not in names:
            known = ", ".join(sorted(names)) or "none"
            raise InputError(f"--set {assignment!r}: no such name; known: {known}")
        values[name] = value
    return values


def with_defaults(model: str, settings: Settings) -> Settings:
    """Settings of an earlier version: what can be set since has its default, which must be what was done before."""
    kinds: list[type[BaseModel]] = [COUNTED[model]] if model in COUNTED else [NetworkConfig, TrainConfig]
    fields = {name: field for kind in kinds for name, field in kind.model_fields.items()}
    return {name: field.default for name, field in fields.items() if not field.is_required()} | settings


def first_problem(error: ValidationError) -> str:
    """Pydantic's first complaint as `name: what is wrong`."""
    problem = error.errors()[0]
    name = ".".join(map(str, problem["loc"]))
    message = problem["msg"].removeprefix("Value error, ")
    return f"{name}: {message}" if name else message
