"""The online half, and the only place that knows HTTP, Redis and Prometheus."""
