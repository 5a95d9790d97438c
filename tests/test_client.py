"""The client says what the service says, in types."""

import pytest

from service.client import Client, Refused
from service.schemas.events import Event
from service.schemas.fields import ProblemBody
from service.schemas.items import ItemChange
from service.schemas.match import MatchAnswer, MatchRequest
from tests.conftest import TOKEN, Service


def test_a_user_lives_through_the_client(own_service: Service):
    with Client(own_service.url, TOKEN) as client:
        sent = client.send([Event(user_id="typed/../user", item_id="yoga-01", kind="purchase")])
        assert (sent.accepted, sent.duplicates, sent.unknown_items) == (1, 0, 0)
        placed = client.put_item("typed/../mat", ItemChange(category="Yoga", like=["yoga-01"]))
        assert placed.item_id == "typed/../mat"
        personal, refused = client.match(
            [MatchRequest(user_id="typed/../user", n=5, explain=True), MatchRequest(user_id="typed/../user", steps=60)]
        )
        assert isinstance(personal, MatchAnswer)
        assert personal.source == "dmi"
        assert "typed/../mat" in [candidate.item_id for candidate in personal.candidates]
        assert personal.interests
        assert personal.interests[0].history[0].title == "Alder Mat"
        assert isinstance(refused, ProblemBody)
        assert refused.detail.startswith("steps: ")
        client.delete_item("typed/../mat")
        client.forget("typed/../user")
        (stranger,) = client.match([MatchRequest(user_id="typed/../user")])
        assert isinstance(stranger, MatchAnswer)
        assert stranger.source == "popular"


def test_what_the_service_refuses_is_raised_with_its_reason(own_service: Service):
    with (
        Client(own_service.url) as client,
        pytest.raises(Refused, match="401 Unauthorized: give Authorization") as raised,
    ):
        client.delete_item("yoga-01")
    assert raised.value.problem.status == 401
