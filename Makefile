# The two commands that a newcomer needs: `make demo` and `make test`.
# PYTHON names the interpreter that the environment is made with (3.11 or newer).
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export MPLBACKEND := agg

.DEFAULT_GOAL := help
.PHONY: help demo test test-all peers check format docs bench samples clinic clinic-heal clean

help: ## list the targets
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(VENV)/.installed ## environment, install, diagnose and fix a bundled real pair, path of the report
	$(BIN)/gapdoctor demo

# One thread a worker: two workers with two threads each on two cores wait for each other.
test test-all peers: export OMP_NUM_THREADS := 1

test: $(VENV)/.developed ## environment, the whole test suite (under 10 minutes on two cores)
	$(BIN)/pytest -n 2 --dist loadgroup

test-all: $(VENV)/.developed ## the whole suite and the checks that take longer
	$(BIN)/pytest -n 2 --dist loadgroup -m "slow or not slow"

peers: $(VENV)/.peered ## the losses against other libraries, torchdistill and timm
	GAPDOCTOR_PEERS=1 $(BIN)/pytest tests/peers

check: $(VENV)/.developed ## format, lint, types, layers, generated docs
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m gapdoctor.cli.pages docs --check

format: $(VENV)/.developed ## format the code and mend what can be mended
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

docs: $(VENV)/.developed ## write the generated pages of docs/ again
	$(BIN)/python -m gapdoctor.cli.pages docs

bench: $(VENV)/.developed ## time diagnose as a ratio to a bare PyTorch loop in the same run
	$(BIN)/python -m pytest tests/benchmarks -m slow -q --benchmark-disable-gc -p no:xdist -s

samples: $(VENV)/.developed ## diagnose every pair of sample_runs/ again
	$(BIN)/python sample_runs/diagnose_all.py

# Goes on where it stopped. An evaluation of the reporting part is written down, for good.
clinic: $(VENV)/.developed ## train pairs with planted faults, diagnose and fix, write docs/accuracy.md (hours)
	$(BIN)/python -m tests.clinic build --part tuning
	$(BIN)/python -m tests.clinic run --part tuning --resume
	$(BIN)/python -m tests.clinic build --part reporting
	$(BIN)/python -m tests.clinic run --part reporting --resume
	$(MAKE) clinic-heal

clinic-heal: $(VENV)/.developed ## of the clinic, the fixes alone: each is measured on a third set (hours)
	$(BIN)/python -m tests.clinic build --part tuning
	$(BIN)/python -m tests.clinic strategies --part tuning --trained-only --resume
	$(BIN)/python -m tests.clinic record
	$(BIN)/python -m tests.clinic heal --part tuning --resume
	$(BIN)/python -m tests.clinic build --part reporting
	$(BIN)/python -m tests.clinic heal --part reporting --resume
	$(BIN)/python -m tests.clinic record
	$(BIN)/python -m tests.clinic page --out docs/accuracy.md

clean: ## remove the environment and every cache
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis

$(VENV)/bin/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "gapdoctor needs Python 3.11 or newer; name one: make PYTHON=python3.12")'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: pyproject.toml | $(VENV)/bin/python
	$(BIN)/pip install --quiet torch torchvision
	$(BIN)/pip install --quiet --editable .
	@touch $@

$(VENV)/.developed: pyproject.toml $(VENV)/.installed
	$(BIN)/pip install --quiet --editable '.[dev]'
	@touch $@

$(VENV)/.peered: pyproject.toml $(VENV)/.developed
	$(BIN)/pip install --quiet --editable '.[dev,peers]'
	@touch $@
