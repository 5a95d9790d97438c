"""A run → a bundle: weights, ONNX encoder, item index, ids, popularity; evaluated, then sealed by its manifest."""

from __future__ import annotations

import logging
import shutil
import subprocess
import warnings
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import orjson
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file
from torch import Tensor, nn

from models.bundle import (
    CONFIG,
    ENCODER,
    FILES,
    FORMAT,
    INDEX,
    ITEM_IDS,
    ITEMS,
    MANIFEST,
    METRICS,
    POPULAR,
    WEIGHTS,
    Bundle,
    Manifest,
    load_bundle,
    sha256,
)
from models.dataset import Dataset, load_dataset
from models.dmi import DMI
from models.encoder import Encoder
from models.files import atomic_folder, fsync
from models.index import ItemIndex
from models.pipeline.evaluate import bundle_recommender, evaluate_model, require_catalogue
from models.pipeline.run import WEIGHTS_FILE, load_best, load_run
from models.sequences import PADDING

MAX_POPULAR = 10_000
PARITY_SAMPLE = 64
PARITY_TOLERANCE = 1e-4  # relative to the largest interest; float32 sums in another order differ by about 1e-6


def build(run_path: Path, artifacts: Path, data: Path | None = None) -> Bundle:
    """Write ARTIFACTS/<version>/ whole, or nothing; versions are named by time and weights, and never edited.

    Raises InputError for a damaged run, RuntimeError where the exported encoder does not compute what the network does.
    """
    run = load_run(run_path)
    model = load_best(run_path, run)
    dataset = load_dataset(data or run.data)
    require_catalogue(dataset, run.catalogue)
    weights_hash = sha256(run_path / WEIGHTS_FILE)
    version = f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{weights_hash[:8]}"
    with atomic_folder(artifacts / version) as folder:
        (folder / CONFIG).write_text(model.config.model_dump_json(indent=2) + "\n")
        save_file(model.state_dict(), folder / WEIGHTS)
        export_encoder(model, folder / ENCODER)
        index = ItemIndex.build(model.item_vectors())
        index.save(folder / INDEX)
        (folder / ITEM_IDS).write_bytes(orjson.dumps(dataset.item_ids))
        shutil.copyfile(dataset.path / "items.parquet", folder / ITEMS)
        np.save(folder / POPULAR, _popular(dataset))
        vectors = np.concatenate([np.zeros((1, model.config.dim), np.float32), model.item_vectors()])
        encoder = Encoder(folder / ENCODER, vectors, model.config)
        check_parity(model, encoder, dataset)
        measured = evaluate_model(
            run.recipe.model,
            model.config,
            bundle_recommender(encoder, index),
            dataset,
            "test",
            exclude_seen=False,
        )
        (folder / METRICS).write_bytes(orjson.dumps(measured._asdict(), option=orjson.OPT_INDENT_2))
        manifest = Manifest(
            format=FORMAT,
            version=version,
            model=run.recipe.model,
            git_revision=_git_revision(),
            data=dataset.path,
            catalogue=dataset.catalogue,
            data_cutoff=dataset.info.latest_timestamp,
            num_users=dataset.info.num_users,
            num_items=dataset.info.num_items,
            num_events=dataset.info.num_events,
            files={name: sha256(folder / name) for name in FILES},
        )
        for name in FILES:
            fsync(folder / name)
        (folder / MANIFEST).write_text(manifest.model_dump_json(indent=2) + "\n")
    return load_bundle(artifacts / version)


class _ServedNetwork(nn.Module):
    """The network from item vectors on, with the outputs that serving asks for."""

    def __init__(self, model: DMI) -> None:
        super().__init__()
        self.model = model

    def forward(self, history: Tensor, valid: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        interests = self.model.refine(history, valid)
        return interests.by_step, interests.weights, interests.kept


def export_encoder(model: DMI, path: Path) -> None:
    """Write encoder.onnx: history (B, L, D), valid (B, L) → interests (B, S + 1, K, D), weights, kept (B, K, L)."""
    config = model.config
    history = torch.randn(2, config.max_len, config.dim)
    valid = torch.ones(2, config.max_len, dtype=torch.bool)
    batch = torch.export.Dim("batch")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter's own deprecations, nothing a user could act on
        logging.getLogger("torch.onnx").setLevel(logging.ERROR)
        program = torch.onnx.export(
            _ServedNetwork(model).eval(),
            (history, valid),
            dynamo=True,
            input_names=["history", "valid"],
            output_names=["interests", "weights", "kept"],
            dynamic_shapes=({0: batch}, {0: batch}),
            verbose=False,
        )
    if program is None:
        raise RuntimeError("torch exported no ONNX program")
    program.save(path, external_data=False)


def check_parity(model: DMI, encoder: Encoder, dataset: Dataset) -> None:
    """Compare encoder.onnx with the network on real histories; RuntimeError where they differ."""
    users = dataset.split("test")
    histories = users.slice(0, min(PARITY_SAMPLE, len(users))).recent(model.config.max_len)
    with torch.inference_mode():
        expected = model(torch.from_numpy(histories.astype(np.int64))).by_step.numpy()
    error = float(np.abs(encoder.encode(histories) - expected).max() / np.abs(expected).max())
    if not error <= PARITY_TOLERANCE:  # NaN fails too
        raise RuntimeError(f"encoder.onnx differs from the network by {error:.1e} of its range; nothing was built")


def _popular(dataset: Dataset) -> NDArray[np.void]:
    """Rows and event counts of the most popular items."""
    counts = np.bincount(dataset.sequences.items, minlength=dataset.info.num_items + 1)
    counts[PADDING] = 0
    order = np.argsort(-counts, kind="stable")[: min(MAX_POPULAR, dataset.info.num_items)]
    popular = np.empty(len(order), dtype=[("row", "<i4"), ("events", "<i8")])
    popular["row"], popular["events"] = order, counts[order]
    return popular


def _git_revision() -> str | None:
    """The revision of the code that built the bundle, where it runs from a checkout."""
    git = shutil.which("git")
    if git is None:
        return None
    answer = subprocess.run(  # noqa: S603
        [git, "-C", str(Path(__file__).parent), "rev-parse", "HEAD"],
        capture_output=True,
        text=True,
        check=False,
    )
    return answer.stdout.strip() if answer.returncode == 0 else None
