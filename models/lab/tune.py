"""Settings found by search: the same number of trials for each model, judged on validation users alone (Optuna)."""

from __future__ import annotations

import hashlib
import logging
import math
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import optuna
import orjson
import torch
from optuna.distributions import CategoricalDistribution, FloatDistribution, distribution_to_json
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.study import MaxTrialsCallback
from optuna.trial import TrialState
from rich.console import Console
from rich.progress import Progress

from models.dataset import Dataset
from models.errors import InputError
from models.files import atomic_file
from models.pipeline.presets import MODELS, Settings, kind_of, preset
from models.pipeline.recipe import make_recipe
from models.pipeline.train import train

JOURNAL = "trials.journal"
BUDGET = frozenset({"max_steps", "eval_every", "patience"})  # how long a trial lasts: no part of what is found
FINISHED = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL)
Space = dict[str, CategoricalDistribution | FloatDistribution]

_COMMON: Space = {
    "learning_rate": FloatDistribution(5e-4, 8e-3, log=True),
    "dropout": FloatDistribution(0, 0.6, step=0.1),
    "popularity": CategoricalDistribution([0.0, 0.5, 1.0]),
    "embedding_std": CategoricalDistribution([0.02, 0.1]),
}
_INTERESTS: Space = {"num_interests": CategoricalDistribution([2, 4, 8])}
_REGULARISED: Space = {
    "hardness": CategoricalDistribution([0.1, 1.0, 10.0]),
    "routing": CategoricalDistribution([1.0, 10.0, 100.0]),
}
_REFINED: Space = {
    "steps": CategoricalDistribution([1, 2, 4]),
    "eta": CategoricalDistribution([0.25, 0.5, 1.0]),
    "keep_fraction": CategoricalDistribution([0.25, 0.5, 1.0]),
}
_BLOCKS: Space = {"num_blocks": CategoricalDistribution([1, 2])}
SPACES: dict[str, Space] = {
    "dmi": _COMMON | _INTERESTS | _REGULARISED | _REFINED,
    "dmi-plus": _COMMON | _INTERESTS | _REFINED | _BLOCKS | {"horizon": CategoricalDistribution([1, 5, 10, 20])},
    "comirec-sa": _COMMON | _INTERESTS,
    "comirec-dr": _COMMON | _INTERESTS,
    "remi": _COMMON | _INTERESTS | _REGULARISED,
    "mind": _COMMON | _INTERESTS,
    "gru4rec": _COMMON | _BLOCKS,
    "sasrec": _COMMON | _BLOCKS,
    "sasrec-plus": _COMMON | _BLOCKS | {"horizon": CategoricalDistribution([1, 5, 10, 20])},
    "itemknn": {
        "neighbours": CategoricalDistribution([50, 200, 800, 2000]),
        "shrinkage": FloatDistribution(1, 300, log=True),
        "decay": FloatDistribution(0.6, 1, step=0.05),
    },
}


@dataclass(frozen=True, slots=True)
class Search:
    """What is searched of a model, and what all its trials share."""

    dataset: Dataset
    model: str
    assignments: list[str]
    present: Settings  # all settings before the search
    kept: Settings  # of the settings to write, those that are not searched

    @property
    def space(self) -> Space:
        """What the values of each searched setting may be."""
        return SPACES[self.model]

    @property
    def name(self) -> str:
        """One for all searches whose trials compare: same data, same space, same settings beside those searched."""
        shared = {name: value for name, value in self.present.items() if name not in self.space}
        space = {name: distribution_to_json(distribution) for name, distribution in self.space.items()}
        parts = [self.dataset.catalogue, self.dataset.info.model_dump(), shared, space]
        digest = hashlib.sha256(orjson.dumps(parts, option=orjson.OPT_SORT_KEYS)).hexdigest()
        return f"{self.dataset.path.name} {self.model} {digest[:12]}"


def plan(dataset: Dataset, model: str, assignments: Sequence[str]) -> Search:
    """The search of a model, where `assignments` (`name=value`) hold for all its trials.

    They set the budget (max_steps, eval_every, patience) of networks, or sizes that are not searched; the latter belong
    to what is found. A model that is counted takes none of them.
    Raises InputError for a model without anything to search, and for an assignment unknown, out of range or searched.
    """
    if model not in SPACES:
        raise InputError(f"nothing of {model!r} can be tuned; choose from: {', '.join(SPACES)}")
    names = [assignment.partition("=")[0] for assignment in assignments]
    searched = [name for name in names if name in SPACES[model]]
    if searched:
        raise InputError(f"--set {searched[0]}: tuning {model} searches it; leave it out")
    taken = list(assignments) if model in MODELS else []
    present = make_recipe(model, 0, taken, dataset).settings
    fixed = {name: present[name] for name in names if name not in BUDGET} if taken else {}
    return Search(dataset, model, taken, present, preset(model, kind_of(dataset.split("train"))) | fixed)


