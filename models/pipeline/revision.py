"""Which code made a figure."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path


def git_revision() -> str | None:
    """The checkout's revision, with `-dirty` where files differ from it; None outside of one."""
    git = shutil.which("git")
    if git is None:
        return None
    command = [git, "-C", str(Path(__file__).parent), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    return answer.stdout.strip() if answer.returncode == 0 else None
