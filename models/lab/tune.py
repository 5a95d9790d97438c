"""Settings found by search: the same number of trials for each model, judged on validation users alone (Optuna)."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import optuna
import orjson
import torch
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from rich.console import Console
from rich.progress import Progress

from models.dataset import Dataset
from models.errors import InputError
from models.files import atomic_file
from models.pipeline.presets import MODELS, Settings, kind_of, preset
from models.pipeline.recipe import make_recipe
from models.pipeline.train import train

JOURNAL = "trials.journal"
Suggest = Callable[[optuna.Trial], Settings]


def _common(trial: optuna.Trial) -> Settings:
    return {
        "learning_rate": trial.suggest_float("learning_rate", 5e-4, 8e-3, log=True),
        "dropout": trial.suggest_float("dropout", 0.1, 0.6, step=0.1),
        "popularity": trial.suggest_categorical("popularity", [0.0, 0.5, 1.0]),
        "embedding_std": trial.suggest_categorical("embedding_std", [0.02, 0.1]),
    }


def _interests(trial: optuna.Trial) -> Settings:
    return {"num_interests": trial.suggest_categorical("num_interests", [2, 4, 8])}


def _regularised(trial: optuna.Trial) -> Settings:
    return {
        "hardness": trial.suggest_categorical("hardness", [0.1, 1.0, 10.0]),
        "routing": trial.suggest_categorical("routing", [1.0, 10.0, 100.0]),
    }


def _refined(trial: optuna.Trial) -> Settings:
    return {
        "steps": trial.suggest_categorical("steps", [1, 2, 4]),
        "eta": trial.suggest_categorical("eta", [0.25, 0.5, 1.0]),
        "keep_fraction": trial.suggest_categorical("keep_fraction", [0.25, 0.5, 1.0]),
    }


def _blocks(trial: optuna.Trial) -> Settings:
    return {"num_blocks": trial.suggest_categorical("num_blocks", [1, 2])}


def _neighbours(trial: optuna.Trial) -> Settings:
    return {
        "neighbours": trial.suggest_categorical("neighbours", [50, 200, 800]),
        "shrinkage": trial.suggest_float("shrinkage", 1, 300, log=True),
        "decay": trial.suggest_float("decay", 0.6, 1, step=0.05),
    }


SPACES: dict[str, tuple[Suggest, ...]] = {
    "dmi": (_common, _interests, _regularised, _refined),
    "dmi-plus": (_common, _interests, _refined),
    "comirec-sa": (_common, _interests),
    "comirec-dr": (_common, _interests),
    "remi": (_common, _interests, _regularised),
    "mind": (_common, _interests),
    "gru4rec": (_common, _blocks),
    "sasrec": (_common, _blocks),
    "itemknn": (_neighbours,),
}


def tune(
    dataset: Dataset, model: str, trials: int, budget: Sequence[str], journal: Path, device: torch.device, bar: Progress
) -> Settings:
    """Search until `trials` are done, the present settings first; the best ones, by validation Recall@50.

    `budget` (max_steps=…, eval_every=…, patience=…) is the same for all trials of a network; one that lies below the
    median of the earlier ones ends early. The journal file remembers every trial: an interrupted search goes on, and
    processes that share it share the search.
    Raises InputError for a model without anything to search.
    """
    if model not in SPACES:
        raise InputError(f"nothing of {model!r} can be tuned; choose from: {', '.join(SPACES)}")
    optuna.logging.set_verbosity(logging.WARNING)
    study = optuna.create_study(
        storage=JournalStorage(JournalFileBackend(str(journal))),
        study_name=f"{dataset.path.name} {model}",
        sampler=optuna.samplers.TPESampler(seed=0, n_startup_trials=6),
        pruner=optuna.pruners.MedianPruner(n_startup_trials=3, n_warmup_steps=1000),
        direction="maximize",
        load_if_exists=True,
    )
    start = preset(model, kind_of(dataset.split("train")))
    limits = list(budget) if model in MODELS else []
    study.enqueue_trial(make_recipe(model, 0, limits, dataset).settings, skip_if_exists=True)
    task = bar.add_task(f"tune {model}", total=trials, completed=_done(study))

    def objective(trial: optuna.Trial) -> float:
        found = {name: value for suggest in SPACES[model] for name, value in suggest(trial).items()}
        trial.set_user_attr("settings", start | found)

        def report(step: int, recall: float) -> None:
            trial.report(recall, step)
            if trial.should_prune():
                raise optuna.TrialPruned

        assignments = [f"{name}={value}" for name, value in found.items()]
        with tempfile.TemporaryDirectory() as folder, Progress(console=Console(quiet=True), disable=True) as quiet:
            recipe = make_recipe(model, 0, assignments + limits, dataset)
            return train(dataset, Path(folder) / "run", recipe, device, False, quiet, report).best_recall

    def show(study: optuna.Study, trial: optuna.trial.FrozenTrial) -> None:
        value = "stopped early" if trial.value is None else f"validation recall@50 {trial.value:.4f}"
        bar.console.print(f"{model}, trial {trial.number + 1}: {value}, {trial.params}")
        bar.update(task, completed=_done(study))

    study.optimize(objective, n_trials=max(trials - _done(study), 0), callbacks=[show], catch=(RuntimeError,))
    best: Settings = study.best_trial.user_attrs["settings"]
    return best


def write_settings(path: Path, settings: Settings) -> None:
    """Write a model's settings as `models/presets/KIND/MODEL.json` holds them."""
    with atomic_file(path) as temporary:
        temporary.write_bytes(orjson.dumps(settings, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))


def _done(study: optuna.Study) -> int:
    return sum(trial.state.is_finished() for trial in study.trials)
