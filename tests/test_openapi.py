"""What /openapi.json says is what the service does: no 5xx, no answer that it does not describe."""

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from service.app import create_app
from tests.conftest import Service
from tests.test_items import BEARER

CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]


SCHEMA = schemathesis.openapi.from_dict(create_app().openapi())
OPERATIONS = {operation.label: operation for operation in (found.ok() for found in SCHEMA.get_all_operations())}


@pytest.mark.parametrize("label", OPERATIONS)
def test_every_answer_is_one_that_the_schema_describes(own_service: Service, label):
    @given(case=OPERATIONS[label].as_strategy())
    @settings(max_examples=40, deadline=None, database=None, print_blob=True, suppress_health_check=list(HealthCheck))
    def answers(case: schemathesis.Case) -> None:
        case.call_and_validate(base_url=own_service.url, headers=BEARER, checks=CHECKS)

    answers()


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
