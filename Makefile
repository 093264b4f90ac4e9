# Every command of the project. CI runs the same ones (.ci/run).
#
#   make demo     the daemon on a rendered store; needs nothing but Python 3.11
#   make test     all tests              make check    format, lint, types
#   make bench    speed and memory       make schemas  write edge/schemas/*.json anew
#   make format   format the code        make clean    remove caches and builds
#
# PYTHON=python3.12 make … chooses the interpreter, ARGS="…" is handed to the command.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/pip --disable-pip-version-check
ARGS ?=

# A stamp is older than what it was made from when something has to be installed again.
RECIPE := setup.cfg pyproject.toml constraints.txt
RUNTIME := $(VENV)/.runtime
DEVELOP := $(VENV)/.develop

.DEFAULT_GOAL := help
.PHONY: help demo test check format bench schemas clean system-packages

help:
	@sed -n '/^#/!q; s/^# \{0,1\}//p' Makefile

demo: $(RUNTIME)
	$(BIN)/edge demo $(ARGS)

test: $(DEVELOP) system-packages
	$(BIN)/python -m pytest $(ARGS)

check: $(DEVELOP)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy --strict edge
	$(BIN)/mypy trainer

format: $(DEVELOP)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(DEVELOP) system-packages
	$(BIN)/python tests/bench $(ARGS)

schemas: $(RUNTIME)
	$(BIN)/python -m edge.schemas

clean:
	rm -rf build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -not -path './$(VENV)/*' -prune -exec rm -rf {} +

system-packages:
	@deploy/system-packages.sh tests

$(BIN)/python:
	@PYTHON="$(PYTHON)" deploy/make-venv.sh $(VENV)

$(RUNTIME): $(RECIPE) | $(BIN)/python
	$(PIP) install --quiet --editable . --constraint constraints.txt
	@touch $@

$(DEVELOP): $(RECIPE) | $(BIN)/python
	$(PIP) install --quiet --editable '.[trainer,cluster,dev]' --constraint constraints.txt
	@touch $(RUNTIME) $@
