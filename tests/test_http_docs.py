"""The examples of docs/http.md run, and give what the text says."""

import os
import re
import subprocess
from pathlib import Path

import pytest

from tests.conftest import TOKEN, Service

BLOCKS = re.findall(r"```sh\n(.*?)```", (Path(__file__).parent.parent / "docs" / "http.md").read_text(), re.DOTALL)
COMMANDS = [
    command for block in BLOCKS for command in re.split(r"\n(?=curl )", block.strip().replace("\\\n", " ")) if command
]


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: " ".join(command.split())[:60])
def test_the_example_runs(own_service: Service, command):
    assert command.startswith("curl ")
    address = own_service.url.removeprefix("http://")
    here = command.replace("localhost:8000", address).replace(
        "curl ", "curl --silent --show-error --fail-with-body ", 1
    )
    ran = subprocess.run(
        ["bash", "-c", here], capture_output=True, text=True, env={**os.environ, "DMI_ADMIN_TOKEN": TOKEN}
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_each_control_has_an_example(own_service: Service):
    parameters = own_service.client.get("/openapi.json").json()["paths"]["/match"]["get"]["parameters"]
    written = "\n".join(BLOCKS)
    for name in (parameter["name"] for parameter in parameters):
        assert f"{name}=" in written, name
    for path in (
        "/events",
        "/users/",
        "/items/",
        "/livez",
        "/readyz",
        "/version",
        "/metrics",
        "/admin/reload",
        "/explorer/users",
        "/explorer/items",
        "/explorer/catalogue",
    ):
        assert path in written
