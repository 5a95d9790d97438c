"""How many visitors there are at which time: at most `--users`, until `--run-time` is over."""

from __future__ import annotations

from locust import LoadTestShape

SECONDS = 30  # unless --run-time says otherwise


class Steady(LoadTestShape):
    """All of them from the start."""

    use_common_options = True

    def share(self, passed: float) -> float:
        """Of the most visitors, when this share of the time has passed."""
        return 1.0

    def tick(self) -> tuple[int, float] | None:
        """Visitors now, and how many may come or go in a second; None at the end. locust asks every second."""
        given = self.runner.environment.parsed_options
        passed = self.get_run_time() / (given.run_time or SECONDS)
        return None if passed >= 1 else (max(1, round(given.num_users * self.share(passed))), given.num_users)


class Ramp(Steady):
    """From one to all of them in four fifths of the time."""

    def share(self, passed: float) -> float:
        return min(1.0, passed / 0.8)


class Spike(Steady):
    """A fifth of them, all of them for the middle third, a fifth again: does it recover?"""

    def share(self, passed: float) -> float:
        return 1.0 if 1 / 3 <= passed < 2 / 3 else 0.2


SHAPES = {"steady": Steady, "ramp": Ramp, "spike": Spike}
