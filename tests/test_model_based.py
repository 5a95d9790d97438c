"""Whatever happens in whatever order, an answer is full, distinct, and holds nothing that it must not.

Hypothesis plays events, deletions, changes of items and questions against the running service, beside a model of it
in a few dictionaries.
"""

from collections import Counter
from itertools import count

import hypothesis.strategies as st
from hypothesis import HealthCheck, settings
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test

from models.bundle import Bundle
from tests.conftest import Service
from tests.test_items import BEARER

TOPICS = ("Yoga", "Baking", "Made up")
OLD = tuple(f"{topic}-{number:02d}" for topic in ("yoga", "baking", "espresso") for number in (1, 2, 3, 47))
NEW = ("new-1", "new/2")
items = st.sampled_from((*OLD, *NEW))
users = st.sampled_from(("ann", "bob", "stranger"))
run_number = count()


def test_no_sequence_of_events_changes_and_questions_breaks_an_answer(own_service: Service, bundle: Bundle):
    rows = range(1, len(bundle.catalogue) + 1)
    original = {item.item_id: item.category for item in map(bundle.catalogue.item, rows)}
    client = own_service.client

    class Matching(RuleBasedStateMachine):
        """The rules of the service, and what it should know."""

        def __init__(self) -> None:
            super().__init__()
            self.run = next(run_number)  # every run has users of its own
            self.catalogue = dict(original)
            self.changed: set[str] = set()
            self.events: dict[str, dict[str, str | None]] = {}  # user → item → kind of the last event about it

        def teardown(self) -> None:
            for item in self.changed:
                body = None if item in NEW else {}
                client.request("DELETE" if item in NEW else "PUT", f"/items/{item}", json=body, headers=BEARER)

        @rule(user=users, item=items, kind=st.sampled_from((None, "view", "purchase", "impression", "dislike")))
        def act(self, user: str, item: str, kind: str | None) -> None:
            own_service.post_events({"user_id": f"{user}-{self.run}", "item_id": item, "kind": kind})
            self.events.setdefault(user, {})[item] = kind

        @rule(user=users)
        def forget(self, user: str) -> None:
            assert client.delete(f"/users/{user}-{self.run}").status_code == 204
            self.events.pop(user, None)

        @rule(item=items, category=st.sampled_from(TOPICS), like=st.sampled_from(OLD))
        def put(self, item: str, category: str, like: str) -> None:
            body = {"category": category, "like": [like]}
            assert client.put(f"/items/{item}", json=body, headers=BEARER).status_code == 200
            self.catalogue[item] = category
            self.changed.add(item)

        @rule(item=st.sampled_from(OLD))
        def put_back(self, item: str) -> None:
            assert client.put(f"/items/{item}", json={}, headers=BEARER).status_code == 200
            self.catalogue[item] = original[item]

        @rule(item=items)
        def delete(self, item: str) -> None:
            known = item in original or item in self.changed
            status = client.delete(f"/items/{item}", headers=BEARER).status_code
            assert status == 204 if known else status in (204, 404)  # an earlier run may have known it
            self.catalogue.pop(item, None)
            if status == 204:
                self.changed.add(item)

        @rule(
            user=st.one_of(st.none(), users),
            history=st.lists(items, max_size=5),
            n=st.sampled_from((1, 7, 60, 1000)),
            exclude=st.lists(items, max_size=8),
            exclude_seen=st.booleans(),
            category=st.lists(st.sampled_from((*TOPICS, "Nowhere")), max_size=2),
            limit=st.sampled_from((None, None, 1, 3)),
            diversity=st.sampled_from((0, 0, 0.3, 1)),
            diversify=st.sampled_from(("mmr", "category")),
            merge=st.sampled_from(("max-score", "interleaved")),
            topic=st.lists(st.sampled_from(TOPICS), max_size=1),
            steps=st.sampled_from((None, 0, 2)),
            explain=st.booleans(),
        )
        def ask(self, user, history, n, exclude, exclude_seen, category, limit, **more) -> None:
            stored = self.events.get(user, {}) if user else {}
            unwanted = {*exclude, *(item for item, kind in stored.items() if kind == "dislike")}
            if exclude_seen:
                unwanted |= {*stored, *history}
            available = {
                item: of
                for item, of in self.catalogue.items()
                if item not in unwanted and (not category or of in category)
            }
            request = {"history": history, "n": n, "exclude": exclude, "exclude_seen": exclude_seen, **more}
            request |= {"category": category, "max_per_category": limit}
            request |= {"user_id": f"{user}-{self.run}"} if user else {}
            (answer,) = client.post("/match", json={"requests": [request]}).json()["results"]
            found = [candidate["item_id"] for candidate in answer["candidates"]]
            by_category = Counter(available.values())
            most = sum(min(size, limit or size) for size in by_category.values())
            assert answer["degraded"] is None
            assert len(found) == len(set(found)) == min(n, most)
            assert available.keys() >= set(found)
            if limit and found:
                assert max(Counter(available[item] for item in found).values()) <= limit
            scores = [candidate["score"] for candidate in answer["candidates"]]
            if not more["diversity"] and (more["merge"] == "max-score" or answer["source"] == "popular"):
                assert scores == sorted(scores, reverse=True)
            if more["explain"]:
                shares = sum(interest["weight"] for interest in answer["interests"])
                assert abs(shares - (answer["source"] == "dmi")) < 1e-4

    run_state_machine_as_test(
        Matching,
        settings=settings(
            max_examples=25,
            stateful_step_count=20,
            deadline=None,
            database=None,
            print_blob=True,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
        ),
    )
