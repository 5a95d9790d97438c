"""A data set → trained weights: the loop in the open, killable at any moment and resumable."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from pathlib import Path

import torch
from rich.progress import Progress as ProgressBar
from torch import Tensor
from torch.optim.swa_utils import PARAM_LIST, AveragedModel, get_ema_multi_avg_fn

from models.dataset import Dataset
from models.errors import InputError
from models.network import Network
from models.pipeline.batches import Batch, Batches
from models.pipeline.cooccurrence import LENGTH, cooccurrence_vectors
from models.pipeline.counting import count
from models.pipeline.diagnosis import diagnose, summary
from models.pipeline.evaluate import held_out, recommend
from models.pipeline.loss import alignment, nearest_interest, reconstruction, routing_variance, sampled_softmax
from models.pipeline.metrics import ranking_metrics
from models.pipeline.network_encoder import network_retriever
from models.pipeline.recipe import AnyRecipe, CountRecipe, Recipe, TrainConfig
from models.pipeline.run import (
    RUN_FILE,
    Progress,
    RunInfo,
    load_checkpoint,
    load_run,
    save_best,
    save_checkpoint,
    save_model,
    save_run,
)
from models.sequences import Sequences

DIAGNOSED = 1000  # validation users whose interests are looked into at each evaluation


def train(
    dataset: Dataset,
    out: Path,
    recipe: AnyRecipe,
    device: torch.device,
    resume: bool,
    bar: ProgressBar,
    on_evaluation: Callable[[int, float], None] | None = None,
) -> Progress:
    """Train until validation Recall@50 has not risen for `patience` evaluations, or `max_steps` are done; or count.

    Writes run.json, then at each evaluation the checkpoint and, where they are better, the weights. On the CPU a
    resumed run ends with the same weights as an uninterrupted one. `on_evaluation` is told each step and Recall, last of
    all; what it raises ends the training.
    Raises InputError where `out` holds another run, or one and `resume` is not set; only `max_steps` may differ.
    """
    info = RunInfo(recipe=recipe, data=dataset.path, catalogue=dataset.catalogue, fingerprint=dataset.fingerprint)
    _claim(out, info, resume)
    if isinstance(recipe, CountRecipe):
        return _count(dataset, out, recipe, on_evaluation)
    settings = recipe.training
    users = dataset.split("train")
    model = initial_network(recipe, users).to(device)
    optimizer = torch.optim.AdamW(
        model.parameters(), settings.learning_rate, weight_decay=settings.weight_decay, fused=True
    )
    averaged = AveragedModel(model, multi_avg_fn=moving_average(settings.average))
    kept: Network = averaged.module  # type: ignore[assignment]  # torch knows it as some module
    state = load_checkpoint(out, model, averaged, optimizer)
    batches = Batches(users, recipe)
    task = bar.add_task("train", total=settings.max_steps, completed=state.step)
    losses: list[Tensor] = []
    started = time.perf_counter() - state.seconds
    while state.step < settings.max_steps and not state.stopped:
        losses.append(train_step(model, optimizer, batches[state.step], recipe.seed, state.step, settings))
        averaged.update_parameters(model)
        state.step += 1
        if state.step % settings.eval_every == 0 or state.step == settings.max_steps:
            loss = float(torch.stack(losses).mean())
            losses.clear()
            if not math.isfinite(loss):
                raise RuntimeError(f"the loss is {loss} at step {state.step}; lower --set learning_rate")
            recall, ailments = _validate(kept, dataset)
            _note(state, kept, recall, settings.patience)
            state.seconds = time.perf_counter() - started
            if state.stale_evaluations == 0:
                save_best(out, state.best)
            save_checkpoint(out, model, averaged, optimizer, state)
            bar.console.print(f"step {state.step:>6}  loss {loss:.4f}  validation recall@50 {recall:.4f}")
            bar.console.print(f"{'':11}  {ailments}")
            bar.update(task, description=f"train · loss {loss:.3f} · best recall@50 {state.best_recall:.4f}")
            if on_evaluation is not None:
                on_evaluation(state.step, recall)
        bar.update(task, completed=state.step)
    bar.update(task, total=state.step)
    return state


def initial_network(recipe: Recipe, users: Sequences) -> Network:
    """The untrained network of a recipe: a function of its seed and, where item vectors start from them, the users."""
    torch.manual_seed(recipe.seed)
    model = Network(recipe.network)
    if recipe.training.item_vectors == "cooccurrence":
        network = recipe.network
        directions = cooccurrence_vectors(users, network.num_items, network.dim, recipe.seed)  # (N, D)
        with torch.no_grad():
            model.item_embedding.weight[1:] = LENGTH * directions
    return model


def moving_average(decay: float) -> Callable[[PARAM_LIST, PARAM_LIST, Tensor | int], None]:
    """How a step's weights enter their exponential moving average; early, the decay is lower: first steps are soon
    forgotten."""

    def update(averages: PARAM_LIST, weights: PARAM_LIST, steps: Tensor | int) -> None:
        done = float(steps)
        share = min(decay, (1 + done) / (10 + done))
        get_ema_multi_avg_fn(share)(averages, weights, steps)  # type: ignore[no-untyped-call]

    return update


def train_step(
    model: Network, optimizer: torch.optim.Optimizer, batch: Batch, seed: int, step: int, settings: TrainConfig
) -> Tensor:
    """One optimiser step over the served trajectory; its loss. Dropout and noise depend on seed and step alone."""
    torch.manual_seed(seed * 2**32 + step)
    device = model.item_embedding.weight.device
    history, target, negatives, log_q = (
        torch.from_numpy(part).to(device) for part in (batch.history, batch.target, batch.negatives, batch.log_q)
    )
    interests = model(history, None if batch.at is None else torch.from_numpy(batch.at).to(device))
    target_vectors, negative_vectors = model.item_embedding(target), model.item_embedding(negatives)

    def recommendation_loss(vectors: Tensor) -> Tensor:
        if settings.contrast == "nearest":
            vectors = nearest_interest(vectors, target_vectors)  # (P, 1, D)
        return sampled_softmax(vectors, target_vectors, negative_vectors, log_q, target, negatives, settings.hardness)

    loss = recommendation_loss(interests.final)
    if settings.coarse and model.config.steps:
        loss = loss + settings.coarse * recommendation_loss(interests.coarse)
    if settings.routing:
        loss = loss + settings.routing * routing_variance(interests.weights, model.config.dim)
    if settings.reconstruction:
        loss = loss + settings.reconstruction * reconstruction(interests)
    if settings.alignment:
        loss = loss + settings.alignment * alignment(interests.final, target_vectors)
    optimizer.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    optimizer.step()
    return loss.detach()


def choose_device(name: str) -> torch.device:
    """auto, cpu or cuda, whose matrix products are TF32 from then on; InputError for another or one that is not there.

    bfloat16 was no faster on an H200 (BENCHMARKS.md): the casts cost what the products save.
    """
    if name not in ("auto", "cpu", "cuda"):
        raise InputError(f"unknown device {name!r}; choose one of: auto, cpu, cuda")
    if name == "cuda" and not torch.cuda.is_available():
        raise InputError("no CUDA device is to be seen; use --device cpu")
    if name == "cpu" or not torch.cuda.is_available():
        return torch.device("cpu")
    torch.backends.cuda.matmul.fp32_precision = "tf32"
    return torch.device("cuda")


def _claim(out: Path, info: RunInfo, resume: bool) -> None:
    """Write run.json, unless `out` holds a run that cannot be continued as this one."""
    if (out / RUN_FILE).exists():
        if not resume:
            raise InputError(f"{out} already holds a run; continue it with --resume or choose another --out")
        older = load_run(out)
        differences = _differences(older, info)
        if differences:
            raise InputError(f"{out} was trained with {differences}; resume with the same or choose another --out")
        info = info.model_copy(update={"fingerprint": older.fingerprint})  # nobody knows it of a run of before
    elif out.is_dir() and any(not _torn(file) for file in out.iterdir()):
        raise InputError(f"{out} holds something other than a run; choose another --out")
    save_run(out, info)


def _torn(file: Path) -> bool:
    """Whether it is what a kill left of the first file that a run writes."""
    return file.name.startswith(f".{RUN_FILE}.")


def _differences(older: RunInfo, newer: RunInfo) -> str:
    """What the older run had otherwise, as `name=value, …`; a run may be resumed for more or fewer steps.

    A data set that is the same may have moved.
    """
    before, after = (
        {
            **{"data": info.data, "catalogue": info.catalogue, "fingerprint": info.fingerprint},
            **{"model": info.recipe.model, "seed": info.recipe.seed},
            **{name: value for name, value in info.recipe.settings.items() if name != "max_steps"},
        }
        for info in (older, newer)
    )
    if older.fingerprint is None:  # of before; the catalogue is all that is known
        before["fingerprint"] = after["fingerprint"]
    if older.catalogue == newer.catalogue and before["fingerprint"] == after["fingerprint"]:
        after["data"] = before["data"]
    return ", ".join(f"{name}={value}" for name, value in before.items() if value != after.get(name))


def _count(
    dataset: Dataset, out: Path, recipe: CountRecipe, on_evaluation: Callable[[int, float], None] | None
) -> Progress:
    """What train() does for a model without gradients: there is nothing to resume or to stop."""
    started = time.perf_counter()
    model, users = count(dataset, recipe.counting), held_out(dataset, "valid")
    seconds = time.perf_counter() - started
    save_model(out, model)
    recall = ranking_metrics(recommend(model, users.histories, exclude_seen=False), users.targets)["recall@50"]
    if on_evaluation is not None:
        on_evaluation(0, recall)
    return Progress(seconds=seconds, best_recall=recall, stopped=True)


def _validate(model: Network, dataset: Dataset) -> tuple[float, str]:
    """Recall@50 on the validation users, through the same search and merge that serve; and what ails the network."""
    users = held_out(dataset, "valid")
    model.eval()
    retriever = network_retriever(model)
    candidates = recommend(retriever, users.histories, exclude_seen=False)
    some = (0, min(DIAGNOSED, len(users.histories)))
    noise = users.noise.slice(*some) if users.noise else None
    ailments = summary(diagnose(retriever.encoder.explain, users.histories.slice(*some), retriever.max_len, noise))
    model.train()
    return ranking_metrics(candidates, users.targets)["recall@50"], ailments


def _note(state: Progress, model: Network, recall: float, patience: int) -> None:
    if recall > state.best_recall:
        state.best_recall, state.best_step, state.stale_evaluations = recall, state.step, 0
        state.best = {name: value.detach().cpu().clone() for name, value in model.state_dict().items()}
    else:
        state.stale_evaluations += 1
        state.stopped = state.stale_evaluations >= patience