def tune(search: Search, trials: int, journal: Path, device: torch.device, bar: Progress) -> Settings:
    """Search until `trials` are done, the present settings first; the best ones, by validation Recall@50.

    A trial of a network that lies below the median of the earlier ones ends early. The journal file remembers every
    trial: an interrupted search goes on, and processes that share it share the search. Each of these finishes what it
    has begun, so n processes may make up to n − 1 trials more. Trainings have seed 0; the draws of settings have none,
    or each process and each resumption would draw the same.
    Raises InputError for a damaged journal, RuntimeError where every trial failed.
    """
    study = _open(search, journal)
    space, done = search.space, _done(study)
    task = bar.add_task(f"tune {search.model}", total=trials, completed=done)

    def objective(trial: optuna.Trial) -> float:
        found = {name: _suggest(trial, name, distribution) for name, distribution in space.items()}
        trial.set_user_attr("settings", search.kept | found)

        def report(step: int, recall: float) -> None:
            trial.report(recall, step)
            if trial.should_prune():
                raise optuna.TrialPruned

        assignments = [f"{name}={value}" for name, value in found.items()] + search.assignments
        with tempfile.TemporaryDirectory() as folder, Progress(console=Console(quiet=True), disable=True) as quiet:
            recipe = make_recipe(search.model, 0, assignments, search.dataset)
            return train(search.dataset, Path(folder) / "run", recipe, device, False, quiet, report).best_recall

    def show(study: optuna.Study, trial: optuna.trial.FrozenTrial) -> None:
        ends = {TrialState.PRUNED: "stopped early", TrialState.FAIL: "failed"}
        value = ends.get(trial.state, f"validation recall@50 {trial.value or 0:.4f}")
        bar.console.print(f"{search.model}, trial {trial.number + 1}: {value}, {trial.params}")
        bar.update(task, completed=_done(study))

    if done < trials:
        _enqueue_present(study, search)
        study.optimize(objective, callbacks=[show, MaxTrialsCallback(trials, FINISHED)], catch=(RuntimeError,))
    if not study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,)):
        raise RuntimeError(
            f"every trial of {search.model} failed; see the warnings, then raise --trials or choose another --out"
        )
    best: Settings = study.best_trial.user_attrs["settings"]
    return best


def write_settings(path: Path, settings: Settings) -> None:
    """Write a model's settings as `models/presets/KIND/MODEL.json` holds them."""
    with atomic_file(path) as temporary:
        temporary.write_bytes(orjson.dumps(settings, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))


def _open(search: Search, journal: Path) -> optuna.Study:
    optuna.logging.set_verbosity(logging.WARNING)
    try:
        return optuna.create_study(
            storage=JournalStorage(JournalFileBackend(str(journal))),
            study_name=search.name,
            sampler=optuna.samplers.TPESampler(n_startup_trials=6),
            pruner=optuna.pruners.MedianPruner(n_startup_trials=3, n_warmup_steps=1000),
            direction="maximize",
            load_if_exists=True,
        )
    except (ValueError, KeyError, TypeError, AssertionError):  # the last: what is written after a torn line is lost
        raise InputError(f"{journal} is a damaged journal; choose another --out") from None


def _enqueue_present(study: optuna.Study, search: Search) -> None:
    """Have the present settings tried next, unless they wait or were tried; what the space does not hold is drawn.

    A trial that runs does not count, as its process may be dead: one that joins early tries them again.
    """
    present = {
        name: search.present[name] for name, values in search.space.items() if _holds(values, search.present[name])
    }
    states = (TrialState.WAITING, TrialState.COMPLETE, TrialState.PRUNED)
    known = study.get_trials(deepcopy=False, states=states)
    if all(trial.user_attrs.get("present") != present for trial in known):
        study.enqueue_trial(present, user_attrs={"present": present})


def _holds(values: CategoricalDistribution | FloatDistribution, value: float) -> bool:
    if isinstance(values, CategoricalDistribution):
        return value in values.choices
    on_grid = values.step is None or math.isclose(math.remainder(value - values.low, values.step), 0, abs_tol=1e-8)
    return values.low <= value <= values.high and on_grid


def _suggest(trial: optuna.Trial, name: str, values: CategoricalDistribution | FloatDistribution) -> object:
    if isinstance(values, CategoricalDistribution):
        return trial.suggest_categorical(name, values.choices)
    value = trial.suggest_float(name, values.low, values.high, step=values.step, log=values.log)
    return value if values.step is None else round(value, 10)  # a step's multiples, and not 0.30000000000000004


def _done(study: optuna.Study) -> int:
    return len(study.get_trials(deepcopy=False, states=FINISHED))
