"""Views: attention from each position is what it would be from a history that ends there."""

import pytest
import torch

from models.views import Views

B, L, H, K, D = 3, 5, 2, 4, 6
GENERATOR = torch.Generator().manual_seed(0)
VALID = torch.tensor([[0, 0, 1, 1, 1], [1, 1, 1, 1, 1], [0, 0, 0, 0, 1]], dtype=torch.bool)
AT = torch.tensor([14, 3, 9, 5, 4])  # line · L + position, in no order


def random(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=GENERATOR)


def test_a_view_sees_the_items_up_to_its_own_position():
    views = Views.of(VALID, AT)
    for view, at in enumerate(AT.tolist()):
        line, position = divmod(at, L)
        assert views.visible[view].tolist() == [bool(VALID[line, i]) and i <= position for i in range(L)]
        assert views.lag[view].tolist() == [max(position - i, 0) for i in range(L)]


def test_serving_looks_from_the_last_position_of_each_history():
    served, asked = Views.of(VALID, None), Views.of(VALID, torch.tensor([4, 9, 14]))
    states = random(B, L, D)
    assert torch.equal(served.own(states), asked.own(states))
    assert torch.equal(served.visible, asked.visible)
    assert torch.equal(served.lag.expand(B, -1), asked.lag)


@pytest.mark.parametrize("at", [None, AT], ids=["serving", "training"])
def test_scores_and_means_are_those_of_the_views_own_history(at):
    views, lines = Views.of(VALID, at), range(B) if at is None else (at // L).tolist()
    queries, weights = random(len(lines), H, K, D), random(len(lines), H, K, L)
    keys = random(B, H, L, D)
    scores, means = views.scores(queries, keys), views.means(weights, keys)
    for view, line in enumerate(lines):
        torch.testing.assert_close(scores[view], queries[view] @ keys[line].transpose(1, 2))
        torch.testing.assert_close(means[view], weights[view] @ keys[line])
