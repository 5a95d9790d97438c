"""One run, in a process of its own: train, evaluate, measure; the row that comes of it."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from rich.console import Console
from rich.progress import Progress as ProgressBar

from models.dataset import load_dataset
from models.encoder import Encoder
from models.index import ItemIndex
from models.lab.grid import Run
from models.lab.machine import machine, versions
from models.lab.measure import measure
from models.lab.rows import Row
from models.multi_interest import MultiInterest
from models.network import Network
from models.pipeline.build import export_encoder
from models.pipeline.revision import git_revision
from models.pipeline.run import load_model, load_run
from models.pipeline.train import choose_device, train


def perform(run: Run, work: Path) -> Row:
    """Train in the folder `work`, going on from what an interrupted run left there, and measure on the test users."""
    revision = git_revision()  # of the code that runs, not of what is there at the end
    dataset = load_dataset(run.data)
    with ProgressBar(console=Console(quiet=True), disable=True) as bar:
        state = train(dataset, work, run.recipe, choose_device("auto"), resume=True, bar=bar)
    model = load_model(work, load_run(work))
    retriever = served(model) if isinstance(model, Network) else model
    return {
        **asdict(run.identity),
        "finished": datetime.now(UTC),
        "git_revision": revision,
        "machine": machine(),
        "versions": versions(),
        "threads": torch.get_num_threads(),
        "num_users": dataset.info.num_users,
        "num_items": dataset.info.num_items,
        "num_events": dataset.info.num_events,
        "train_seconds": state.seconds,
        "steps_done": state.step,
        "best_step": state.best_step,
        "valid_recall@50": state.best_recall,
        "parameters": num_parameters(model) if isinstance(model, Network) else None,
        **measure(retriever, dataset),
    }


def served(model: Network) -> MultiInterest:
    """What a bundle of this network would serve: ONNX encoder and exact index, on one core."""
    vectors = model.item_vectors()
    with TemporaryDirectory() as folder:
        path = Path(folder) / "encoder.onnx"
        export_encoder(model, path)
        encoder = Encoder(path, np.concatenate([np.zeros_like(vectors[:1]), vectors]), model.config)
    return MultiInterest(encoder, ItemIndex.build(vectors))


def num_parameters(model: Network) -> int:
    """Numbers that training sets, item vectors among them."""
    return sum(parameter.numel() for parameter in model.parameters())
