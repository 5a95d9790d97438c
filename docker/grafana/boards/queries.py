"""PromQL that the panels are made of, on what the dashboard's variables select."""

from __future__ import annotations

SELECTED = 'job="dmi-match", instance=~"$instance"'
OF_VERSION = 'version=~"$version"'
NO_PROBE = 'route!~"/livez|/readyz|/metrics"'
SERVED = "and on (job, instance, version) dmi_bundle_workers > 0"  # a version that was replaced keeps its series


def gauge(metric: str, *labels: str) -> str:
    """What a metric is now."""
    return f"{metric}{{{', '.join((SELECTED, *labels))}}}"


def rate(metric: str, *labels: str) -> str:
    """What a counter gains a second."""
    return f"rate({gauge(metric, *labels)}[$__rate_interval])"


def total(metric: str, *labels: str, by: str = "") -> str:
    """The same, summed over workers' machines and, but for `by`, over labels."""
    return f"sum {f'by ({by}) ' if by else ''}({rate(metric, *labels)})"


def quantile(q: float, metric: str, *labels: str, by: str = "") -> str:
    """A quantile of a histogram."""
    return f"histogram_quantile({q}, {total(f'{metric}_bucket', *labels, by=', '.join(filter(None, (by, 'le'))))})"


def mean(metric: str, *labels: str, by: str = "") -> str:
    """The mean of a histogram."""
    return ratio(total(f"{metric}_sum", *labels, by=by), total(f"{metric}_count", *labels, by=by))


def ratio(part: str, whole: str) -> str:
    """One rate by another."""
    return f"{part} / {whole}"


def share(part: str, whole: str) -> str:
    """A share that is 0, and not absent, where nothing of the part has ever been seen."""
    return f"({part} or 0 * {whole}) / {whole}"
