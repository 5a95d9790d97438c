"""What pyproject.toml asks for, one requirement a line, so that no change of the code installs it again.

python requirements.py           to serve
python requirements.py train     to train, too; any extras may be named
python requirements.py --build   to build the package
"""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path

PYPROJECT = tomllib.loads(Path("pyproject.toml").read_text())
PROJECT = PYPROJECT["project"]


def of_extra(extra: str) -> list[str]:
    """The requirements of an extra; where it names others (`dmi-match[client]`), theirs in its place."""
    found = []
    for requirement in PROJECT["optional-dependencies"][extra]:
        own = re.fullmatch(rf"{PROJECT['name']}\[(.+)\]", requirement)
        found += [line for name in own[1].split(",") for line in of_extra(name.strip())] if own else [requirement]
    return found


if sys.argv[1:] == ["--build"]:
    print(*PYPROJECT["build-system"]["requires"], sep="\n")
else:
    print(*PROJECT["dependencies"], *(line for extra in sys.argv[1:] for line in of_extra(extra)), sep="\n")
