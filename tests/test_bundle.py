"""A bundle is whole or refused: what is missing, altered or of another model is named."""

import json
import shutil
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from models.bundle import (
    FILES,
    INDEX,
    ITEM_IDS,
    MANIFEST,
    PLANE,
    POPULAR,
    WEIGHTS,
    current,
    load_bundle,
    promote,
    sha256,
)
from models.errors import InputError
from models.index import ItemIndex
from models.pipeline.run import load_best, load_run

NETWORK_FILES = (*FILES["multi-interest"], PLANE)


@pytest.fixture
def copy(artifacts, tmp_path) -> Path:
    """A bundle that a test may damage."""
    return Path(shutil.copytree(current(artifacts), tmp_path / current(artifacts).name))


def seal(bundle: Path) -> None:
    """Give the manifest the hashes of the files as they are, as somebody who tampers would."""
    manifest = json.loads((bundle / MANIFEST).read_text())
    manifest["files"] = {name: sha256(bundle / name) for name in manifest["files"]}
    (bundle / MANIFEST).write_text(json.dumps(manifest))


def test_it_holds_what_the_contract_says(bundle, dataset):
    manifest = bundle.manifest
    assert bundle.path.name == bundle.version == manifest.version
    assert (manifest.num_users, manifest.num_items) == (dataset.info.num_users, dataset.info.num_items)
    assert manifest.data_cutoff == dataset.info.latest_timestamp
    assert manifest.created is not None
    assert f"{datetime.fromtimestamp(manifest.created, UTC):%Y%m%d-%H%M%S}" == manifest.version[:15]
    assert {path.name for path in bundle.path.iterdir()} == {*NETWORK_FILES, MANIFEST}
    assert manifest.files == {name: sha256(bundle.path / name) for name in NETWORK_FILES}
    assert all(path.stat().st_mode & 0o777 == 0o644 for path in bundle.path.iterdir())  # whoever serves can read it
    assert [bundle.rows[item] for item in bundle.item_ids[:3]] == [1, 2, 3]


def test_popular_items_are_those_with_most_events(bundle, dataset):
    counts = np.bincount(dataset.sequences.items)
    assert bundle.popular.ranking["events"].tolist() == counts[bundle.popular.ranking["row"]].tolist()
    assert (np.diff(bundle.popular.ranking["events"]) <= 0).all()


def test_the_encoder_computes_what_the_network_computes(bundle, run, dataset):
    users = dataset.split("valid")
    histories = users.windows(np.arange(100), users.lengths[:100], bundle.config.max_len)
    with torch.inference_mode():
        expected = load_best(run, load_run(run))(torch.from_numpy(histories.astype(np.int64))).by_step.numpy()
    np.testing.assert_allclose(bundle.retriever.encoder.encode(histories), expected, atol=1e-4 * np.abs(expected).max())


def test_an_encoding_does_not_depend_on_its_company_to_the_bit(bundle, dataset):
    users = dataset.split("test")
    rng = np.random.default_rng(0)
    ends = rng.integers(1, users.lengths + 1)  # histories of every length from 1 on
    histories = users.windows(np.arange(len(users)), ends, bundle.config.max_len)
    alone = np.concatenate([bundle.retriever.encoder.encode(histories[i : i + 1]) for i in range(len(histories))])
    for size in (2, 3, 7, 16, 64, len(histories)):
        company = rng.permutation(len(histories))[:size]
        assert (bundle.retriever.encoder.encode(histories[company]) == alone[company]).all(), size


def test_a_renamed_folder_is_refused(copy):
    with pytest.raises(InputError, match="was renamed: its manifest says"):
        load_bundle(copy.rename(copy.parent / "other"))


@pytest.mark.parametrize("name", NETWORK_FILES)
def test_a_missing_file_is_named(copy, name):
    (copy / name).unlink()
    with pytest.raises(InputError, match=f"{name} is missing"):
        load_bundle(copy)


