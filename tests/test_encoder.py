"""The served encoder: what the network computes, for each line as if it were alone."""

import numpy as np
import onnx
import pytest
import torch

from models.config import NetworkConfig
from models.encoder import Encoder
from models.errors import InputError
from models.network import Network
from models.pipeline.build import check_parity, export_encoder
from models.pipeline.presets import MODELS
from models.sequences import Rows
from tests.networks import disturb


@pytest.fixture(scope="module", params=MODELS)
def pair(request, tmp_path_factory) -> tuple[Network, Encoder]:
    """Each model, every part of it doing something, and its export."""
    torch.manual_seed(0)
    values = {name: value for name, value in MODELS[request.param].items() if name in NetworkConfig.model_fields}
    model = disturb(Network(NetworkConfig(num_items=1152, **values))).eval()
    path = tmp_path_factory.mktemp("encoder") / "encoder.onnx"
    export_encoder(model, path)
    vectors = np.concatenate([np.zeros((1, model.config.dim), np.float32), model.item_vectors()])
    return model, Encoder(path, vectors, model.config)


def histories(count: int, max_len: int) -> Rows:
    """Left-padded histories of every length from 1 on."""
    rng = np.random.default_rng(0)
    lengths = np.arange(count) % max_len + 1
    rows = rng.integers(1, 1153, size=(count, max_len), dtype=np.int32)
    return np.where(np.arange(max_len) >= max_len - lengths[:, None], rows, 0)


def test_it_computes_what_the_network_computes(pair, dataset):
    model, encoder = pair
    check_parity(model, encoder, dataset)


@pytest.mark.parametrize("extractor", ["b2i-routing", "dynamic-routing"])
def test_a_capsule_without_length_is_served_as_one(extractor, tmp_path):
    model = Network(NetworkConfig(num_items=9, max_len=5, steps=0, extractor=extractor)).eval()
    torch.nn.init.zeros_(model.extractor.map)
    export_encoder(model, tmp_path / "encoder.onnx")
    vectors = np.concatenate([np.zeros((1, model.config.dim), np.float32), model.item_vectors()])
    found = Encoder(tmp_path / "encoder.onnx", vectors, model.config).encode(np.array([[0, 0, 3, 4, 5]], np.int32))
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


def test_a_graph_of_one_length_still_serves(tmp_path):
    """As bundles had it before short histories were computed short."""
    model = Network(NetworkConfig(num_items=1152, encoder="transformer", extractor="contextual")).eval()
    export_encoder(model, tmp_path / "encoder.onnx")
    vectors = np.concatenate([np.zeros((1, model.config.dim), np.float32), model.item_vectors()])
    rows = histories(3, model.config.max_len)
    expected = Encoder(tmp_path / "encoder.onnx", vectors, model.config).explain(rows)
    graph = onnx.load(tmp_path / "encoder.onnx")
    for field in (*graph.graph.input, *graph.graph.output):
        for size in field.type.tensor_type.shape.dim:
            if size.dim_param == "length":
                size.dim_value = model.config.max_len
    onnx.save(graph, tmp_path / "encoder.onnx")
    found = Encoder(tmp_path / "encoder.onnx", vectors, model.config).explain(rows)
    for one, other in zip(found, expected, strict=True):
        assert np.array_equal(one, other)


def test_what_is_no_graph_is_refused(tmp_path):
    (tmp_path / "encoder.onnx").write_bytes(b"no graph")
    with pytest.raises(InputError, match="is no ONNX model"):
        Encoder(tmp_path / "encoder.onnx", np.zeros((2, 4), np.float32), NetworkConfig(num_items=1, dim=4))
