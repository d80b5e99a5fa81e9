# What this repository does, as commands. `make help` lists them.

.DEFAULT_GOAL := help
SHELL := /bin/bash

## the study to run, a file of ablations/studies
STUDY = mini
## grids of the study, as in GRIDS="alpha gamma"; empty: all of them
GRIDS =
## how many seeds every setting is run with; empty: as the study says
SEEDS =
## a folder of own data, in COCO's format or of Pascal VOC; check, describe, register: or coco_2017
DATASET =
## cells side by side; empty: one a core, or as many as there are GPUs for
JOBS =
## what runs the cells: local (processes here) or slurm (a job array, through submitit)
ENGINE = local
## how often a cell whose process died is started again, from its last checkpoint
RETRIES = 2
## GPUs that one cell trains on; empty: as the study says (coco: 8, mini: none)
GPUS =
## where runs write
OUTPUT = output
## demo: a folder of photographs, or one of them
IMAGES =
## demo: the checkpoints, as in WEIGHTS="a.pth b.pth"
WEIGHTS =
## demo: the config of the checkpoints; empty: config.yaml beside each
CONFIG =
## demo: the score to show boxes from; empty: each checkpoint's own where all have one, or 0.5
THRESHOLD =
## what bench measures, as in BENCH="loss step"; empty: everything but study-full
BENCH =
## an existing environment's Python, in place of a new .venv
PYTHON ?=
## upstream: a folder with another Detectron2's package, such as a checkout of its main branch
DETECTRON2 ?=
## further arguments for pytest, as in PYTEST_ARGS="-m 'not slow'"
PYTEST_ARGS =

PY = $(or $(PYTHON),.venv/bin/python)

STUDY_FLAGS = --study "$(STUDY)" --output "$(OUTPUT)" \
	$(if $(GRIDS),--grids "$(GRIDS)") \
	$(if $(SEEDS),--seeds "$(SEEDS)") \
	$(if $(DATASET),--dataset "$(DATASET)")

RUN_FLAGS = --engine "$(ENGINE)" --retries "$(RETRIES)" \
	$(if $(JOBS),--jobs "$(JOBS)") \
	$(if $(GPUS),--gpus "$(GPUS)")

.PHONY: help setup ablations plan doctor status report publish cards demo check describe register
.PHONY: fetch test upstream bench soak lock audit lint format clean

## this list
help:
	@echo 'usage: make TARGET [VARIABLE=value ...]'
	@awk '/^## / { text = substr($$0, 4); next } \
	    /^[a-z]+:/ && text { sub(/:.*/, ""); targets = targets sprintf("  %-12s %s\n", $$0, text) } \
	    /^[A-Z0-9_]+ \??=/ && text { name = $$1; value = $$0; sub(/^[^=]*= ?/, "", value); \
	        variables = variables sprintf("  %-12s %s%s\n", name, text, \
	            value == "" ? "" : " [" value "]") } \
	    { text = "" } \
	    END { printf "\ntargets:\n%s\nvariables [default]:\n%s", targets, variables }' $(firstword $(MAKEFILE_LIST))

## make .venv with all that is needed, or bring PYTHON's environment up to date
setup:
	@command -v "$(or $(PYTHON),python3)" >/dev/null || { \
	    echo "make setup: there is no $(or $(PYTHON),python3) here; name a Python of version 3.10 or newer that is (PYTHON=...)" >&2; exit 1; }
	@"$(or $(PYTHON),python3)" -m install $(if $(PYTHON),--here)

## run what is missing of the study; its report is written again every minute, and at the end
ablations: setup
	@"$(PY)" -m reports $(STUDY_FLAGS) --every 60 --beside $$$$ >/dev/null 2>&1 & follower=$$!; \
	    "$(PY)" -m ablations $(STUDY_FLAGS) $(RUN_FLAGS); ran=$$?; \
	    kill $$follower 2>/dev/null; wait $$follower 2>/dev/null; \
	    [ $$ran -ne 2 ] || exit 2; \
	    "$(PY)" -m reports $(STUDY_FLAGS) && exit $$ran

