"""Which code made a figure."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

VARIABLE = "DMI_GIT_REVISION"  # an image, which has no checkout, is told


def git_revision() -> str | None:
    """The checkout's revision, with `-dirty` where files differ from it; outside of one what DMI_GIT_REVISION says.

    A checkout of something else, in which the package is installed, is none.
    """
    if _git("ls-files", "--error-unmatch", Path(__file__).name) is None:
        return os.environ.get(VARIABLE) or None
    return _git("describe", "--always", "--dirty", "--abbrev=40", "--exclude=*")


def _git(*arguments: str) -> str | None:
    """What git answers in this file's folder; None where it fails or is not there."""
    git = shutil.which("git")
    if git is None:
        return None
    command = [git, "-C", str(Path(__file__).parent), *arguments]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    return answer.stdout.strip() if answer.returncode == 0 else None
