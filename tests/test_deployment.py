"""The files that images and containers are made from, as far as they can be checked without a Docker engine."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
COMPOSE = (ROOT / "docker-compose.yml").read_text()
EXAMPLE = (ROOT / ".env.example").read_text()
VARIABLES = dict(re.findall(r"\$\{([A-Z_]+):-([^}]*)\}", COMPOSE))


@pytest.mark.parametrize("name", VARIABLES)
def test_each_variable_of_the_stack_is_explained_with_its_default(name):
    (shown,) = re.findall(rf"^#{name}=(.*)$", EXAMPLE, re.MULTILINE)
    if VARIABLES[name] and name != "GRAFANA_PASSWORD":  # which nobody shall copy
        assert shown == VARIABLES[name]


def test_the_example_names_nothing_else():
    assert set(re.findall(r"^#([A-Z_]+)=", EXAMPLE, re.MULTILINE)) == VARIABLES.keys()


def test_ports_are_published_on_the_loopback_address_only():
    published = re.findall(r'^ +- "?([^\s"]+:\d+)"?$', COMPOSE, re.MULTILINE)
    assert len(published) == 4
    assert all(re.fullmatch(r"127\.0\.0\.1:\$\{\w+_PORT:-\d+\}:\d+", port) for port in published)


def test_images_are_pinned():
    images = re.findall(r"image: (\S+)", COMPOSE) + re.findall(r"^ARG PYTHON_IMAGE=(\S+)", dockerfile(), re.MULTILINE)
    assert all(re.search(r":v?\d+\.\d+", image) for image in images if not image.startswith("dmi-match-"))


def test_what_serves_is_installed_without_what_trains():
    service, train = requirements(), requirements("train")
    assert "torch==2.13.0" in train
    assert not [line for line in service if line.startswith(("torch", "onnx>", "scipy"))]
    assert set(service) < set(train)
    assert any(line.startswith("httpx") for line in train)  # by an extra that the extra names
    assert [line for line in requirements("--build") if line.startswith("setuptools")]


def dockerfile():
    return (ROOT / "docker" / "Dockerfile").read_text()


def requirements(*arguments):
    command = [sys.executable, "docker/requirements.py", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
