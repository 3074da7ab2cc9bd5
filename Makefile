# Every target sets up what it needs (tools/setup.sh) and is a no-op where that is done.

SHELL := /usr/bin/env bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo test test-slow lint format constraints build clean python system

BIN := .venv/bin
PYTEST_ARGS ?=

# Where there is no xvfb-run (macOS), windows open on the desktop.
XVFB = $(if $(shell command -v xvfb-run),xvfb-run -a -s "-screen 0 1280x1024x24")
# Tests never open windows on the desktop of whoever runs them.
PYTEST = env -u WAYLAND_DISPLAY NAPARI_STRICT_QT=1 $(XVFB) $(BIN)/python -m pytest

help: ## Say what the targets do
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 14

demo: python system ## Segment an example: in napari, or without a display into demo-output/
ifneq ($(DISPLAY)$(WAYLAND_DISPLAY),)
	$(BIN)/clickseg demo
else
	$(XVFB) $(BIN)/clickseg demo --out demo-output
endif

# Those that open no window run side by side, one thread each. 5: none of the chosen ones is such.
test: python system ## Run the tests, but for the slow ones, with coverage
	OMP_NUM_THREADS=1 $(PYTEST) -m "not slow and not gui" --numprocesses=logical --maxprocesses=8 \
		--dist=loadfile --cov --cov-report= $(PYTEST_ARGS) || [[ $$? -eq 5 ]]
	$(PYTEST) -m "not slow and gui" --cov --cov-append --cov-report=term $(PYTEST_ARGS) || \
		[[ $$? -eq 5 ]]

test-slow: python system ## Run the slow tests
	$(PYTEST) -m slow $(PYTEST_ARGS) || [[ $$? -eq 5 ]] # 5: none of the chosen ones is slow

lint: python ## Check style, types and the direction of imports
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: python ## Mend what ruff can mend
	$(BIN)/ruff check --fix-only --quiet .
	$(BIN)/ruff format .

constraints: python ## Pin the newest versions that work together
	$(BIN)/uv pip compile pyproject.toml --all-extras --group dev --python-version 3.11 \
		--upgrade --quiet \
		--custom-compile-command "make constraints" --output-file constraints.txt

build: python ## Make the wheel and the source archive in dist/
	$(BIN)/python -m build --no-isolation --outdir dist .

clean: ## Remove what the other targets made, but for .venv
	rm -rf build dist demo-output .coverage .coverage.* htmlcov coverage.xml
	rm -rf .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -not -path './.venv/*' -prune -exec rm -rf {} +

python:
	@tools/setup.sh python

system:
	@tools/setup.sh system
