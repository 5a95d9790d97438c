"""The one error that a user can correct: bad data, a bad option, a damaged bundle."""

from __future__ import annotations


class InputError(ValueError):
    """What was wrong, where, and what to do, in one line; the command line exits with 2."""
