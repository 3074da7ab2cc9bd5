# Every target sets up what it needs (tools/setup.sh) and is a no-op where that is done.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help audit demo desktop test coverage test-slow lint docs format constraints build recipe image smoke clean python system

# What the targets run with; each choice but the first has an environment of its own.
#   QT        pyqt6, pyside6
#   VERSIONS  pinned (constraints.txt), lowest (that pyproject.toml allows), newest, napari-main
QT = pyqt6
VERSIONS = pinned
PYTEST_ARGS ?=
# The container: cli (no Qt) or desktop (napari in a browser), and what torch computes on
# (docs/container.md).
STAGE = cli
TORCH = cpu
IMAGE = napari-clickseg:$(STAGE)

VENV := .venv$(filter-out -pyqt6,-$(QT))$(filter-out -pinned,-$(VERSIONS))
BIN := $(VENV)/$(if $(filter Windows_NT,$(OS)),Scripts,bin)
SETUP = VENV=$(VENV) QT=$(QT) VERSIONS=$(VERSIONS) tools/setup.sh

# Where there is no xvfb-run (macOS), the window opens on the desktop.
XVFB = $(if $(shell command -v xvfb-run),xvfb-run -a -s "-screen 0 1280x1024x24")
# Tests never open windows on the desktop of whoever runs them: where there is Xvfb, pytest-xvfb
# gives each process a display of its own.
# Python keeps what it compiles, which halves the start of each of the many processes.
PYTEST = env -u WAYLAND_DISPLAY -u PYTHONDONTWRITEBYTECODE NAPARI_STRICT_QT=1 QT_API=$(QT) PYTEST_QT_API=$(QT) \
	$(BIN)/python -m pytest
# Side by side, each process with one thread to compute and one to draw. Numba, with which napari
# colours labels, would have torch compute on all cores again.
TESTS = OMP_NUM_THREADS=1 NUMBA_NUM_THREADS=1 LP_NUM_THREADS=1 $(PYTEST) -m "not slow" \
	--numprocesses=logical --maxprocesses=8 --dist=worksteal

CHECK = $(BIN)/check-jsonschema --quiet --builtin-schema vendor

help: ## Say what the targets do
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 14

demo: python system ## Segment an example: in napari, or without a display into demo-output/
ifneq ($(DISPLAY)$(WAYLAND_DISPLAY),)
	$(BIN)/clickseg demo
else
	$(XVFB) $(BIN)/clickseg demo --out demo-output
endif

desktop: python system ## Show napari in a browser: http://localhost:6080/vnc.html
	@$(SETUP) desktop
	PATH="$(abspath $(BIN)):$$PATH" tools/desktop.sh

smoke: python ## See that the installed plugin answers a click
	PATH="$(abspath $(BIN)):$$PATH" tools/smoke.sh

test: python system ## Run the tests, but for the slow ones
	$(TESTS) $(PYTEST_ARGS)

coverage: python system ## Run the same tests, and see that they cover enough
	$(TESTS) --cov --cov-report=term
	@echo "Covered, but for the widgets, in percent (90 at the least):"
	@$(BIN)/coverage report --omit="*/_qt/*" --fail-under=90 --format=total

test-slow: python system ## Run the slow tests, and those of properties on many more examples
	$(PYTEST) -m slow --timeout=3600 $(PYTEST_ARGS)
ifeq ($(strip $(PYTEST_ARGS)),)
	$(PYTEST) -m "hypothesis and not slow" --hypothesis-profile=thorough --timeout=3600
endif

lint: python ## Check style, types, the direction of imports, and GitHub's files
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(CHECK).github-workflows .github/workflows/*.yml
	$(CHECK).github-issue-forms .github/ISSUE_TEMPLATE/bug.yml .github/ISSUE_TEMPLATE/feature.yml
	$(CHECK).github-issue-config .github/ISSUE_TEMPLATE/config.yml
	$(CHECK).dependabot .github/dependabot.yml

audit: python ## Look for known faults in what we build on (asks the network), and for risky code
	$(BIN)/bandit --recursive src --quiet --severity-level medium
	$(BIN)/pip-audit --requirement constraints.txt --no-deps --disable-pip

format: python ## Mend what ruff can mend
	$(BIN)/ruff check --fix-only --quiet .
	$(BIN)/ruff format .

constraints: python ## Pin the newest versions that work together
	$(BIN)/uv pip compile pyproject.toml --all-extras --group dev --python-version 3.11 \
		--upgrade --quiet \
		--custom-compile-command "make constraints" --output-file constraints.txt

docs: python ## Make the documentation site in docs/_build/html; links within it are checked
	$(BIN)/python -m sphinx -W --keep-going -q --jobs auto docs docs/_build/html

build: python ## Make the wheel and the source archive in dist/
	$(BIN)/python -m build --no-isolation --outdir dist .

recipe: python ## Write the conda-forge recipe of what is in dist/; TAG has to be its version's
	$(BIN)/python tools/make_conda_recipe.py $(if $(TAG),--tag $(TAG))

image: ## Make a container image: STAGE=cli or desktop, TORCH=cpu or a CUDA
	docker build --target $(STAGE) --build-arg TORCH=$(TORCH) --tag $(IMAGE) .

clean: ## Remove what the other targets made, but for the environments
	rm -rf build dist demo-output docs/_build .coverage .coverage.* htmlcov coverage.xml
	rm -rf .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -not -path './.venv*' -prune -exec rm -rf {} +

python:
	@$(SETUP) python

system:
	@$(SETUP) system
