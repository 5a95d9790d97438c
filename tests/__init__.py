"""The tests."""

import models  # noqa: F401  # before torch, whose threads it tells how to wait
