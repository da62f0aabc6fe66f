# Everything a newcomer needs: `make demo`, `make test`. Needs Python 3.11 or newer, pip and make.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: help install demo test test-all test-faults bench lint format lock clean

help:  ## Show the targets
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

install: $(STAMP)  ## Set up .venv from the locked requirements

# Every file is checked against its hash; --no-deps because the lock is complete and because one package in it
# (retinaface-pytorch) declares pins that nobody can satisfy. Compiled once here: every worker process would compile torch
# again where Python may not write bytecode beside it.
$(STAMP): requirements/dev.txt requirements/build.txt pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "eri needs Python 3.11 or newer: make PYTHON=python3.11")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --no-deps --require-hashes -r requirements/build.txt
	$(BIN)/uv pip install --quiet --compile-bytecode --python $(BIN)/python --no-deps --require-hashes -r requirements/dev.txt
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

demo: install  ## Generate clips, extract, train, evaluate, submit, validate: offline, two to three minutes
	$(BIN)/eri demo

test: install  ## Run the tests but the slow ones and those of real faults
	$(BIN)/pytest --numprocesses 2 -m "not slow and not faults" --doctest-modules tests eri

test-all: install  ## Run all tests but those of real faults
	$(BIN)/pytest --numprocesses 2 -m "not faults" --doctest-modules tests eri

test-faults: install  ## Kill, fill, hang and damage for real: under fifteen minutes
	$(BIN)/pytest --numprocesses 2 -m faults tests

bench: install  ## Measure beside references; writes benchmarks/results/<date>-<commit>.md
	$(BIN)/python -m benchmarks

lint: install  ## Check style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: install  ## Rewrite the code in the project's style
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

lock: install  ## Compile the requirements again (add UPGRADE=--upgrade to move versions)
	$(BIN)/uv pip compile $(UPGRADE) --quiet --universal --python-version 3.11 --generate-hashes --no-annotate --no-emit-index-url \
		--custom-compile-command "make lock" --all-extras \
		pyproject.toml requirements/retinaface.in -o requirements/dev.txt
	$(BIN)/uv pip compile $(UPGRADE) --quiet --universal --python-version 3.11 --generate-hashes --no-annotate --no-emit-index-url \
		--custom-compile-command "make lock" requirements/build.in -o requirements/build.txt

clean:  ## Remove the virtual environment and caches (never features, runs or data)
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis build dist
