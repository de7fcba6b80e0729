# make verify   install what idealab needs and put one idea to the test
# make test     the same with the test tools, then every test, the slow ones too
# make lint     style and types; `make style` and `make types` are its halves
# make clean    remove what the above have made
#
# PYTHON=python3.12 picks the interpreter, VENV=elsewhere the virtual environment, IDEA=ntk another idea.

PYTHON ?= python3
VENV ?= .venv
IDEA ?= max_margin

BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

.PHONY: verify test lint style types clean
.DEFAULT_GOAL := verify

verify: $(VENV)/.installed
	$(BIN)/python -m idealab verify $(IDEA)

test: $(VENV)/.installed-test
	$(BIN)/python -m pytest

lint: style types

style: $(VENV)/.installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.installed-test
	$(BIN)/pyright --project pyproject.toml --pythonpath $(BIN)/python

clean:
	rm -rf $(VENV) build dist .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# A file in the environment remembers when it was last filled, so only a change of the two files installs again.
$(VENV)/.installed: pyproject.toml constraints.txt | $(BIN)/python
	@echo "installing idealab into $(VENV) (a minute or two the first time)"
	@$(PIP) --editable .
	@touch $@

$(VENV)/.installed-test: pyproject.toml constraints.txt | $(BIN)/python
	@echo "installing idealab and its test tools into $(VENV) (a minute or two the first time)"
	@$(PIP) --editable '.[test]'
	@touch $@ $(VENV)/.installed

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "idealab needs Python 3.11 or later; $(PYTHON) is: $$($(PYTHON) --version 2>&1)." \
	    "Name a newer one: make $(MAKECMDGOALS) PYTHON=python3.11" >&2; exit 1; }
	@echo "making $(VENV) with $$($(PYTHON) --version)"
	@$(PYTHON) -m venv $(VENV)
