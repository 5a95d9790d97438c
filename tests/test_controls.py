"""What a caller may ask of an answer: filters that hold, answers that are full, order that means what it says."""

from collections import Counter
from itertools import pairwise

import numpy as np
import pytest

from models.catalogue import Catalogue
from models.multi_interest import MultiInterest
from service.matcher import Matcher
from service.query import Query
from tests.conftest import Service
from tests.test_service import event, problem

ESPRESSO_AND_YOGA = ("espresso-03", "yoga-01", "espresso-05", "yoga-02", "fishing-02")


@pytest.fixture(scope="module")
def user(service: Service) -> str:
    service.post_events(*(event("controlled", item, timestamp=t) for t, item in enumerate(ESPRESSO_AND_YOGA)))
    return "controlled"


@pytest.fixture(scope="module")
def category(bundle) -> dict[str, str]:
    items = [bundle.catalogue.item(row) for row in range(1, len(bundle.catalogue) + 1)]
    return {item.item_id: item.category or "" for item in items}


# Filters


@pytest.mark.parametrize("who", ["controlled", "nobody"])
@pytest.mark.parametrize("n", [1, 10, 47, 1000])
def test_a_narrow_filter_is_searched_to_its_end(service: Service, user, category, who, n):
    seen = set(ESPRESSO_AND_YOGA) if who == user else set()
    found = service.candidates(who, n=n, category="Yoga")
    available = {item for item, of in category.items() if of == "Yoga"} - seen
    assert len(found) == len(set(found)) == min(n, len(available))
    assert set(found) <= available


def test_several_categories_are_any_of_them(service: Service, user, category):
    found = service.candidates(user, n=1000, category=["Yoga", "Baking"])
    expected = {item for item, of in category.items() if of in ("Yoga", "Baking")} - set(ESPRESSO_AND_YOGA)
    assert set(found) == expected


def test_a_filtered_answer_is_the_whole_answer_filtered(service: Service, user, category):
    everything = service.candidates(user, n=1000, exclude_seen=False)
    baking = [item for item in everything if category[item] == "Baking"]
    assert service.candidates(user, n=1000, category="Baking", exclude_seen=False)[: len(baking)] == baking


@pytest.mark.parametrize("who", ["controlled", "nobody"])
def test_a_category_that_no_item_has_finds_nothing(service: Service, user, who):
    answer = service.client.get("/match", params={"user_id": who, "category": "No such thing"})
    assert (answer.status_code, answer.json()["candidates"], answer.json()["degraded"]) == (200, [], None)


def test_ten_thousand_exclusions_hold_and_one_more_is_refused(service: Service, user, category):
    left = sorted(category)[:30]
    excluded = sorted(category)[30:] + [f"stranger-{i}" for i in range(10_000 - len(category) + 30)]
    asked = [{"user_id": who, "exclude": excluded, "n": 100, "exclude_seen": False} for who in (user, "nobody")]
    for answer in service.client.post("/match", json={"requests": asked}).json()["results"]:
        assert sorted(candidate["item_id"] for candidate in answer["candidates"]) == left
    asked[0]["exclude"] = [*excluded, "one more"]
    (refused,) = service.client.post("/match", json={"requests": asked[:1]}).json()["results"]
    assert refused["status"] == 422
    assert refused["detail"].startswith("exclude: List should have at most 10000 items")
    refused = service.client.get(f"/match?user_id={user}&exclude=" + ",".join(f"{i}" for i in range(10_001)))
    assert problem(refused, 422) == "exclude: 10001 items, where 10000 are allowed"


def test_a_session_of_a_hundred_thousand_items_counts_its_last_ones(service: Service, bundle):
    recent = list(ESPRESSO_AND_YOGA) * 6  # as many as the model reads
    session = ["board-games-01"] * (100_000 - len(recent)) + recent
    short, long = (
        service.client.post("/match", json={"requests": [{"history": history, "exclude": ["board-games-01"]}]})
        for history in (recent, session)
    )
    assert long.status_code == 413  # its text is larger than a body may be
    assert len(recent) == bundle.config.max_len
    session = session[-40_000:]
    long = service.client.post("/match", json={"requests": [{"history": session, "exclude": ["board-games-01"]}]})
    assert long.json() == short.json()


