"""A run on disk: run.json (recipe, data), checkpoint.safetensors (to resume), weights.safetensors (the best)."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
from pydantic import BaseModel, ConfigDict, ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.optim.swa_utils import AveragedModel

from models.errors import InputError
from models.files import atomic_file
from models.network import Network
from models.pipeline.counting import Counted, load_counted, save_counted
from models.pipeline.recipe import AnyRecipe, CountRecipe

RUN_FILE, CHECKPOINT_FILE, WEIGHTS_FILE = "run.json", "checkpoint.safetensors", "weights.safetensors"


class RunInfo(BaseModel):
    """run.json: what is trained, and on which data set folder."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    recipe: AnyRecipe
    data: Path
    catalogue: str  # Dataset.catalogue: which item each row is
    fingerprint: str | None = None  # Dataset.fingerprint: which users it was trained on; None in runs of before


@dataclass
class Progress:
    """Where a training stands: steps done, the seconds they took, the best validation Recall@50, evaluations since."""

    step: int = 0
    seconds: float = 0.0
    best_recall: float = -1.0
    best_step: int = 0
    stale_evaluations: int = 0
    stopped: bool = False
    best: dict[str, Tensor] = field(default_factory=dict)


def load_run(path: Path) -> RunInfo:
    """Read run.json; InputError where the folder is no run."""
    try:
        return RunInfo.model_validate_json((path / RUN_FILE).read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        raise InputError(f"{path} is no training run ({RUN_FILE} is missing); make one with: dmi train") from None
    except ValidationError as error:
        raise InputError(f"{path / RUN_FILE} is damaged or of another version ({error.error_count()} errors)") from None


def save_run(path: Path, info: RunInfo) -> None:
    """Write run.json."""
    with atomic_file(path / RUN_FILE) as temporary:
        temporary.write_text(info.model_dump_json(indent=2) + "\n")


def load_model(path: Path, info: RunInfo) -> Network | Counted:
    """What the run made, a network with its best weights; InputError where there are none or others."""
    try:
        if isinstance(info.recipe, CountRecipe):
            return load_counted(path / WEIGHTS_FILE, info.recipe.counting)
        model = Network(info.recipe.network)
        model.load_state_dict(load_file(path / WEIGHTS_FILE))
    except FileNotFoundError:
        raise InputError(f"{path} has no weights yet; continue it with: dmi train … --out {path} --resume") from None
    except (SafetensorError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"{path / WEIGHTS_FILE} is damaged or of another config ({reason}); train again") from None
    return model.eval()


def load_best(path: Path, info: RunInfo) -> Network:
    """The same where the run is known to be a network's; InputError where it is not."""
    model = load_model(path, info)
    if not isinstance(model, Network):
        raise InputError(f"{path} holds {info.recipe.model}, which is no network")
    return model


def save_model(path: Path, model: Counted) -> None:
    """Write the weights of what was counted."""
    with atomic_file(path / WEIGHTS_FILE) as temporary:
        save_counted(temporary, model)


def save_best(path: Path, best: dict[str, Tensor]) -> None:
    """Write the best weights so far."""
    with atomic_file(path / WEIGHTS_FILE) as temporary:
        save_file(best, temporary)


def save_checkpoint(
    path: Path, model: Network, averaged: AveragedModel, optimizer: torch.optim.Optimizer, progress: Progress
) -> None:
    """Write all that the rest of the training depends on; random numbers are functions of seed and step."""
    tensors = {f"model.{name}": value for name, value in model.state_dict().items()}
    tensors |= {f"averaged.{name}": value for name, value in averaged.state_dict().items()}
    tensors |= {f"best.{name}": value for name, value in progress.best.items()}
    for name, parameter in model.named_parameters():
        tensors |= {f"adam.{name}.{key}": value for key, value in optimizer.state[parameter].items()}
    numbers = {key: value for key, value in asdict(progress).items() if key != "best"}
    with atomic_file(path / CHECKPOINT_FILE) as temporary:
        save_file({k: v.contiguous() for k, v in tensors.items()}, temporary, {"progress": json.dumps(numbers)})


def load_checkpoint(path: Path, model: Network, averaged: AveragedModel, optimizer: torch.optim.Optimizer) -> Progress:
    """Put model, average and optimizer back where they were; a fresh Progress where there is no checkpoint."""
    file = path / CHECKPOINT_FILE
    if not file.exists():
        return Progress()
    try:
        with safe_open(file, "pt") as reader:
            numbers = json.loads(reader.metadata()["progress"])
        tensors = load_file(file)
        model.load_state_dict(_under("model.", tensors))
        averaged.load_state_dict(_under("averaged.", tensors))
        for name, parameter in model.named_parameters():
            state = _under(f"adam.{name}.", tensors)
            optimizer.state[parameter] = {key: value.to(parameter.device) for key, value in state.items()}
    except (SafetensorError, RuntimeError, KeyError) as error:
        raise InputError(f"{file} is damaged ({error}); delete the run and train again") from None
    return Progress(**numbers, best=_under("best.", tensors))


def _under(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
