# Every target does all of its own set-up: Python >= 3.11 and make are enough.
# The Python is `python3`, or the first of the others that will do; `make PYTHON=...` chooses.

BIN := .venv/bin
WORKERS ?= 2
CANDIDATES := python3 python3.14 python3.13 python3.12 python3.11
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n $(WORKERS) --dist worksteal

export MPLBACKEND := Agg
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.DEFAULT_GOAL := help
.PHONY: help tour test test-slow check docs clean

help: ## Say what each target does
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 20

tour: .venv/.installed ## Train one method of every family and write tour/index.html
	@$(BIN)/python -m ebm tour

test: .venv/.installed ## Run the fast tests
	@$(PYTEST) -m "not slow"

test-slow: .venv/.installed ## Run the statistical and long tests, and no other
	@$(PYTEST) -m slow || { status=$$?; [ $$status -eq 5 ] && echo "There are no slow tests."; }

check: .venv/.installed ## Check format, lint, types, imports and docs, as CI does
	@echo "ruff format --check"; $(BIN)/python -m ruff format --check --quiet .
	@echo "ruff check"; $(BIN)/python -m ruff check --quiet .
	@echo "pyright"; $(BIN)/python -m pyright
	@echo "lint-imports"; $(BIN)/lint-imports
	@$(MAKE) --no-print-directory docs

docs: .venv/.installed ## Execute and build the documentation; a warning is an error
	@echo "sphinx: the pages that changed are executed, which takes minutes the first time"
	@$(BIN)/python -m sphinx -q -W --keep-going -j $(WORKERS) docs docs/_build/html
	@echo "The documentation is at docs/_build/html/index.html"

clean: ## Remove builds and caches; .venv, tour and runs stay
	@rm -rf docs/_build dist build .pytest_cache .hypothesis .ruff_cache .import_linter_cache
	@find ebm methods toy_data tests docs -name __pycache__ -type d -exec rm -rf {} +

# Torch comes first, so that the constraints choose its build before anything else asks for it.
.venv/.installed: pyproject.toml constraints.txt
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || \
	$(BIN)/python -m ensurepip >/dev/null 2>&1 || { \
	  for python in $(or $(PYTHON),$(CANDIDATES)); do \
	    $$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 || continue; \
	    found=$$python; \
	    $$python -c 'import ensurepip, venv' >/dev/null 2>&1 || continue; \
	    echo "Creating .venv with $$($$python --version)"; \
	    exec $$python -m venv --clear .venv; \
	  done; \
	  if [ -n "$$found" ]; then \
	    echo "$$found must have the venv module. Install it: apt-get install python3-venv" >&2; \
	  else \
	    echo "Python must be 3.11 or newer, none was found. Install one, or name it: make PYTHON=/path/to/python3" >&2; \
	  fi; exit 1; }
	@echo "Installing the pinned dependencies into .venv (minutes, once)"
	@$(BIN)/python -m pip install -qq --constraint constraints.txt torch
	@$(BIN)/python -m pip install -qq --constraint constraints.txt --editable '.[dev,docs]'
	@touch $@
