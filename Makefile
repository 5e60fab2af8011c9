# Two commands for a fresh machine: `make quickstart` and `make test`.
.DEFAULT_GOAL := help
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c

PYTHON ?= python3
CORES ?= 2
# A name of config/studies/ or the path of a YAML file.
ASKED := $(if $(value STUDY),yes)
STUDY ?= quickstart
# A name of config/datasets/ or the path of a YAML file.
DATA ?=
# Of the field's standard tables: what two cores run in a quarter of an hour, with the settings of the authors.
SOON := popularity,itemknn,rp3beta,gfcf,turbocf,pgsp,bspm,chebycf,sgfcf
# What `make redo` forgets. DRY=1 only says what that would be; of a study, what would run, in how many jobs.
WHAT ?=
DRY ?=
# What pip downloads must be what `make lock` saw. HASHES=no is for an index whose files are its own.
HASHES ?= yes
# What a user gives is text: `value` keeps make from running a $(shell ...) in it, and recipes take
# it from their environment, in quotes, so that a shell does not run it either.
GIVEN := PYTHON CORES GPUS MIRROR STUDY SCALE TRIALS SEEDS EPOCHS MINUTES DATASETS MODELS MODEL_GROUPS KEEP DATA WHAT DRY MODULES MOST HASHES
OWN := BIN
# A misspelt name would do nothing, in silence. A make that calls this one hands its own variables on.
WRONG := $(filter-out $(GIVEN) $(OWN) SHELL MAKEFLAGS -%,$(foreach name,$(.VARIABLES),$(if $(findstring command,$(origin $(name))),$(name))))
$(if $(filter 0,$(MAKELEVEL)),$(if $(WRONG),$(error $(WRONG): no such variable; make takes $(GIVEN))))
$(foreach name,$(GIVEN),$(eval override $(name) := $$(value $(name))))
export $(GIVEN)
BIN := .venv/bin
RUN = $(BIN)/python workflow/scripts/run.py
SNAKEMAKE = $(BIN)/snakemake --profile workflow/profiles/default --cores "$$CORES"
OPTIONS = --mirror="$$MIRROR" --scale="$$SCALE" --trials="$$TRIALS" --seeds="$$SEEDS" --epochs="$$EPOCHS" \
  --minutes="$$MINUTES" --datasets="$$DATASETS" --models="$$MODELS" --groups="$$MODEL_GROUPS" --keep="$$KEEP" \
  --cores="$$CORES" --gpus="$$GPUS"
# An interrupt has been said already. make got it too, ends by it and would add an error of its own.
QUIETLY = || { code=$$?; [ $$code -ne 130 ] || { kill -INT $$PPID; code=0; }; exit $$code; }
# Older pip takes the constraints of what is needed to build from the first variable, newer from the second.
INSTALL = PIP_CONSTRAINT=constraints.txt PIP_BUILD_CONSTRAINT=constraints.txt \
	$(BIN)/python -m pip install --quiet --disable-pip-version-check
LOCKED = [ "$$HASHES" = no ] || $(INSTALL) --no-deps --require-hashes -r
# PyTorch and what it brings along: their wheels differ by index (CPU, CUDA), so they have no hashes.
UNHASHED := torch triton cuda-bindings cuda-pathfinder cuda-toolkit nvidia-cublas nvidia-cuda-cupti \
	nvidia-cuda-nvrtc nvidia-cuda-runtime nvidia-cudnn-cu13 nvidia-cufft nvidia-cufile nvidia-curand \
	nvidia-cusolver nvidia-cusparse nvidia-cusparselt-cu13 nvidia-nccl-cu13 nvidia-nvjitlink \
	nvidia-nvshmem-cu13 nvidia-nvtx
COMPILE = $(BIN)/uv pip compile pyproject.toml --constraint constraints.txt --universal --python-version 3.11 \
	--generate-hashes --no-header --no-annotate --quiet $(UNHASHED:%=--no-emit-package %)

.PHONY: help quickstart study standard preview datasets report figures freeze compare results crate check redo unlock
.PHONY: docs test test-fast test-cluster test-faults test-gpu mutate lint format lock clean

help:  ## Show this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

.venv/installed: pyproject.toml constraints.txt locks/run.txt
	@"$${PYTHON/#\~/$$HOME}" -c 'import sys; sys.exit("Python 3.11 or newer is needed, this is %d.%d; set PYTHON=/path/to/python3.11" % sys.version_info[:2] if sys.version_info < (3, 11) else 0)'
	@echo "making .venv (a few minutes the first time)"
	@"$${PYTHON/#\~/$$HOME}" -m venv .venv
	@$(LOCKED) locks/run.txt
	@$(INSTALL) -e .
	@touch $@

.venv/installed-test: .venv/installed
	@$(LOCKED) locks/test.txt
	@$(INSTALL) -e '.[test]'
	@touch $@

.venv/installed-cluster: .venv/installed-test
	@$(LOCKED) locks/cluster.txt
	@$(INSTALL) -e '.[cluster]'
	@touch $@

quickstart: .venv/installed  ## Run the quickstart study and print where its report is
	@$(RUN) study --study=quickstart $(if $(value DRY),--dry) $(OPTIONS) $(QUIETLY)

study: .venv/installed  ## Run another study: make study STUDY=first-light MIRROR=/path/to/mirror [SCALE=paper] [TRIALS=2] [SEEDS=1] [EPOCHS=20] [DATASETS=a,b] [MODELS=a,b] [MODEL_GROUPS=a,b] [KEEP=1] [DRY=1: only say what would run]
	@test -n "$(ASKED)" || { echo "say which study: make study STUDY=quickstart, a name of config/studies or a YAML file" >&2; exit 2; }
	@$(RUN) study --study="$$STUDY" $(if $(value DRY),--dry) $(OPTIONS) $(QUIETLY)