@pytest.mark.parametrize("who", ["controlled", "nobody"])
@pytest.mark.parametrize(("limit", "n"), [(1, 10), (1, 100), (3, 50), (30, 1000)])
def test_no_category_has_more_than_its_limit_and_the_answer_is_still_full(
    service: Service, user, category, who, limit, n
):
    seen = Counter(category[item] for item in ESPRESSO_AND_YOGA if who == user)
    found = service.candidates(who, n=n, max_per_category=limit)
    counts = Counter(category[item] for item in found)
    assert max(counts.values()) <= limit
    sizes = Counter(category.values())
    assert len(set(found)) == min(n, sum(min(limit, sizes[of] - seen[of]) for of in sizes))


def test_under_a_limit_the_best_of_each_category_come_in_order(service: Service, user, category):
    everything = service.candidates(user, n=1000)
    taken: Counter[str] = Counter()
    expected = []
    for item in everything:
        taken[category[item]] += 1
        if taken[category[item]] <= 2:
            expected.append(item)
    assert service.candidates(user, n=20, max_per_category=2) == expected[:20]


def test_a_limit_is_met_without_a_search_through_the_whole_catalogue(bundle, category, monkeypatch):
    depths = []
    search = MultiInterest.search

    def watched(self, queries, count, allowed=None):
        depths.append(count)
        return search(self, queries, count, allowed)

    monkeypatch.setattr(MultiInterest, "search", watched)
    yoga = [item for item in category if category[item] == "Yoga"]  # one category is out of reach
    query = Query(history=ESPRESSO_AND_YOGA, exclude=yoga, max_per_category=1, n=30)
    [answer] = Matcher.load(bundle.path).match([query])
    assert len(answer.item_ids) == len(set(category.values())) - 1
    assert max(depths) <= 2 * query.n + len(yoga) < len(category) / 8


# Diversity


def likeness(bundle, items: list[str]) -> float:
    """Cosine of each item with the one before it that it is most like; the mean."""
    vectors = bundle.index.vectors(np.array([bundle.rows[item] for item in items], np.int32))
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return float(np.mean([(unit[:i] @ unit[i]).max() for i in range(1, len(unit))]))


def test_more_diversity_is_less_alike_and_none_changes_nothing(service: Service, user, bundle):
    plain = service.candidates(user, n=20)
    assert service.candidates(user, n=20, diversity=0) == plain
    by_strength = [service.candidates(user, n=20, diversity=strength) for strength in (0.2, 0.5, 0.9)]
    alike = [likeness(bundle, items) for items in (plain, *by_strength)]
    assert all(less <= more + 0.01 for more, less in pairwise(alike))  # MMR is greedy: it promises no order to the bit
    assert alike[0] > alike[-1] + 0.05
    assert not set(by_strength[-1]) <= set(service.candidates(user, n=20))  # chosen from a larger pool
    assert all(items[0] == plain[0] and len(set(items)) == 20 for items in by_strength)