## list what `make ablations` would run, with an estimate of time and disk; run nothing
plan: setup
	@"$(PY)" -m ablations plan $(STUDY_FLAGS) $(RUN_FLAGS)

## look whether this machine has what the study needs: data, weights, GPUs, disk, anchors
doctor: setup
	@"$(PY)" -m ablations doctor $(STUDY_FLAGS) $(RUN_FLAGS)

## show where the study stands, also while it runs elsewhere
status: setup
	@"$(PY)" -m ablations status $(STUDY_FLAGS)

## write the study's report again, from the records alone
report: setup
	@"$(PY)" -m reports $(STUDY_FLAGS)

## keep the study's report in reports/published/ and show it in README.md
publish: setup
	@"$(PY)" -m reports.publish --study "$(STUDY)" --output "$(OUTPUT)"

## write a model card beside every checkpoint of the study, from the records
cards: setup
	@"$(PY)" -m reports.model_card --study "$(STUDY)" --output "$(OUTPUT)" \
	    $(if $(DATASET),--dataset "$(DATASET)")

## show what the checkpoints WEIGHTS find on the photographs IMAGES, in OUTPUT/demo; on the CPU
demo: setup
	@"$(PY)" -m focal_star.demo --images "$(IMAGES)" --weights $(WEIGHTS) \
	    $(if $(CONFIG),--config "$(CONFIG)") $(if $(THRESHOLD),--threshold "$(THRESHOLD)") \
	    --output "$(OUTPUT)/demo"

## name every problem of DATASET's annotations and images
check: setup
	@"$(PY)" -m focal_star.data check $(if $(DATASET),"$(DATASET)")

## tell what is in DATASET: images, objects, categories, sizes
describe: setup
	@"$(PY)" -m focal_star.data describe $(if $(DATASET),"$(DATASET)")

## have Detectron2 read DATASET, and show the config keys that train on it
register: setup
	@"$(PY)" -m focal_star.data register $(if $(DATASET),"$(DATASET)")

## download COCO 2017 into DETECTRON2_DATASETS, or go on with it; 41 GB of disk
fetch: setup
	@"$(PY)" -m focal_star.data fetch

## lint, then run all tests, the fast ones first, a file a core
test: setup lint
	@OMP_NUM_THREADS=1 "$(PY)" -m pytest --numprocesses auto --dist loadfile $(PYTEST_ARGS)

## run the tests of focal_star on another Detectron2, that of the folder DETECTRON2
upstream: setup
	@[ -f "$(DETECTRON2)/detectron2/__init__.py" ] || { \
	    echo "make upstream: there is no detectron2/__init__.py in '$(DETECTRON2)'; name the folder that holds the package (DETECTRON2=...)" >&2; exit 1; }
	@mkdir -p .setup/upstream  # the package alone: the checkout has a package `tests` as well
	@ln -sfn "$$(realpath "$(DETECTRON2)")/detectron2" .setup/upstream/detectron2
	@PYTHONPATH="$(CURDIR)/.setup/upstream" "$(PY)" -m pytest tests/focal_star $(PYTEST_ARGS)

## measure losses, training step, evaluation, a study and more against others; about 7 minutes
bench: setup
	@"$(PY)" -m benchmarks --parts "$(BENCH)" --output "$(OUTPUT)/bench"

## kill a study 50 times at random and compare it with one left alone; then fuzz the readers
soak: setup
	@"$(PY)" tests/soak.py --kills 50 --cells 12
	@"$(PY)" -m tests.fuzz --cases 1000000

## write install/lock.txt anew, with the newest versions that setup.py allows
lock: setup
	@"$(PY)" -m pip install --quiet --upgrade --target .setup/uv uv
	@PYTHONPATH=.setup/uv "$(PY)" -m uv pip compile --quiet --universal --python-version 3.10 --upgrade \
	    --no-header --extra test --extra draw --output-file install/lock.txt \
	    setup.py install/detectron2/pyproject.toml install/lock.in

## look for published vulnerabilities of the locked versions; asks the package index
audit: setup
	@"$(PY)" -m pip_audit --strict --disable-pip --no-deps --progress-spinner off \
	    --requirement install/lock.txt

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