@pytest.mark.parametrize("name", NETWORK_FILES)
def test_an_altered_file_is_named(copy, name):
    content = bytearray((copy / name).read_bytes())
    content[len(content) // 2] ^= 1
    (copy / name).write_bytes(content)
    with pytest.raises(InputError, match=f"{name} was altered"):
        load_bundle(copy)


def test_weights_of_another_config_are_refused(copy):
    weights = load_file(copy / WEIGHTS)
    weights["item_embedding.weight"] = weights["item_embedding.weight"][:, :32].contiguous()
    save_file(weights, copy / WEIGHTS)
    seal(copy)
    with pytest.raises(InputError, match=rf"{WEIGHTS} is of another config: item vectors \(1153, 32\)"):
        load_bundle(copy)


def test_an_index_of_another_size_is_refused(copy):
    ItemIndex.build(np.zeros((7, 64), np.float32)).save(copy / INDEX)
    seal(copy)
    with pytest.raises(InputError, match=f"{INDEX} holds 7 items of 64 dimensions, where config.json says 1152"):
        load_bundle(copy)


def test_ids_of_another_catalogue_are_refused(copy):
    (copy / ITEM_IDS).write_text('["one"]')
    seal(copy)
    with pytest.raises(InputError, match=f"{ITEM_IDS} holds 1 ids"):
        load_bundle(copy)


@pytest.mark.parametrize("name", sorted({*NETWORK_FILES} - {"items.parquet", "metrics.json"}))
def test_a_file_of_nonsense_is_refused_even_with_its_hash(copy, name):
    (copy / name).write_bytes(b"\x00nonsense")
    seal(copy)
    with pytest.raises(InputError, match="build the bundle again"):
        load_bundle(copy)


def test_a_counted_model_has_the_files_that_serve_it(counted):
    path = current(counted.artifacts)
    files = FILES[{"popular": "popular", "itemknn": "neighbours"}[counted.model]]
    assert {file.name for file in path.iterdir()} == {*files, MANIFEST}
    assert load_bundle(path).manifest.model == counted.model


def test_every_file_of_a_counted_model_is_missed(counted, tmp_path):
    copy = Path(shutil.copytree(current(counted.artifacts), tmp_path / current(counted.artifacts).name))
    for name in json.loads((copy / MANIFEST).read_text())["files"]:
        (copy / name).rename(tmp_path / name)
        with pytest.raises(InputError, match=f"{name} is missing"):
            load_bundle(copy)
        (tmp_path / name).rename(copy / name)
    load_bundle(copy)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        (POPULAR, np.arange(5), "popular.npy has no fields row and events"),
        (POPULAR, np.array([(5000, 3)], [("row", "<i4"), ("events", "<i8")]), "names rows beyond the 1152 items"),
    ],
)
def test_a_ranking_of_something_else_is_refused(copy, name, content, message):
    np.save(copy / name, content)
    seal(copy)
    with pytest.raises(InputError, match=message):
        load_bundle(copy)


def test_a_pickle_is_not_read(copy):
    np.save(copy / "popular.npy", np.array([object()]), allow_pickle=True)
    seal(copy)
    with pytest.raises(InputError, match="allow_pickle=False"):
        load_bundle(copy)


@pytest.mark.parametrize(
    ("manifest", "message"),
    [
        (None, "is no bundle"),
        ("{}", "is damaged"),
        ('{"format": 99}', "has bundle format 99, this version reads 2"),
        ("{", "is damaged"),
    ],
)
def test_a_folder_without_a_sound_manifest_is_refused(copy, manifest, message):
    (copy / MANIFEST).unlink()
    if manifest:
        (copy / MANIFEST).write_text(manifest)
    with pytest.raises(InputError, match=message):
        load_bundle(copy)


def test_current_names_the_promoted_version(tmp_path):
    with pytest.raises(InputError, match="serves nothing yet"):
        current(tmp_path)
    promote(tmp_path, "one")
    promote(tmp_path, "two")
    assert current(tmp_path) == tmp_path / "two"
    assert [path.name for path in tmp_path.iterdir()] == ["current"]


@pytest.mark.parametrize("content", ["", "../elsewhere", "/etc", "a/b", "..", "\x00", "ü"])
def test_current_cannot_point_elsewhere(tmp_path, content):
    (tmp_path / "current").write_text(content)
    with pytest.raises(InputError, match="does not name a version"):
        current(tmp_path)
