"""What to train: the named models and the values given with `--set`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from annotated_types import Ge, Gt, Le
from pydantic import BaseModel, ConfigDict, ValidationError

from models.config import DMIConfig
from models.errors import InputError


class TrainConfig(BaseModel):
    """How a network is trained. Unknown fields are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    batch_size: Annotated[int, Ge(1), Le(65_536)] = 256
    num_negatives: Annotated[int, Ge(1), Le(1_000_000)] = 1280
    learning_rate: Annotated[float, Gt(0), Le(1)] = 2e-3
    weight_decay: Annotated[float, Ge(0), Le(10)] = 0.0
    max_steps: Annotated[int, Ge(1)] = 20_000
    eval_every: Annotated[int, Ge(1)] = 500
    patience: Annotated[int, Ge(1)] = 8
    # REMI's additions; 0 turns them off.
    hardness: Annotated[float, Ge(0), Le(100)] = 0.0
    routing: Annotated[float, Ge(0)] = 0.0
    # Weight of the same loss on the interests before refinement: keeps steps=0 a usable fallback.
    coarse: Annotated[float, Ge(0)] = 1.0
    # Weight of ‖refined − sg(v_0)‖²; the loss drawn in DMI's figure has no such term.
    reconstruction: Annotated[float, Ge(0)] = 0.0


class Recipe(BaseModel):
    """A model by name, its network, its training and the seed: all that decides the weights but the data."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: str
    seed: Annotated[int, Ge(0), Le(2**31 - 1)]
    network: DMIConfig
    training: TrainConfig


# The models differ in these values only; all else (optimiser, batches, dropout, stopping) is the same.
MODELS: dict[str, dict[str, float]] = {
    "dmi": {"hardness": 1.0, "routing": 10.0},
    "comirec-sa": {"steps": 0},
    "remi": {"steps": 0, "hardness": 1.0, "routing": 100.0},
}


def make_recipe(model: str, seed: int, assignments: Sequence[str], num_items: int) -> Recipe:
    """The recipe of a named model, changed by `name=value` assignments.

    Raises InputError for an unknown model or name and for a value out of range.
    """
    if model not in MODELS:
        raise InputError(f"unknown model {model!r}; choose one of: {', '.join(MODELS)}")
    values: dict[str, Any] = dict(MODELS[model])
    network_names = DMIConfig.model_fields.keys() - {"num_items"}
    for assignment in assignments:
        name, equals, value = assignment.partition("=")
        if not equals:
            raise InputError(f"--set {assignment!r}: expected name=value")
        if name not in network_names | TrainConfig.model_fields.keys():
            known = ", ".join(sorted(network_names | TrainConfig.model_fields.keys()))
            raise InputError(f"--set {assignment!r}: no such name; known: {known}")
        values[name] = value
    network = {name: value for name, value in values.items() if name in network_names}
    training = {name: value for name, value in values.items() if name not in network_names}
    try:
        return Recipe(
            model=model,
            seed=seed,
            network=DMIConfig(num_items=num_items, **network),
            training=TrainConfig(**training),
        )
    except ValidationError as error:
        raise InputError(f"--set: {first_problem(error)}") from None


def first_problem(error: ValidationError) -> str:
    """Pydantic's first complaint as `name: what is wrong`."""
    problem = error.errors()[0]
    name = ".".join(map(str, problem["loc"]))
    message = problem["msg"].removeprefix("Value error, ")
    return f"{name}: {message}" if name else message
