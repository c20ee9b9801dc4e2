.DEFAULT_GOAL := help
PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.installed
TESTS ?= tests pulse_assets pulse_resources
PANEL ?=
FORECAST_PANEL ?=
FREQ ?= MS
SEASON ?= 12
HORIZON ?= 18

.PHONY: help run ui test check format drill bench docs lock clean

help:  ## what there is
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:[^#]*## /\t/' | expand -t 10

run: $(STAMP)  ## set up, then ingest, forecast, score and license the newest day
	@$(BIN)/pulse run

ui: $(STAMP)  ## open the user interface with persistent history
	@$(BIN)/pulse ui

test: $(STAMP)  ## run the tests
	@$(BIN)/pytest -n 2 --dist loadfile -m "not drill" $(TESTS)

check: $(STAMP)  ## format, lint, types, import contracts, documentation, tests
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache
	@$(BIN)/python -m docs.generate --check
	@$(MAKE) --no-print-directory test

format: $(STAMP)  ## put the code into shape
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

drill: $(STAMP)  ## kill writers at every named point, and more
	@$(BIN)/pytest -m drill $(TESTS)

bench: $(STAMP)  ## print the figures (an hour); PANEL=bars.parquet and FORECAST_PANEL=series.parquet add theirs
	@$(BIN)/python -m benchmarks.location
	@$(BIN)/python -m benchmarks.lake
	@$(BIN)/python -m benchmarks.first_run
	@if [ -n "$(PANEL)" ]; then $(BIN)/python -m benchmarks.panel_backfill "$(PANEL)"; \
	else echo "no panel named, so no panel_backfill: make bench PANEL=bars.parquet"; fi
	@$(BIN)/python -m benchmarks.garch_speed
	@$(BIN)/python -m benchmarks.forecast_speed
	@$(BIN)/python -m benchmarks.forecast_backfill
	@$(BIN)/python -m benchmarks.forecast_scale
	@$(BIN)/python -m benchmarks.simulation_speed
	@$(BIN)/python -m benchmarks.rule_speed
	@$(BIN)/python -m benchmarks.rqmc
	@$(BIN)/python -m benchmarks.calibration_speed
	@$(BIN)/python -m benchmarks.ensemble_scores
	@$(BIN)/python -m benchmarks.retrodiction
	@$(BIN)/python -m benchmarks.gpu_simulation
	@$(BIN)/python -m benchmarks.conformal
	@$(BIN)/python -m benchmarks.drift_detectors
	@$(BIN)/python -m benchmarks.trust_scale
	@$(BIN)/python -m benchmarks.retraining
	@$(BIN)/python -m benchmarks.drift_speed
	@if [ -n "$(FORECAST_PANEL)" ]; then $(BIN)/python -m benchmarks.forecast_accuracy "$(FORECAST_PANEL)" \
	  --freq $(FREQ) --season $(SEASON) --horizon $(HORIZON) --peers --sample 60; \
	else echo "no series named, so no forecast_accuracy:" \
	  "make bench FORECAST_PANEL=series.parquet FREQ=MS SEASON=12 HORIZON=18"; fi

docs: $(STAMP)  ## write the pages that come from the code
	@$(BIN)/python -m docs.generate

lock:  ## resolve the dependencies anew (needs uv)
	uv pip compile pyproject.toml --extra dev --universal --python-version 3.11 --generate-hashes \
	  --no-emit-index-url --no-annotate --no-header --upgrade -o requirements.lock

clean:  ## remove the environment; the lake and the run history stay
	rm -rf .venv

$(STAMP): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(not (3, 11) <= v < (3, 14))' \
	  || { echo "Pulse needs Python 3.11 to 3.13; say which with: make PYTHON=python3.12 ..."; exit 1; }
	@echo "installing into .venv (once, about 1.6 GB) ..."
	@if command -v uv > /dev/null 2>&1; then \
	  uv venv --quiet --allow-existing --python "$$(command -v $(PYTHON))" .venv && \
	  uv pip sync --quiet --require-hashes --python $(BIN)/python requirements.lock && \
	  uv pip install --quiet --no-deps --no-build-isolation --python $(BIN)/python -e . ; \
	else \
	  $(PYTHON) -m venv .venv && \
	  $(BIN)/python -m pip install --quiet --no-deps --require-hashes -r requirements.lock && \
	  $(BIN)/python -m pip install --quiet --no-deps --no-build-isolation -e . ; \
	fi
	@$(BIN)/python -m pulse_assets.forecasting.warm
	@$(BIN)/python -m pulse_assets.simulation.warm
	@$(BIN)/python -m pulse_assets.trust.warm
	@touch $(STAMP)
