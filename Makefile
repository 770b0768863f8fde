# Every target works on a fresh clone: what it needs is installed into .venv first.
PYTHON ?= python3
PORT ?= 8765
BIN = .venv/bin
PHOTOS ?=

.PHONY: demo test faults check format pins screenshots clean

demo: .venv/runtime
	$(BIN)/recaption demo --port $(PORT) $(if $(PHOTOS),--photos "$(PHOTOS)")

test: .venv/dev
	$(BIN)/pytest

# Break everything that a job depends on, for a quarter of an hour, and write what held.
faults: .venv/dev
	RECAPTION_LONG_FAULTS=1 $(BIN)/pytest tests/faults --reliability docs/reliability.md

check: .venv/dev
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/lint-imports

format: .venv/dev
	$(BIN)/ruff format
	$(BIN)/ruff check --fix

# Pin what is installed now; run it after changing the ranges in pyproject.toml.
pins: .venv/dev
	$(BIN)/python requirements/pin.py

screenshots: .venv/dev
	$(BIN)/python docs/screenshots.py

clean:
	rm -rf .venv build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis

.venv/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Recaption needs Python 3.11 or newer: make PYTHON=python3.12 ...")'
	$(PYTHON) -m venv .venv
	touch $@

.venv/runtime: .venv/python requirements/runtime.txt pyproject.toml
	$(BIN)/pip install --quiet --requirement requirements/runtime.txt
	$(BIN)/pip install --quiet --no-deps --editable .
	touch $@

.venv/dev: .venv/runtime requirements/dev.txt
	$(BIN)/pip install --quiet --requirement requirements/dev.txt
	touch $@
