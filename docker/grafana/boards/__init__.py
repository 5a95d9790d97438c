"""Grafana's dashboards as code; `python -m dashboards` (or: make dashboards) writes docker/grafana/dashboards/*.json."""
