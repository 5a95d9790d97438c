"""Which requests get a line of their own in the log: the slow ones, and a share of all."""

from __future__ import annotations

import logging
import random

from service.trail import Trail

logger = logging.getLogger(__name__)


class RequestLog:
    """`slow` in seconds, 0 for never; `share` of the requests, 0 … 1."""

    def __init__(self, slow: float, share: float) -> None:
        self._slow, self._share = slow or float("inf"), share

    def write(self, trail: Trail) -> None:
        """Write the request down, once it was answered, where it is to be."""
        if trail.seconds > self._slow:
            logger.warning("slow request", extra=trail.fields())
        elif self._share and random.random() < self._share:  # noqa: S311
            logger.info("request", extra=trail.fields())
