"""Models × data sets × seeds × variants → the runs to do, each with an identity by which it is found again."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence, Set
from dataclasses import asdict, dataclass
from pathlib import Path

import orjson

from models.dataset import Dataset
from models.errors import InputError
from models.lab.studies import Study
from models.pipeline.presets import COUNTED, Settings
from models.pipeline.recipe import AnyRecipe, make_recipe

DEFAULT = "default"


@dataclass(frozen=True)
class Identity:
    """What makes two runs the same: the row of one stands for the other."""

    data: str  # the data set folder's name
    fingerprint: str  # Dataset.fingerprint
    model: str
    variant: str  # `name=value`, or "default"
    seed: int
    settings: str  # JSON: the rest of the recipe

    @property
    def key(self) -> str:
        """A file name that no other run has."""
        digest = hashlib.sha256(orjson.dumps(asdict(self))).hexdigest()
        return f"{self.data}-{self.model}-{self.variant}-{self.seed}-{digest[:12]}"

    def __str__(self) -> str:
        return f"{self.data} · {self.model} · {self.variant} · seed {self.seed}"


@dataclass(frozen=True)
class Run:
    """One training and its evaluation."""

    identity: Identity
    data: Path
    recipe: AnyRecipe


def grid(
    datasets: Sequence[Dataset], models: Sequence[str], study: Study, seeds: int, assignments: Sequence[str]
) -> list[Run]:
    """All runs of a study, seed by seed, so that a first comparison is there early.

    An assignment goes to every model that has such a setting, before a variant's own value. What is counted and not
    trained has one seed.
    Raises InputError for an unknown model or setting, and where two data sets have one name.
    """
    names = [dataset.path.name for dataset in datasets]
    if len(set(names)) < len(names):
        raise InputError(f"two data sets have the same name ({', '.join(names)}); rename a folder")
    known = {model: make_recipe(model, 0, [], datasets[0]).settings.keys() for model in models}
    own = {model: [each for each in assignments if _concerns(each, model, known)] for model in models}
    fingerprints = {dataset.path: dataset.fingerprint for dataset in datasets}
    runs = []
    for seed in range(seeds):
        for dataset in datasets:
            for model, settings in own.items():
                if model in COUNTED and seed:
                    continue
                for variant, recipe in _variants(dataset, model, study, seed, settings).items():
                    identity = Identity(
                        data=dataset.path.name,
                        fingerprint=fingerprints[dataset.path],
                        model=model,
                        variant=variant,
                        seed=seed,
                        settings=settings_json(recipe.settings),
                    )
                    runs.append(Run(identity, dataset.path, recipe))
    return runs


def settings_json(settings: Settings) -> str:
    """The settings as an identity has them."""
    return orjson.dumps(settings, option=orjson.OPT_SORT_KEYS).decode()


def _concerns(assignment: str, model: str, known: Mapping[str, Set[str]]) -> bool:
    """Whether the model has the setting; one that no model has is everybody's, to be refused."""
    name = assignment.partition("=")[0]
    return name in known[model] or not any(name in names for names in known.values())


def _variants(
    dataset: Dataset, model: str, study: Study, seed: int, assignments: Sequence[str]
) -> dict[str, AnyRecipe]:
    """The model as it is, then each value of the study that it does not have."""
    default = make_recipe(model, seed, assignments, dataset)
    variants = {DEFAULT: default}
    for name, values in study.values.items():
        for value in values:
            variant = f"{name}={value}"
            try:
                recipe = make_recipe(model, seed, [*assignments, variant], dataset)
            except InputError:
                continue  # the model's other settings rule the value out, as `start` does more steps than it
            if recipe != default:
                variants[variant] = recipe
    return variants
