# Everything a developer or a deployer does with this repository; `make help` lists it.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

VENV ?= .venv
PYTHON ?= $(shell command -v python3.11 || command -v python3)
WORKERS ?= 3
export CRM_PORT ?= 8000

PLUGINS := $(patsubst %/pyproject.toml,%,$(wildcard plugins/*/pyproject.toml))
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
PIP := $(BIN)/python -m pip --disable-pip-version-check --no-input

.PHONY: help setup check fix test test-long fuzz fuzz-approvals crash bench-read bench-approvals bench-delivery explain demo serve rules rules-check docs docs-check schema graphiql clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z -]+:.*## / {printf "  %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(STAMP) ## create the environment in .venv, or bring it up to date

# The build backend comes first, pinned, so that nothing unpinned is fetched for the build itself; core and
# plugins come in one command, so that no index is ever asked for their names.
$(STAMP): pyproject.toml constraints.txt $(PLUGINS:%=%/pyproject.toml)
	@test -n "$(PYTHON)" || { echo "No python3 found: install Python 3.11 or newer." >&2; exit 1; }
	$(PYTHON) tools/environment.py $(VENV)
	$(PIP) install --quiet -c constraints.txt hatchling
	$(PIP) install --quiet --no-build-isolation -c constraints.txt -e '.[dev]' $(PLUGINS:%=-e %)
	@touch $@

check: setup ## the gate without the tests: format, lint, types, contracts, rules, generated files
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy crm_core tests tools
	$(BIN)/mypy examples
	@for plugin in $(PLUGINS); do echo "mypy $$plugin"; $(BIN)/mypy $$plugin; done
	$(BIN)/lint-imports
	@$(MAKE) rules-check docs-check

fix: setup ## format and mend what can be mended by itself
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

test: setup ## run the tests on SQLite and PostgreSQL, without those of test-long
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal

test-long: setup ## run the tests that take long, 100,000 random documents among them
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal -m long

fuzz: setup ## ask random documents compiled and interpreted on both databases; DOCS=n SEED=s
	@FUZZ_DOCS=$(DOCS) FUZZ_SEED=$(SEED) $(BIN)/python -m pytest -q --no-header --tb=line \
		tests/fuzz/test_differential.py -k test_documents_nobody_has_asked_before

fuzz-approvals: setup ## play random requests for signatures with the engine; RUNS=n SEED=s
	@APPROVAL_RUNS=$(RUNS) APPROVAL_SEED=$(SEED) $(BIN)/python -m pytest -q --no-header --tb=line \
		tests/approvals/test_chain_play.py -k test_requests_nobody_has_played_before

crash: setup ## kill server and workers under load, compare what arrived with what was committed; KILLS=n DB=sqlite|postgresql SEED=s
	@CRASH_KILLS=$(KILLS) CRASH_DB=$(DB) CRASH_SEED=$(SEED) $(BIN)/python -m pytest -q --no-header --tb=line \
		tests/crash/test_crash.py -k test_nothing_is_lost_when_processes_are_killed

bench-read: setup ## measure reads and the write against SQL by hand; ARGS="--keep FOLDER --json FILE --scale 0.01 …"
	@$(BIN)/python -m benchmarks.read_path $(ARGS)

bench-approvals: setup ## measure holding, signing and the inbox on PostgreSQL; ARGS="--scale 0.05 --keep FOLDER --plans FILE …"
	@$(BIN)/python -m benchmarks.approvals $(ARGS)

bench-delivery: setup ## measure events on their way to a receiver of webhooks; ARGS="--scale 0.1 --only postgresql --json FILE …"
	@$(BIN)/python -m benchmarks.delivery $(ARGS)

explain: setup ## which indexes every query uses on 1,000,000 interactions; needs ARGS="--keep FOLDER", takes --only NAME --plans FILE … too
	@$(BIN)/python -m benchmarks.explain $(ARGS)

demo: setup graphiql ## install, load a demo company and serve it on CRM_PORT
	$(BIN)/crm demo --serve

serve: setup graphiql ## serve the database that CRM_* names
	$(BIN)/crm serve

rules: setup ## which business rules are covered by tests; renews the tables in RULES.md
	@$(BIN)/python tools/rules.py --write

rules-check: setup
	@$(BIN)/python tools/rules.py

docs schema: setup ## renew everything generated: schema/ and docs/reference/
	@$(BIN)/python tools/generated.py --write

docs-check: setup
	@$(BIN)/python tools/generated.py

graphiql: setup ## fetch the query page's assets from npm into the environment
	@$(BIN)/python tools/graphiql.py

clean: ## remove the environment and every cache
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
