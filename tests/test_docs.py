"""The documents keep up with the code: the tree, the settings, the models, the commands."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from models.lab.report import write_report
from models.pipeline.presets import COUNTED, MODELS
from service.settings import Settings
from tests.conftest import dmi

ROOT = Path(__file__).parent.parent
COMMANDS = (
    *("demo", "bootstrap", "prepare", "train", "evaluate", "build", "load", "serve"),
    *("tune", "lab", "report", "bench"),
)
README = (ROOT / "README.md").read_text()


@pytest.mark.parametrize(
    "path",
    sorted([*ROOT.glob("models/**/*.py"), *ROOT.glob("service/**/*.py"), *ROOT.glob("service/explorer/*")]),
    ids=str,
)
def test_the_readme_has_a_line_for_each_file(path):
    if path.name != "__init__.py":
        assert re.search(rf"^ +{re.escape(path.name)}\s+\S", README, re.MULTILINE), path


@pytest.mark.parametrize("name", Settings.model_fields)
def test_the_readme_explains_each_setting(name):
    assert f"`DMI_{name.upper()}`" in README


@pytest.mark.parametrize("name", [*MODELS, *COUNTED])
def test_the_readme_names_each_model(name):
    assert f"`{name}`" in README


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_explains_itself_and_its_variables(command):
    shown = dmi(command, "--help", COLUMNS="200")
    assert shown.returncode == 0
    options = re.findall(r"--[a-z-]+(?= )", shown.stdout)
    assert shown.stdout.count("DMI_") >= len(set(options) - {"--help", "--no-promote"}) - 1


def test_the_results_are_those_of_the_rows(tmp_path):
    committed = (ROOT / "RESULTS.md").read_text()
    shutil.copytree(ROOT / "results", tmp_path / "results", ignore=shutil.ignore_patterns("work"))
    write_report(tmp_path / "results", tmp_path / "RESULTS.md")
    assert (tmp_path / "RESULTS.md").read_text() == committed
    first_table = re.search(r"^\| Data .*?(?=\n\n)", committed, re.MULTILINE | re.DOTALL)
    assert first_table is not None
    assert first_table.group() in README


def test_make_lists_its_targets():
    listed = subprocess.run(["make"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for target in ("demo", "test", "lint", "bench", "load", "stack", "screenshot", "dashboards", "pictures"):
        assert re.search(rf"^{target}\s", listed, re.MULTILINE)
