# make env, make paper, make test, make slow, make ui. Needs Linux, make and Python 3.11 or later; everything else goes into .venv.

PYTHON ?= python3
SHELL := /bin/bash
export PATH := $(CURDIR)/.venv/bin:$(PATH)
export DVC_NO_ANALYTICS := 1
export MLFLOW_DISABLE_TELEMETRY := true

.PHONY: env paper test slow lint ui lock

env: .venv/installed

# The lock is complete (hence --no-deps) and its packages are checked by hash. torch's build differs by machine, so only its version is pinned (requirements-torch.txt).
.venv/installed: requirements.lock requirements-torch.txt
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("error: needs Python 3.11 or later, this is " + sys.version.split()[0] + "; try make PYTHON=python3.12")'
	$(PYTHON) -m venv .venv
	.venv/bin/python -m pip install --quiet --require-hashes --no-deps -r requirements.lock
	.venv/bin/python -m pip install --quiet -r requirements-torch.txt
	.venv/bin/python -m pip check
	test -e .git || .venv/bin/dvc config --local core.no_scm true  # DVC then runs without git
	touch $@

FIRST := .pipeline/first/artifacts/figures/headline.png

$(FIRST): | .venv/installed
	python -m duo first

paper: env $(FIRST)
	python -m duo check
	dvc repro
	python -c 'from workflow import dag; dag.sort_lock()'
	python -m duo sync
	@echo "The report is artifacts/report/index.html; the figures are in artifacts/figures/."

# On up to eight cores; the tests of a file stay together, since they share what is costly to make.
test: env
	python -m pytest -m "not slow" --numprocesses auto --maxprocesses 8 --dist loadfile
	@echo "Left to .ci/run, or \`make slow\`: the smoke experiment by both drivers, killed and resumed; SmolLM2 against transformers; the examples."

slow: env
	python -m pytest -m slow

lint: env
	ruff check .
	ruff format --check .

ui: env
	python -m duo ui

# Newest versions that pyproject.toml allows, for every platform, with the hashes of all their files.
lock: env
	python -m pip install --quiet uv
	uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
	    --extra workflow --extra harness --extra pretrained --extra test --constraint requirements-torch.txt --no-emit-package torch pyproject.toml --output-file requirements.lock
