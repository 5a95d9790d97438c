"""Which code made a figure."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

VARIABLE = "DMI_GIT_REVISION"  # an image, which has no checkout, is told


def git_revision() -> str | None:
    """The checkout's revision, with `-dirty` where files differ from it; outside of one what DMI_GIT_REVISION says."""
    git = shutil.which("git")
    if git is not None:
        folder = str(Path(__file__).parent)
        command = [git, "-C", folder, "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
        answer = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
        if answer.returncode == 0:
            return answer.stdout.strip()
    return os.environ.get(VARIABLE) or None
