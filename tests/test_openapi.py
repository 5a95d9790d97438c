"""What /openapi.json says is what the service does: no 5xx, no answer that it does not describe."""

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.conftest import Service
from tests.test_items import BEARER

CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]


@pytest.fixture(scope="module")
def described(own_service: Service):
    return schemathesis.openapi.from_url(f"{own_service.url}/openapi.json")


schema = schemathesis.pytest.from_fixture("described")


@schema.parametrize()
@settings(
    max_examples=40,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
def test_every_answer_is_one_that_the_schema_describes(case):
    case.call_and_validate(headers=BEARER, checks=CHECKS)


def test_every_route_has_an_example_of_what_it_takes_and_of_each_error(own_service: Service):
    document = own_service.client.get("/openapi.json").json()
    models = document["components"]["schemas"]

    def has_example(content: dict[str, dict[str, object]]) -> bool:
        (media,) = content.values()
        name = str(media["schema"].get("$ref", "")).rpartition("/")[2]
        fields = models[name]["properties"].values() if name else ()
        return "example" in media or "examples" in models.get(name, {}) or any("examples" in field for field in fields)

    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            bodies = [operation["requestBody"]["content"]] if "requestBody" in operation else []
            answers = [answer["content"] for answer in operation["responses"].values() if "content" in answer]
            for content in (*bodies, *answers):
                if "text/plain" not in content:
                    assert has_example(content), (method, path, content)
