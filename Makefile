# Everything here works with make, pip and a Python of 3.11 or later; `make` alone lists the targets.
PYTHON ?= python3
BENCH_DATA ?= data/sample
BENCH_IMAGES ?= 10 20
BENCH_SPLITS ?= 2
BENCH_SET ?=

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --quiet --disable-pip-version-check
PYTEST := $(BIN)/python -m pytest -m "not slow" -n 2 --no-loadscope-reorder
INPUTS := pyproject.toml constraints.txt

.DEFAULT_GOAL := help
.PHONY: help demo test test-slow test-precisions lint bench clean

help:
	@echo "make demo       install, then the whole job on the sample images (about ten minutes)"
	@echo "make test       install, then linters and all tests but the slow ones"
	@echo "make test-slow  the slow tests"
	@echo "make test-precisions  the tests twice, with networks trained in fp32 and in bf16"
	@echo "make lint       ruff, mypy, lint-imports"
	@echo "make bench      few-shot runs on BENCH_DATA (hours), see benchmarks/README.md"
	@echo "make clean      remove the environment, caches and the demo's output"

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "Python 3.11 or later is needed, but $(PYTHON) is $$($(PYTHON) --version 2>&1)." \
	       "Install one and say where: make PYTHON=/path/to/python3.11 ..." >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: $(INPUTS) | $(BIN)/python
	@echo "Installing (once, some minutes) ..."
	$(PIP) install -c constraints.txt -e .
	@touch $@

$(VENV)/.installed-dev: $(INPUTS) | $(BIN)/python
	@echo "Installing with the development tools (once, some minutes) ..."
	$(PIP) install -c constraints.txt -e ".[dev]"
	@touch $@ $(VENV)/.installed

demo: $(VENV)/.installed
	$(BIN)/ganaug run data/sample --config configs/demo.yaml --out out/demo
	@echo
	@echo "Look at   out/demo/report.html            the verdict and what it rests on"
	@echo "          out/demo/dataset/               the merged image folder, with manifest.csv"
	@echo "          out/demo/metrics.json           the same figures for programs"
	@echo "Your own  $(BIN)/ganaug run FOLDER --out out/NAME"

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

test: lint
	$(PYTEST)

test-precisions: lint
	for precision in fp32 bf16; do TEST_PRECISION=$$precision $(PYTEST) || exit 1; done

test-slow: $(VENV)/.installed-dev
	$(BIN)/python -m pytest -m slow

bench: $(VENV)/.installed
	$(BIN)/python -m benchmarks.gain $(BENCH_DATA) --per-class $(BENCH_IMAGES) --splits $(BENCH_SPLITS) $(BENCH_SET)

clean:
	rm -rf $(VENV) out/demo build *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
