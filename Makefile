# `make` alone lists the targets. PYTHON=python3.11 chooses the interpreter for .venv.
PYTHON ?= python3
VENV := .venv
PIP := $(VENV)/bin/pip install --quiet --disable-pip-version-check --constraint constraints.txt
COMPOSE = $(shell docker compose version >/dev/null 2>&1 && echo docker compose || echo docker-compose)

.DEFAULT_GOAL := help
.PHONY: help demo test lint bench load stack screenshot dashboards pictures clean

help: ## list the targets
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

demo: $(VENV)/train.stamp ## planted data → trained model → service; ARGS=--once asks one /match and stops
	$(VENV)/bin/dmi demo $(ARGS)

test: $(VENV)/dev.stamp ## run every test
	$(VENV)/bin/pytest $(ARGS)

lint: $(VENV)/dev.stamp ## style and types
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy

bench: $(VENV)/bench.stamp ## the benchmarks, on what `make demo` made
	$(VENV)/bin/dmi bench batches
	$(VENV)/bin/dmi bench encoder
	$(VENV)/bin/dmi bench training
	$(VENV)/bin/dmi bench http
	$(VENV)/bin/dmi bench scale

load: $(VENV)/load.stamp ## half a minute of load on DMI_URL, or on what `make demo` serves; ARGS="--shape spike --users 100"
	$(VENV)/bin/locust -f tests/load/locustfile.py --headless --only-summary --loglevel WARNING \
	  --users 20 --run-time 30s $(ARGS)

stack: ## all of it in containers: Redis, a first model, the service, Prometheus, Grafana; see docs/operating.md
	GIT_REVISION=$$(git describe --always --dirty --abbrev=40 --exclude='*') $(COMPOSE) up --build $(ARGS)

screenshot: $(VENV)/dev.stamp ## docs/explorer.png anew, from what `make demo` made; needs chromium-driver
	$(VENV)/bin/python -m tests.screenshot

dashboards: $(VENV)/dev.stamp ## Grafana's JSON anew, from docker/grafana/boards/
	PYTHONPATH=docker/grafana $(VENV)/bin/python -m boards

pictures: $(VENV)/dev.stamp ## docs/dashboard-*.png anew, from what `make demo` made; needs prometheus
	$(VENV)/bin/python -m tests.dashboard_picture

clean: ## remove the virtual environment and the demo's files
	rm -rf $(VENV) demo

$(VENV)/%.stamp: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	@echo "installing (a minute or two) …"
	$(PIP) --editable '.[$*]'
	@touch $@
