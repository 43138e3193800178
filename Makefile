# The one door, the same for people and for CI. `make` alone says what there is.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.set-up
WORKERS ?= 2
TESTS ?=
# What `make test` runs a second time, on Debian's PostgreSQL, where that is installed.
OTHER_POSTGRES ?= /usr/lib/postgresql/15/bin
OTHER_TESTS := dabai/journal dabai/people dabai/testing dabai/figures tests/contract/test_any_order.py \
  tests/contract/test_every_kind.py tests/concurrency/test_two_connections.py

.PHONY: help setup demo test test-system check pictures bench lock clean

help:  ## say what there is
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1|\2/' | column -t -s '|'

setup: $(STAMP)  ## prepare .venv and the field app (PYTHON=python3.12 chooses the interpreter, 3.11 to 3.13)
	@deploy/field-app

$(STAMP): requirements.lock requirements-dev.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2])' \
	  || { echo 'Python >= 3.11 is needed; choose one: make setup PYTHON=python3.12' >&2; exit 1; }
	@# A virtual environment moved from elsewhere, half made or of another Python is made again.
	@wanted=$$($(PYTHON) -c 'import sys; print(sys.version_info[:2], sys.base_prefix)'); \
	found=$$($(BIN)/python -c 'import pip, sys; print(sys.version_info[:2], sys.base_prefix)' 2>/dev/null || true); \
	if [ "$$wanted" != "$$found" ]; then \
	  $(PYTHON) -m venv --clear $(VENV) \
	    || { echo 'The venv module is missing; on Debian: apt-get install python3-venv' >&2; exit 1; }; \
	fi
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --only-binary :all: \
	  -r requirements.lock -r requirements-dev.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --no-index -e .
	@touch $(STAMP)

demo: setup  ## replay the Duji drill on a server of its own and leave it up on 127.0.0.1:8000
	$(BIN)/dabai demo $(DEMO)

test: setup test-system  ## run every test (TESTS=path chooses, WORKERS=n processes)
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile $(TESTS)
	@if [ -z "$(TESTS)" ]; then deploy/field-app run vitest run --reporter=dot --maxWorkers=$(WORKERS); fi
	@if [ -z "$(TESTS)" ] && [ -x $(OTHER_POSTGRES)/postgres ]; then \
	  echo "== again on $$($(OTHER_POSTGRES)/postgres --version)"; \
	  env -u DATABASE_URL DABAI_TEST_POSTGRES=$(OTHER_POSTGRES) \
	    $(BIN)/python -m pytest -q -n $(WORKERS) --dist loadfile $(OTHER_TESTS); \
	fi

test-system:
	@deploy/test-system

check: setup  ## everything that reads the code: lint, types, layers, migrations, contract, lock files
	@echo '== ruff' && $(BIN)/ruff check . && $(BIN)/ruff format --check .
	@echo '== mypy' && $(BIN)/mypy
	@echo '== layers' && $(BIN)/lint-imports
	@echo '== migrations' && $(BIN)/python -m django makemigrations --check --dry-run --settings dabai.settings
	@echo '== contract' && $(BIN)/dabai contract --check
	@echo '== diagrams' && $(BIN)/dabai diagrams --check
	@echo '== field app' && deploy/field-app run vue-tsc --noEmit && deploy/field-app check
	@echo '== lock files' && $(BIN)/python -m pytest -q tests/architecture/test_lock_files.py

pictures: setup test-system  ## draw the pictures of the field app that the documents show
	DABAI_PICTURES=docs/pictures $(BIN)/python -m pytest -q tests/field/test_pictures.py

bench: setup  ## measure; one JSON line a figure
	$(BIN)/dabai bench $(BENCH)

lock:  ## work out requirements*.lock from *.in again (LOCK=--upgrade: newest versions), and the field app's
	@tool=$$(mktemp -d) && trap 'rm -rf "$$tool"' EXIT && $(PYTHON) -m venv "$$tool" && "$$tool/bin/pip" install --quiet uv && \
	for name in requirements requirements-dev requirements-node; do \
	  "$$tool/bin/uv" pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	    --no-header --no-emit-index-url --no-annotate $(LOCK) $$name.in --output-file $$name.lock; \
	done
	@deploy/field-app run npm install --silent --package-lock-only
	@# npm writes down where to donate; a lock file of ours names no address.
	@deploy/field-app run node -e 'const fs = require("fs"), name = "package-lock.json", lock = JSON.parse(fs.readFileSync(name)); \
	  for (const one of Object.values(lock.packages)) delete one.funding; \
	  fs.writeFileSync(name, JSON.stringify(lock, null, 2) + "\n")'

clean:  ## remove what was made, but no data (.data stays)
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
