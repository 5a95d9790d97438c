"""The encoders are their papers' formulas, and a state knows the items up to it and no others."""

import math

import pytest
import torch
import torch.nn.functional as F

from models.encoders import Transformer
from tests.networks import LENGTH, disturbed, histories


def states(model, history: torch.Tensor) -> torch.Tensor:
    with torch.inference_mode():
        return model.encoder(model.item_embedding(history), history != 0)


def sasrec(encoder: Transformer, items: torch.Tensor) -> torch.Tensor:
    """SASRec (arXiv 1808.09781, eq. 2–8) with biases by distance, one user, one position, one head at a time."""
    x = items
    for block in encoder.blocks:
        normal = F.layer_norm(x, x.shape[1:], block.attention_norm.weight, block.attention_norm.bias)
        wq, wk, wv = (part.chunk(block.num_heads) for part in block.qkv.weight.chunk(3))
        heads = []
        for head in range(block.num_heads):
            q, k, v = normal @ wq[head].T, normal @ wk[head].T, normal @ wv[head].T
            rows = []
            for t in range(len(x)):
                scores = [q[t] @ k[s] / math.sqrt(q.shape[1]) + block.recency[head, t - s] for s in range(t + 1)]
                rows.append(torch.stack(scores).softmax(dim=0) @ v[: t + 1])
            heads.append(torch.stack(rows))
        x = x + torch.cat(heads, dim=1) @ block.attention_out.weight.T
        normal = F.layer_norm(x, x.shape[1:], block.forward_norm.weight, block.forward_norm.bias)
        x = x + block.down(F.gelu(block.up(normal)))
    return F.layer_norm(x, x.shape[1:], encoder.norm.weight, encoder.norm.bias)


@pytest.mark.parametrize("num_blocks", [1, 2])
def test_the_transformer_is_sasrec(num_blocks):
    model, history = disturbed(encoder="transformer", num_blocks=num_blocks), histories(10, 4, 1)
    found = states(model, history)
    for line, length in enumerate((10, 4, 1)):
        expected = sasrec(model.encoder, model.item_embedding(history[line, LENGTH - length :]))
        torch.testing.assert_close(found[line, LENGTH - length :], expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("num_blocks", [1, 2])
def test_the_gru_reads_a_padded_history_as_the_bare_one(num_blocks):
    model, history = disturbed(encoder="gru", num_blocks=num_blocks), histories(10, 4, 1)
    found = states(model, history)
    for line, length in enumerate((10, 4, 1)):
        bare = model.item_embedding(history[line : line + 1, LENGTH - length :])
        torch.testing.assert_close(found[line, LENGTH - length :], model.encoder.gru(bare)[0][0])
        assert not found[line, : LENGTH - length].any()  # left padding leaves the state at zero


@pytest.mark.parametrize("encoder", ["gru", "transformer"])
def test_a_later_item_changes_no_earlier_state(encoder):
    model, history = disturbed(encoder=encoder, num_blocks=2), histories(10, 6)
    before = states(model, history)
    for position in range(5, LENGTH):
        changed = history.clone()
        changed[:, position] = changed[:, position] % 100 + 1
        after = states(model, changed)
        assert torch.equal(after[:, :position], before[:, :position])
        assert not torch.isclose(after[:, position:], before[:, position:]).all(dim=-1).any()


@pytest.mark.parametrize("encoder", ["gru", "transformer"])
def test_a_history_gives_the_same_states_wherever_in_the_window_it_stands(encoder):
    model, history = disturbed(encoder=encoder, num_blocks=2), histories(4)
    at_the_end = states(model, history)[0, 6:]
    for place in range(7):
        moved = torch.zeros_like(history)
        moved[0, place : place + 4] = history[0, 6:]
        torch.testing.assert_close(states(model, moved)[0, place : place + 4], at_the_end, rtol=1e-4, atol=1e-5)


def test_padding_never_leaks_whatever_its_vector():
    model, history = disturbed(encoder="transformer", num_blocks=2), histories(10, 4, 1)
    vectors, valid = model.item_embedding(history).detach(), history != 0
    other = torch.where(valid[..., None], vectors, torch.randn_like(vectors))
    with torch.inference_mode():
        before, after = model.encoder(vectors, valid), model.encoder(other, valid)
    assert torch.equal(before[valid], after[valid])
    assert before.isfinite().all()
