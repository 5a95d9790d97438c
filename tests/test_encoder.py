"""The served encoder: what the network computes, for each line as if it were alone."""

from copy import deepcopy
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from models.amendment import Overlay
from models.config import NetworkConfig
from models.encoder import Encoder, Vectors
from models.errors import InputError
from models.network import Network
from models.pipeline.build import check_parity, export_encoder
from models.pipeline.presets import MODELS
from models.sequences import Rows
from tests.networks import disturb


def exported(name: str, max_len: int, folder: Path) -> tuple[Network, Encoder]:
    """A model, every part of it doing something, and FOLDER/encoder.onnx served."""
    torch.manual_seed(0)
    values = {key: value for key, value in MODELS[name].items() if key in NetworkConfig.model_fields}
    model = disturb(Network(NetworkConfig(num_items=1152, max_len=max_len, **values))).eval()
    export_encoder(model, folder / "encoder.onnx")
    return model, served(model, folder)


def served(model: Network, folder: Path) -> Encoder:
    vectors = np.concatenate([np.zeros((1, model.config.dim), np.float32), model.item_vectors()])
    return Encoder(folder / "encoder.onnx", vectors, model.config)


@pytest.fixture(scope="module", params=MODELS)
def pair(request, tmp_path_factory) -> tuple[Network, Encoder]:
    return exported(request.param, 50, tmp_path_factory.mktemp("encoder"))


@pytest.fixture(scope="module", params=["dmi-plus", "comirec-sa", "mind"])
def long(request, tmp_path_factory) -> tuple[Network, Encoder, Path]:
    """Models that read 200 events, as far as they differ in what they do with positions."""
    folder = tmp_path_factory.mktemp("long")
    return *exported(request.param, 200, folder), folder


def histories(count: int, max_len: int) -> Rows:
    """Left-padded histories of every length from 1 on."""
    rng = np.random.default_rng(0)
    lengths = np.arange(count) % max_len + 1
    rows = rng.integers(1, 1153, size=(count, max_len), dtype=np.int32)
    return np.where(np.arange(max_len) >= max_len - lengths[:, None], rows, 0)


def assert_computed(interests: Vectors, model: Network, rows: Rows) -> None:
    """They are what the network makes of these histories."""
    with torch.inference_mode():
        expected = model(torch.from_numpy(rows.astype(np.int64))).by_step.numpy()
    assert np.abs(interests - expected).max() <= 1e-4 * np.abs(expected).max()


def test_it_computes_what_the_network_computes(pair, dataset):
    model, encoder = pair
    check_parity(model, encoder, dataset)


@pytest.mark.parametrize("extractor", ["b2i-routing", "dynamic-routing"])
def test_a_capsule_without_length_is_served_as_one(extractor, tmp_path):
    model = Network(NetworkConfig(num_items=9, max_len=5, steps=0, extractor=extractor)).eval()
    torch.nn.init.zeros_(model.extractor.map)
    export_encoder(model, tmp_path / "encoder.onnx")
    found = served(model, tmp_path).encode(np.array([[0, 0, 3, 4, 5]], np.int32))
    assert not found.any()


def test_a_network_that_changed_since_is_noticed(pair, dataset):
    model, encoder = pair
    changed = Network(model.config).eval()
    with pytest.raises(RuntimeError, match=r"encoder\.onnx differs from the network"):
        check_parity(changed, encoder, dataset)


def test_a_line_of_a_batch_is_the_line_alone_to_the_bit(pair):
    _, encoder = pair
    rows = histories(64, encoder.config.max_len)
    whole = encoder.encode(rows)
    assert np.isfinite(whole).all()
    for size in (1, 2, 3, 16, 33):
        parts = [encoder.encode(rows[start : start + size]) for start in range(0, len(rows), size)]
        assert np.array_equal(np.concatenate(parts), whole), size


def test_an_explanation_is_as_wide_as_the_history_and_the_same_in_any_batch(pair):
    _, encoder = pair
    rows = histories(64, encoder.config.max_len)
    whole = encoder.explain(rows)
    assert whole.weights.shape == whole.kept.shape == (64, encoder.config.num_interests, encoder.config.max_len)
    assert not whole.weights[:, 0][rows == 0].any()
    assert not whole.kept[:, 0][rows == 0].any()
    for line in (0, 15, 16, 40):
        for alone, among in zip(encoder.explain(rows[line : line + 1]), whole, strict=True):
            assert np.array_equal(alone[0], among[line]), line


def test_histories_of_every_length_in_one_batch_are_what_they_are_at_full_width(long, tmp_path):
    model, encoder, folder = long
    rows = histories(200, 200)[np.random.default_rng(1).permutation(200)]
    found = encoder.explain(rows)
    assert_computed(found.interests, model, rows)
    # As graphs had it before: of one length.
    graph = onnx.load(folder / "encoder.onnx")
    for field in (*graph.graph.input, *graph.graph.output):
        for size in field.type.tensor_type.shape.dim:
            if size.dim_param == "length":
                size.dim_value = 200
    onnx.save(graph, tmp_path / "encoder.onnx")
    for one, other in zip(found, served(model, tmp_path).explain(rows), strict=True):
        assert np.array_equal(one, other)


def test_padding_is_not_computed(long, monkeypatch):
    _, encoder, _ = long
    widths, inputs = [], Encoder._inputs

    def watched(self, rows):
        widths.append(rows.shape[1])
        return inputs(self, rows)

    monkeypatch.setattr(Encoder, "_inputs", watched)
    encoder.encode(histories(30, 200))
    assert widths == [40]


def test_a_changed_item_is_changed_in_histories_of_every_length(long):
    model, encoder, folder = long
    rows = histories(200, 200)
    rows[::3, -1] = 7
    with torch.no_grad():
        changed = deepcopy(model)
        changed.item_embedding.weight[7] *= -1
    vector = changed.item_embedding.weight[7:8].detach().numpy()
    found = encoder.amended(Overlay(np.array([7], np.int32), vector)).encode(rows)
    assert np.array_equal(found, served(changed, folder).encode(rows))


@pytest.mark.parametrize("max_len", [1, 2, 31, 63, 64, 65])
def test_every_length_may_be_the_longest(max_len, tmp_path):
    model, encoder = exported("comirec-sa", max_len, tmp_path)
    rows = histories(max_len, max_len)
    assert_computed(encoder.encode(rows), model, rows)


def test_what_is_no_graph_is_refused(tmp_path):
    (tmp_path / "encoder.onnx").write_bytes(b"no graph")
    with pytest.raises(InputError, match="is no ONNX model"):
        Encoder(tmp_path / "encoder.onnx", np.zeros((2, 4), np.float32), NetworkConfig(num_items=1, dim=4))
