"""Which code made a figure."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
SCRIPT = "from models.pipeline.revision import git_revision; print(git_revision())"


def revision(folder, **environment):
    command = [sys.executable, "-c", SCRIPT]
    environment = {"PYTHONPATH": "", "PATH": os.environ["PATH"], **environment}
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=True
    ).stdout.strip()


def commit(folder):
    for command in (
        ["init", "--quiet"],
        ["add", "."],
        ["-c", "user.name=A", "-c", "user.email=a@b", "commit", "--quiet", "-m", "one"],
    ):
        subprocess.run(["git", *command], cwd=folder, check=True)


def test_outside_of_a_checkout_the_variable_says_which_code_it_is(tmp_path):
    shutil.copytree(ROOT / "models", tmp_path / "models")
    assert revision(tmp_path) == "None"
    assert revision(tmp_path, DMI_GIT_REVISION="") == "None"
    assert revision(tmp_path, DMI_GIT_REVISION="f00d") == "f00d"


def test_a_checkout_of_something_else_is_none(tmp_path):
    shutil.copytree(ROOT / "models", tmp_path / "installed" / "models")
    (tmp_path / ".gitignore").write_text("installed\n")
    commit(tmp_path)
    assert revision(tmp_path / "installed") == "None"
    assert revision(tmp_path / "installed", DMI_GIT_REVISION="f00d") == "f00d"


def test_a_checkout_knows_better(tmp_path):
    shutil.copytree(ROOT / "models", tmp_path / "models")
    commit(tmp_path)
    assert len(revision(tmp_path, DMI_GIT_REVISION="f00d")) == 40
