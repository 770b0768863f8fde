# Every target works on a fresh clone: what it needs is installed into .venv first.
PYTHON ?= python3
PORT ?= 8765
BIN = .venv/bin
PHOTOS ?=

.PHONY: demo test faults check format pins screenshots clean

demo: .venv/runtime
	$(BIN)/recaption demo --port $(PORT) $(if $(PHOTOS),--photos "$(PHOTOS)")

# The tests in parts, three at a time, the longest first: the first two start real processes and mostly wait
# for them, while others keep the cores busy. What a part says is in its log, and is shown when it is done.
PARTS = functional faults catalog model browser dashboard
TESTS = $(PARTS:%=test-%) test-others
.PHONY: $(TESTS)

test: .venv/dev
	@$(MAKE) --no-print-directory --keep-going --jobs=3 $(TESTS)

$(TESTS): TAKEN = tests/$(@:test-%=%)
test-others: TAKEN = $(PARTS:%=--ignore=tests/%)
# Parts that run beside each other take a core each, and two of them a database of Redis.
$(TESTS): export OMP_NUM_THREADS = 1
test-functional: export RECAPTION_TEST_REDIS := $(or $(RECAPTION_TEST_REDIS_2),redis://127.0.0.1:6379/14)

$(TESTS): .venv/dev
	@$(BIN)/pytest $(TAKEN) > .$@.log 2>&1; status=$$?; cat .$@.log; exit $$status

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