def same_category(items: list[str], category: dict[str, str]) -> int:
    """How many pairs of these items share a category: what ComiRec's λ weighs against the scores."""
    counts = Counter(category[item] for item in items)
    return sum(count * (count - 1) // 2 for count in counts.values())


def test_diversity_by_category_has_fewer_items_share_one(service: Service, user, category):
    diverse = {"n": 20, "diversity": 0.5, "diversify": "category"}
    by_category, plain = service.candidates(user, **diverse), service.candidates(user, n=20)
    assert same_category(by_category, category) <= same_category(plain, category)  # which may be mixed as it is
    one_topic = [{"history": ["yoga-01", "yoga-02", "yoga-07"], **asked} for asked in (diverse, {"n": 20})]
    results = service.client.post("/match", json={"requests": one_topic}).json()["results"]
    by_category, plain = ([found["item_id"] for found in answer["candidates"]] for answer in results)
    assert same_category(by_category, category) < same_category(plain, category)


def test_diversity_and_limits_and_filters_hold_together(service: Service, user, category):
    found = service.candidates(user, n=1000, diversity=0.4, max_per_category=5, category=["Yoga", "Baking", "Camping"])
    assert Counter(category[item] for item in found) == {"Yoga": 5, "Baking": 5, "Camping": 5}


# Merging


def test_interleaved_interests_take_turns_by_weight(service: Service, user):
    asked = {"user_id": user, "n": 60, "merge": "interleaved", "explain": True}
    answer = service.client.get("/match", params=asked).json()
    weights = np.array([interest["weight"] for interest in answer["interests"]])
    assert weights.sum() == pytest.approx(1)
    seats = (np.arange(60)[:, None] + 0.5) / weights  # Sainte-Laguë's: (60, K)
    turns = seats.argsort(axis=None)[:60] % len(weights)
    assert [candidate["interest"] for candidate in answer["candidates"]] == turns.tolist()
    assert len({candidate["item_id"] for candidate in answer["candidates"]}) == 60


CONTROLS = (
    {},
    {"n": 200},
    {"category": ["Yoga"]},
    {"category": ["Yoga"], "n": 3, "merge": "interleaved"},
    {"merge": "interleaved", "n": 30},
    {"max_per_category": 1, "n": 30},
    {"max_per_category": 1, "n": 10, "merge": "interleaved"},
    {"max_per_category": 1, "n": 60, "merge": "interleaved"},
    {"max_per_category": 2, "diversity": 0.5},
    {"diversity": 0.5, "n": 5},
    {"diversity": 0.2, "diversify": "category", "n": 100},
    {"topic": ["Baking"], "like": ["camping-01"]},
    {"exclude": [f"yoga-{number:02d}" for number in range(1, 49)], "explain": True, "steps": 0},
    {"exclude": [f"stranger-{number}" for number in range(3000)], "n": 9},
)


def test_an_answer_in_company_is_the_answer_alone_to_the_bit(service: Service, bundle):
    sessions = [list(ESPRESSO_AND_YOGA), bundle.item_ids[5:40], bundle.item_ids[:1100], []]
    requests = [{"history": session, **controls} for session in sessions for controls in CONTROLS]
    together = service.client.post("/match", json={"requests": requests}).json()["results"]
    for request, answer in zip(requests, together, strict=True):
        (alone,) = service.client.post("/match", json={"requests": [request]}).json()["results"]
        assert answer == alone, request


# Interests that the caller gives


def test_given_interests_are_searched_beside_the_users_own(service: Service, user, category):
    # n: two topics have some hundred items, so that the user's own have room however the scores compare
    asked = {"user_id": user, "n": 200, "topic": ["Baking", "No such thing"], "like": "jazz-records-01,stranger"}
    candidates = service.client.get("/match", params=asked).json()["candidates"]
    by_interest = {c["interest"]: category[c["item_id"]] for c in reversed(candidates)}
    assert by_interest[4] == "Baking"
    assert by_interest[6] == "Jazz records"
    assert by_interest.keys() <= {0, 1, 2, 3, 4, 6}
    assert {category[c["item_id"]] for c in candidates} >= {"Espresso", "Yoga", "Baking", "Jazz records"}


def test_topics_make_an_answer_for_somebody_who_is_new(service: Service, category):
    results = service.client.post(
        "/match",
        json={"requests": [{"topic": ["Baking"], "n": 10}, {"user_id": "nobody", "like": ["yoga-01"], "n": 10}]},
    ).json()["results"]
    for answer, topic in zip(results, ("Baking", "Yoga"), strict=True):
        assert answer["source"] == "dmi"
        assert {category[candidate["item_id"]] for candidate in answer["candidates"]} == {topic}
        assert {candidate["interest"] for candidate in answer["candidates"]} == {4}


# Explanations


def test_an_explanation_says_where_an_answer_comes_from(service: Service, user, bundle):
    plain = service.client.get("/match", params={"user_id": user, "n": 5}).json()
    answer = service.client.get("/match", params={"user_id": user, "n": 5, "explain": True, "topic": "Baking"}).json()
    assert answer["candidates"][0].keys() == {"item_id", "score", "interest", "title", "category"}
    assert plain["candidates"][0].keys() == {"item_id", "score", "interest"}
    assert "interests" not in plain
    assert answer["candidates"][0]["category"] in ("Espresso", "Yoga", "Fishing", "Baking")
    own, (given,) = answer["interests"][:4], answer["interests"][4:]
    for interest in own:
        assert [entry["item_id"] for entry in interest["history"]] == list(ESPRESSO_AND_YOGA)
        assert interest["history"][0]["title"] == "Alder Portafilter"
        assert sum(entry["weight"] for entry in interest["history"]) == pytest.approx(1, abs=1e-5)
        assert not all(entry["pruned"] for entry in interest["history"])
        assert 0 < interest["shift"] < 2
        assert interest["face"]["item_id"] in bundle.rows
        assert interest["given"] is None
    assert any(entry["pruned"] for interest in own for entry in interest["history"])
    assert (given["interest"], given["given"], given["history"], given["shift"]) == (4, "Baking", [], 0)
    assert given["face"]["category"] == "Baking"


def test_coarse_interests_are_not_moved(service: Service, user):
    answer = service.client.get("/match", params={"user_id": user, "steps": 0, "explain": True}).json()
    assert [interest["shift"] for interest in answer["interests"]] == pytest.approx([0] * 4, abs=1e-6)


def test_popular_items_come_from_no_interest(service: Service):
    answer = service.client.get("/match", params={"user_id": "nobody", "explain": True}).json()
    assert answer["interests"] == []
    assert answer["candidates"][0]["title"]


# Bad input


@pytest.mark.parametrize(
    ("query", "detail"),
    [
        ("diversity=nan", "diversity: Input should be a finite number"),
        ("diversity=2", "diversity: Input should be less than or equal to 1"),
        ("diversity=-0.1", "diversity: Input should be greater"),
        ("diversify=magic", "diversify: Input should be 'mmr' or 'category'"),
        ("merge=", "merge: Input should be 'max-score' or 'interleaved'"),
        ("max_per_category=0", "max_per_category: Input should be greater"),
        ("category=", "category.0: String should have at least 1 character"),
        ("category=" + "x" * 10_240, "category.0: String should have at most 256 characters"),
        ("&".join(["category=a"] * 101), "category: List should have at most 100 items"),
        ("&".join(["topic=a"] * 17), "topic: List should have at most 16 items"),
        ("like=" + "a," * 17, "like: 17 items, where 16 are allowed"),
        ("explain=why", "explain: Input should be a valid boolean"),
    ],
)
def test_bad_controls_name_the_field(service: Service, query, detail):
    assert problem(service.client.get(f"/match?user_id=a&{query}"), 422).startswith(detail)


# The catalogue


def test_an_item_is_found_by_its_category_and_by_each_of_its_categories():
    import polars as pl

    table = pl.DataFrame(
        {
            "item": ["a", "b", "c", "d"],
            "title": ["A", None, None, None],
            "category": ["Drama", None, "Comedy", None],
            "categories": ["Drama|War", "War", None, None],
        }
    )
    catalogue = Catalogue(["a", "b", "c", "d"], {"a": 1, "b": 2, "c": 3, "d": 4}, table)
    assert catalogue.rows_of(["War"]).tolist() == [1, 2]
    assert catalogue.rows_of(["Drama", "Comedy", "Opera"]).tolist() == [1, 3]
    numbers = catalogue.category_numbers.tolist()
    assert numbers[0] == numbers[4] == -1
    assert len(set(numbers[1:4])) == 3
    assert catalogue.item(1) == ("a", "A", "Drama", ("Drama", "War"))
    assert catalogue.item(4) == ("d", None, None, ())
