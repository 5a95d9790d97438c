"""The library: candidates from a bundle's folder, without HTTP, Redis or an event loop."""

import re
from pathlib import Path

import pytest

from models.errors import InputError
from models.multi_interest import MultiInterest
from service.matcher import Matcher
from service.query import Query
from tests.conftest import Service

README = (Path(__file__).parent.parent / "README.md").read_text()


def test_the_readmes_three_lines_run(artifacts, monkeypatch):
    monkeypatch.chdir(artifacts.parent)
    code = re.search(r"```python\n(.*?)```", README, re.DOTALL)
    assert code
    lines = code[1].replace('"artifacts"', f'"{artifacts.name}"')
    names: dict[str, object] = {}
    exec(lines, names)  # noqa: S102
    assert len(names["answer"].item_ids) == 10


def test_it_answers_what_the_service_answers(service: Service, bundle):
    session = ["yoga-01", "espresso-03"]
    asked = [Query(history=session, n=20), Query(history=session, category=["Yoga"], diversity=0.3), Query(n=5)]
    requests = [
        {"history": session, "n": 20},
        {"history": session, "category": ["Yoga"], "diversity": 0.3},
        {"history": [], "n": 5},
    ]
    served = service.client.post("/match", json={"requests": requests}).json()["results"]
    for path in (bundle.path, bundle.path.parent, str(bundle.path)):
        answers = Matcher.load(path).match(asked)
        for answer, expected in zip(answers, served, strict=True):
            assert answer.item_ids == [candidate["item_id"] for candidate in expected["candidates"]]
            assert answer.scores == [candidate["score"] for candidate in expected["candidates"]]
            assert (answer.version, answer.source) == (expected["version"], expected["source"])


def test_nobody_is_searched_for_with_what_another_gave(bundle, monkeypatch):
    searched = []
    search = MultiInterest.search

    def noted(self, queries, count, allowed=None):
        searched.append(queries.shape[:2])
        return search(self, queries, count, allowed)

    monkeypatch.setattr(MultiInterest, "search", noted)
    session, own = ["yoga-01", "espresso-03"], bundle.config.num_interests
    giving = Query(history=session, n=5, like=["fishing-01", "camping-01", "no such item"])
    together = Matcher.load(bundle.path)
    searched.clear()  # its first answer of all
    answers = together.match([Query(history=session, n=5), giving, Query(history=session[:1], n=5)])
    assert sorted(searched) == [(1, own + 2), (2, own)]
    alone = [Matcher.load(bundle.path).match([one])[0] for one in (Query(history=session, n=5), giving)]
    assert [answer.item_ids for answer in answers[:2]] == [answer.item_ids for answer in alone]


def test_what_is_no_bundle_is_refused(tmp_path):
    with pytest.raises(InputError, match="is no bundle"):
        Matcher.load(tmp_path)
