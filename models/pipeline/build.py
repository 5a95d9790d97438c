"""A run → a bundle: what serves the model, ids, titles, popularity; evaluated, then sealed by its manifest."""

from __future__ import annotations

import logging
import shutil
import warnings
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import orjson
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from models.bundle import (
    CHANGES,
    CONFIG,
    ENCODER,
    FILES,
    FORMAT,
    INDEX,
    ITEM_IDS,
    ITEMS,
    MANIFEST,
    METRICS,
    PLANE,
    POPULAR,
    WEIGHTS,
    Bundle,
    Manifest,
    load_bundle,
    load_retriever,
    sha256,
)
from models.changes import Changes
from models.dataset import Dataset, load_dataset
from models.files import atomic_folder, fsync
from models.index import ItemIndex
from models.multi_interest import InterestEncoder, MultiInterest
from models.neighbours import Neighbours
from models.network import Network
from models.pipeline.evaluate import evaluate_model, require_data_of
from models.pipeline.recipe import Recipe
from models.pipeline.revision import git_revision
from models.pipeline.run import WEIGHTS_FILE, load_model, load_run
from models.plane import Plane
from models.popularity import Popularity

UNCHANGED = Changes()
PARITY_SAMPLE = 64
PARITY_TOLERANCE = 1e-4  # relative to the largest interest; float32 sums in another order differ by about 1e-6


def build(run_path: Path, artifacts: Path, data: Path | None = None, changes: Changes = UNCHANGED) -> Bundle:
    """Write ARTIFACTS/<version>/ whole, or nothing; versions are named by time and weights, and never edited.

    `changes` of items, which the data do not know, go along: served from the bundle, they find their place in it.

    Raises InputError for a damaged run, RuntimeError where the exported encoder does not compute what the network does.
    """
    run = load_run(run_path)
    model = load_model(run_path, run)
    config = run.recipe.network if isinstance(run.recipe, Recipe) else run.recipe.counting
    dataset = load_dataset(data or run.data)
    require_data_of(dataset, run)
    weights_hash = sha256(run_path / WEIGHTS_FILE)
    now = datetime.now(UTC)
    version = f"{now:%Y%m%d-%H%M%S}-{weights_hash[:8]}"
    with atomic_folder(artifacts / version) as folder:
        (folder / CONFIG).write_text(config.model_dump_json(indent=2) + "\n")
        popular = Popularity.count(dataset.sequences, config.num_items)
        match model:
            case Network():
                save_file(model.state_dict(), folder / WEIGHTS)
                export_encoder(model, folder / ENCODER)
                vectors = model.item_vectors()
                ItemIndex.build(vectors).save(folder / INDEX)
                Plane.through(vectors).save(folder / PLANE)
            case Neighbours():
                model.save(folder / WEIGHTS)
            case Popularity():
                popular = model
        popular.save(folder / POPULAR)
        (folder / ITEM_IDS).write_bytes(orjson.dumps(dataset.item_ids))
        shutil.copyfile(dataset.path / "items.parquet", folder / ITEMS)
        if changes.until:
            (folder / CHANGES).write_text(changes.model_dump_json(exclude_defaults=True) + "\n")
        retriever = load_retriever(folder, config, popular)
        if isinstance(model, Network) and isinstance(retriever, MultiInterest):
            check_parity(model, retriever.encoder, dataset)
        measured = evaluate_model(run.recipe.model, retriever, dataset, "test", exclude_seen=False)
        (folder / METRICS).write_bytes(orjson.dumps(measured._asdict(), option=orjson.OPT_INDENT_2))
        files = (*FILES[config.retriever], *(name for name in (CHANGES, PLANE) if (folder / name).exists()))
        manifest = Manifest(
            format=FORMAT,
            version=version,
            model=run.recipe.model,
            retriever=config.retriever,
            git_revision=git_revision(),
            data=dataset.path,
            catalogue=dataset.catalogue,
            fingerprint=run.fingerprint,
            data_cutoff=dataset.info.latest_timestamp,
            created=now.timestamp(),
            num_users=dataset.info.num_users,
            num_items=dataset.info.num_items,
            num_events=dataset.info.num_events,
            files={name: sha256(folder / name) for name in files},
        )
        for name in files:
            fsync(folder / name)
        (folder / MANIFEST).write_text(manifest.model_dump_json(indent=2) + "\n")
    return load_bundle(artifacts / version)


class _ServedNetwork(nn.Module):
    """The network from item vectors on, with the outputs that serving asks for."""

    def __init__(self, model: Network) -> None:
        super().__init__()
        self.model = model

    def forward(self, history: Tensor, valid: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        interests = self.model.refine(history, valid)
        return interests.by_step, interests.weights, interests.kept


def export_encoder(model: Network, path: Path) -> None:
    """Write encoder.onnx: history (B, L, D), valid (B, L) → interests (B, S + 1, K, D), weights, kept (B, K, L).

    L is at most the network's `max_len`.
    """
    config = model.config
    columns = min(config.max_len, 3)  # of the example: a GRU is unrolled over them
    history = torch.randn(2, columns, config.dim)
    valid = torch.ones(2, columns, dtype=torch.bool)
    sizes = {0: torch.export.Dim("batch")}
    if columns > 1:
        sizes[1] = torch.export.Dim("length", max=config.max_len)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter's own deprecations, nothing a user could act on
        logging.getLogger("torch.onnx").setLevel(logging.ERROR)
        program = torch.onnx.export(
            _ServedNetwork(model).eval(),
            (history, valid),
            dynamo=True,
            input_names=["history", "valid"],
            output_names=["interests", "weights", "kept"],
            dynamic_shapes=(sizes, sizes),
            verbose=False,
        )
    if program is None:
        raise RuntimeError("torch exported no ONNX program")
    program.save(path, external_data=False)


def check_parity(model: Network, encoder: InterestEncoder, dataset: Dataset) -> None:
    """Compare encoder.onnx with the network on real histories; RuntimeError where they differ."""
    users = dataset.split("test")
    histories = users.slice(0, min(PARITY_SAMPLE, len(users))).recent(model.config.max_len)
    with torch.inference_mode():
        expected = model(torch.from_numpy(histories.astype(np.int64))).by_step.numpy()
    error = float(np.abs(encoder.encode(histories) - expected).max() / np.abs(expected).max())
    if not error <= PARITY_TOLERANCE:  # NaN fails too
        raise RuntimeError(f"encoder.onnx differs from the network by {error:.1e} of its range; nothing was built")
