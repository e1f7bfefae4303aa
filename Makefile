# Everything here sets itself up: a fresh machine needs only Python >= 3.11, make and a package index.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
NAME ?= leaderboard

.PHONY: help demo test lint bench docs clean

help:
	@echo "make demo    install, run the whole journey on a drawn world, end with a report to look at"
	@echo "make test    install, run every test"
	@echo "make lint    ruff and mypy, as in CI"
	@echo "make bench NAME=fetch    one benchmark beside its peer; the last line is JSON"
	@echo "make docs    write docs/reference.md from the code"

$(READY): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Pictus needs Python 3.11 or newer; set PYTHON=python3.12"; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade pip
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[all,dev]'
	@touch $@

demo: $(READY)
	$(BIN)/pictus demo demo

test: $(READY)
	$(BIN)/python -m pytest -n auto --dist loadfile --no-loadscope-reorder

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/mypy

bench: $(READY)
	$(BIN)/python benchmarks/$(NAME).py

docs: $(READY)
	$(BIN)/python -m pictus.reference > docs/reference.md

clean:
	rm -rf $(VENV) demo .mypy_cache .ruff_cache .pytest_cache
