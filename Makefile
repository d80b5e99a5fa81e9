# What this repository does, as commands. `make help` lists them.

.DEFAULT_GOAL := help
SHELL := /bin/bash

## the study to run, a file of ablations/studies
STUDY = mini
## grids of the study, as in GRIDS="alpha gamma"; empty: all of them
GRIDS =
## how many seeds each setting is run with; empty: as the study says
SEEDS =
## a folder of own data: instances_train.json, instances_val.json, images/
DATASET =
## cells side by side; empty: one a core
JOBS =
## where runs write
OUTPUT = output
## an existing environment's Python, in place of a new .venv
PYTHON ?=
## further arguments for pytest, as in PYTEST_ARGS="-m 'not slow'"
PYTEST_ARGS =

PY = $(or $(PYTHON),.venv/bin/python)

STUDY_FLAGS = --study "$(STUDY)" --output "$(OUTPUT)" \
	$(if $(GRIDS),--grids "$(GRIDS)") \
	$(if $(SEEDS),--seeds "$(SEEDS)") \
	$(if $(DATASET),--dataset "$(DATASET)")

.PHONY: help setup ablations report publish test lint format clean

## this list
help:
	@echo 'usage: make TARGET [VARIABLE=value ...]'
	@awk '/^## / { text = substr($$0, 4); next } \
	    /^[a-z]+:/ && text { sub(/:.*/, ""); targets = targets sprintf("  %-12s %s\n", $$0, text) } \
	    /^[A-Z_]+ \??=/ && text { name = $$1; value = $$0; sub(/^[^=]*= ?/, "", value); \
	        variables = variables sprintf("  %-12s %s%s\n", name, text, \
	            value == "" ? "" : " [" value "]") } \
	    { text = "" } \
	    END { printf "\ntargets:\n%s\nvariables [default]:\n%s", targets, variables }' $(firstword $(MAKEFILE_LIST))

## make .venv with all that is needed, or bring PYTHON's environment up to date
setup:
	@command -v "$(or $(PYTHON),python3)" >/dev/null || { \
	    echo "make setup: there is no $(or $(PYTHON),python3) here; name a Python of version 3.10 or newer that is (PYTHON=...)" >&2; exit 1; }
	@"$(or $(PYTHON),python3)" -m install.environment $(if $(PYTHON),--here)

## run what is missing of the study, then write its report
ablations: setup
	@"$(PY)" -m ablations $(STUDY_FLAGS) $(if $(JOBS),--jobs "$(JOBS)"); ran=$$?; \
	    [ $$ran -ne 2 ] || exit 2; \
	    "$(PY)" -m reports $(STUDY_FLAGS) && exit $$ran

## write the study's report again, from the records alone
report: setup
	@"$(PY)" -m reports $(STUDY_FLAGS)

## keep the study's report in reports/published/ and show it in README.md
publish: setup
	@"$(PY)" -m reports.publish --study "$(STUDY)" --output "$(OUTPUT)"

## lint, then run all tests, the fast ones first
test: setup lint
	@"$(PY)" -m pytest $(PYTEST_ARGS)

## check style and format
lint: setup
	@"$(PY)" -m ruff check
	@"$(PY)" -m ruff format --check

## mend style and format where ruff can
format: setup
	@"$(PY)" -m ruff check --fix
	@"$(PY)" -m ruff format

## remove caches; environments and all that runs wrote stay
clean:
	@rm -rf .pytest_cache .ruff_cache build *.egg-info
	@find . \( -name .venv -o -name .git -o -name "$(OUTPUT)" \) -prune \
	    -o -name __pycache__ -type d -prune -exec rm -rf {} +
