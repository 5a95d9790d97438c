"""Errors as RFC 9457 problem details: each knows its status, one handler writes them all."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import orjson
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

logger = logging.getLogger(__name__)
MEDIA_TYPE = "application/problem+json"
EXAMPLES = {
    401: "give Authorization: Bearer <one of DMI_API_KEYS>",
    403: "this token is not an API key",
    404: "there is no item 'yoga-99'",
    408: "the body did not arrive within 10 seconds; send it again",
    409: "10000 items have changed; build a bundle that holds them: dmi build --redis",
    413: "the body is larger than 1048576 bytes; send it in parts",
    422: "n: Input should be less than or equal to 1000",
    429: "too many requests at once; try again",
    503: "the history store cannot be reached; send these events again",
}


class Problem(HTTPException):
    """A request that cannot be served; `detail` says what to do about it.

    An HTTPException, because FastAPI turns anything else that is raised while it reads a body into a 400.
    """

    def body(self) -> dict[str, Any]:
        """The members of the problem document."""
        return {
            "type": "about:blank",
            "title": HTTPStatus(self.status_code).phrase,
            "status": self.status_code,
            "detail": self.detail,
        }

    def response(self) -> Response:
        """The problem as an HTTP response."""
        return Response(orjson.dumps(self.body()), self.status_code, self.headers, MEDIA_TYPE)


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """What a route may answer besides success, for the schema: each status with an example."""
    schema = {"$ref": "#/components/schemas/ProblemBody"}
    return {
        status: {
            "description": HTTPStatus(status).phrase,
            "content": {MEDIA_TYPE: {"schema": schema, "example": Problem(status, EXAMPLES[status]).body()}},
        }
        for status in statuses
    }


def validation_problem(error: ValidationError | RequestValidationError) -> Problem:
    """422 naming each field that is wrong."""
    complaints = [f"{_field(problem)}: {_message(problem)}" for problem in error.errors()]
    return Problem(422, "; ".join(complaints[:5]))


def _field(problem: Mapping[str, Any]) -> str:
    if problem["type"] == "json_invalid":
        return "body"  # its location is a position in the text
    names = [str(part) for part in problem["loc"] if part not in ("query", "body", "path", "header")]
    return ".".join(names) or "body"


def _message(problem: Mapping[str, Any]) -> str:
    if problem["type"] == "extra_forbidden":
        return "no such parameter"
    if problem["type"] == "json_invalid":
        return f"is no JSON ({problem['ctx']['error']})"
    return str(problem["msg"]).removeprefix("Value error, ")


def install(app: FastAPI) -> None:
    """Write every error as a problem document (the unexpected ones are the middleware's)."""

    @app.exception_handler(RequestValidationError)
    async def _invalid(request: Request, error: RequestValidationError) -> Response:
        return validation_problem(error).response()

    @app.exception_handler(HTTPException)
    async def _http(request: Request, error: HTTPException) -> Response:
        if error.status_code == 400 and "parsing the body" in error.detail:  # bytes that are no text, endless nesting
            return Problem(422, "body: is no JSON").response()
        if error.status_code == HTTPStatus.SERVICE_UNAVAILABLE and error.__cause__ is not None:
            logger.warning("%s: %s", error.detail, error.__cause__)  # the caller cannot do anything about it, we can
        return Problem(error.status_code, error.detail, error.headers).response()