standard: export MODELS := $(if $(MODELS),$(MODELS),$(SOON))
standard: export MODEL_GROUPS := $(if $(MODEL_GROUPS),$(MODEL_GROUPS),authors)
standard: .venv/installed  ## Run the field's standard tables as their authors did: make standard MIRROR=/path/to/mirror [MODELS=a,b] [MODEL_GROUPS=authors,tuned] [DRY=1]
	@$(RUN) study --study=standard $(if $(value DRY),--dry) $(OPTIONS) $(QUIETLY)

preview: .venv/installed  ## Print what is understood of a dataset: make preview DATA=my-data (or the path of its YAML)
	@test -n "$$DATA" || { echo "say which dataset: make preview DATA=my-data" >&2; exit 2; }
	@$(BIN)/python workflow/scripts/preview.py --mirror="$$MIRROR" -- "$$DATA" $(QUIETLY)

datasets: .venv/installed  ## Prepare every dataset whose files are in MIRROR; print the table
	@$(RUN) datasets $(OPTIONS) $(QUIETLY)

report: .venv/installed  ## Build the quickstart study and the HTML report of all studies that have run
	@$(RUN) report $(OPTIONS) $(QUIETLY)

figures: .venv/installed  ## Redraw the figures and tables of all studies that have run; fits nothing
	@$(RUN) figures $(OPTIONS) $(QUIETLY)

freeze: .venv/installed  ## Keep the numbers of a finished study in results/reference: make freeze STUDY=wpgrec
	@$(BIN)/python workflow/scripts/reference.py freeze --study="$$STUDY" $(QUIETLY)

compare: .venv/installed  ## Say how far a finished study is from the numbers kept: make compare STUDY=wpgrec
	@$(BIN)/python workflow/scripts/reference.py compare --study="$$STUDY" $(QUIETLY)

results: .venv/installed  ## Write the tables of RESULTS.md from the numbers kept in results/reference
	@$(BIN)/python workflow/scripts/results.py

crate: .venv/installed  ## Write a finished study as an RO-Crate, with what made each file: make crate STUDY=wpgrec
	@$(BIN)/python workflow/scripts/crate.py --study="$$STUDY" $(QUIETLY)

check: .venv/installed  ## List damaged files in results/
	@$(BIN)/python workflow/scripts/check.py

redo: .venv/installed  ## Forget results and run again: make redo WHAT=DATASET, MODEL, RUN FOLDER, STATUS or damaged [DRY=1] [STUDY=...]
	@$(BIN)/python workflow/scripts/redo.py --what="$$WHAT" $(if $(ASKED),--study="$$STUDY") $(if $(value DRY),--dry) $(OPTIONS) $(QUIETLY)

unlock: .venv/installed  ## Remove the lock that a killed workflow left, unless one still runs
	@$(BIN)/python workflow/scripts/unlock.py $(SNAKEMAKE)

test: .venv/installed-test  ## Run all tests but test-cluster, test-faults and test-gpu
	@$(BIN)/python -m pytest -n "$$CORES" --dist loadfile --no-loadscope-reorder

test-fast: .venv/installed-test  ## Run the unit tests without the slow ones, in about a minute
	@$(BIN)/python -m pytest -n "$$CORES" --dist loadfile -m 'not slow' tests/unit

test-cluster: .venv/installed-cluster  ## Run the quickstart study through a Slurm of one node (as root, installs Debian's if missing)
	@$(BIN)/python -m pytest tests/unit/running/test_slurm_executor.py
	@$(BIN)/python -m pytest -m cluster tests/cluster

test-faults: .venv/installed-test  ## Kill, fill the disk, damage files, start twice: what it costs (75 minutes at most)
	@$(BIN)/python -m pytest -m faults tests/faults

test-gpu: .venv/installed-test  ## Test models on this machine's GPU and time them there (10 minutes): make test-gpu MIRROR=/path/to/mirror
	@$(BIN)/python workflow/benchmarks/gpu.py --mirror="$$MIRROR" $(QUIETLY)

mutate: .venv/installed-test  ## Break the modules of numbers in small ways, list what no test notices: make mutate [MODULES="ranking hits"] [MOST=30]
	@nice $(BIN)/python tests/mutate.py --modules $$MODULES --most="$${MOST:-30}"

docs: .venv/installed  ## Write docs/studies.md, the page of all keys, from the schema
	@$(BIN)/python workflow/scripts/keys.py

lint: .venv/installed-test  ## Check style of code and workflow
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/snakefmt --check Snakefile rules
	@$(BIN)/snakemake --lint >/dev/null || { $(BIN)/snakemake --lint; exit 1; }

format: .venv/installed-test  ## Format code and workflow
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .
	@$(BIN)/snakefmt Snakefile rules

lock: .venv/installed  ## Write the hashes of all packages anew, after a change of constraints.txt
	@$(INSTALL) -e '.[lock]'
	@$(COMPILE) -o locks/run.txt
	@for extra in test cluster; do \
		$(COMPILE) --extra $$extra -o locks/$$extra.txt \
			$$(sed -n 's/^\([A-Za-z0-9._-]*\)==.*/--no-emit-package \1/p' locks/run.txt); done

clean:  ## Remove generated results (keeps results/reference)
	@test ! -d results || find results -mindepth 1 -maxdepth 1 ! -name reference -exec rm -rf {} +
