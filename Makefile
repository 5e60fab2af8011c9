# Two commands for a fresh machine: `make quickstart` and `make test`.
.DEFAULT_GOAL := help
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c

PYTHON ?= python3
CORES ?= 2
MIRROR ?=
# A name of config/studies/ or the path of a YAML file.
STUDY ?= quickstart
EFFORT ?=
DATASETS ?=
BIN := .venv/bin
# So many GPUs are there; no more trained systems are started than can have one.
GPUS ?= $(shell nvidia-smi -L 2>/dev/null | grep -c '^GPU')
SNAKEMAKE = $(BIN)/snakemake --profile workflow/profiles/default $(if $(filter-out 0,$(GPUS)),--resources gpu=$(GPUS)) --cores $(CORES)
WORDS = $(if $(MIRROR),"mirror=$(MIRROR)") $(if $(EFFORT),effort=$(EFFORT)) $(if $(DATASETS),datasets=$(DATASETS))
CONFIG = $(if $(strip $(WORDS)),--config $(strip $(WORDS)))
OWN = $(filter %.yaml %.yml,$(STUDY))
NAME = $(if $(OWN),$(shell sed -n 's/^name: *//p' "$(OWN)"),$(STUDY))
INSTALL = $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt

.PHONY: help quickstart study datasets report figures freeze compare check repair unlock
.PHONY: test test-fast test-cluster test-faults lint format clean

help:  ## Show this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

.venv/installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed, this is %d.%d; set PYTHON=/path/to/python3.11" % sys.version_info[:2] if sys.version_info < (3, 11) else 0)'
	@echo "making .venv (a few minutes the first time)"
	@$(PYTHON) -m venv .venv
	@$(INSTALL) -e .
	@touch $@

.venv/installed-test: .venv/installed
	@$(INSTALL) -e '.[test]'
	@touch $@

.venv/installed-cluster: .venv/installed-test
	@$(INSTALL) -e '.[cluster]'
	@touch $@

quickstart: .venv/installed  ## Run the quickstart study and print where its report is
	@$(SNAKEMAKE) quickstart $(CONFIG)
	@$(BIN)/python workflow/scripts/summary.py results/studies/quickstart

study: .venv/installed  ## Run another study: make study STUDY=first-light MIRROR=/path/to/mirror [EFFORT=paper] [DATASETS=a,b]
	@$(SNAKEMAKE) $(if $(OWN),--config "study=$(OWN)" $(strip $(WORDS)),$(STUDY) $(CONFIG))
	@$(BIN)/python workflow/scripts/summary.py results/studies/$(NAME)

datasets: .venv/installed  ## Prepare every dataset whose files are in MIRROR; print the table
	@$(SNAKEMAKE) datasets $(CONFIG)
	@cat results/logs/datasets.log

report: .venv/installed  ## Build the HTML report
	@$(SNAKEMAKE) report $(CONFIG)

figures: .venv/installed  ## Redraw every figure and table from the metrics on disk
	@$(SNAKEMAKE) figures

freeze: .venv/installed  ## Keep the numbers of a finished study in results/reference: make freeze STUDY=wpgrec
	@$(BIN)/python workflow/scripts/reference.py freeze results/studies/$(NAME)

compare: .venv/installed  ## Say how far a finished study is from the numbers kept: make compare STUDY=wpgrec
	@$(BIN)/python workflow/scripts/reference.py compare results/studies/$(NAME)

check: .venv/installed  ## List damaged files in results/
	@$(BIN)/python workflow/scripts/check.py

repair: .venv/installed  ## Rebuild the damaged files in results/ and nothing else
	@$(BIN)/python workflow/scripts/check.py --repair $(SNAKEMAKE) $(CONFIG)

unlock: .venv/installed  ## Remove the lock that a killed workflow left, unless one still runs
	@$(BIN)/python workflow/scripts/unlock.py $(SNAKEMAKE)

test: .venv/installed-test  ## Run all tests but test-cluster and test-faults
	@$(BIN)/python -m pytest

test-fast: .venv/installed-test  ## Run the tests that need seconds
	@$(BIN)/python -m pytest -m 'not slow'

test-cluster: .venv/installed-cluster  ## Run the quickstart study through a Slurm of one node (as root, installs Debian's if missing)
	@$(BIN)/python -m pytest tests/unit/test_slurm_executor.py
	@$(BIN)/python -m pytest -m cluster tests/cluster

test-faults: .venv/installed-test  ## Kill, fill the disk, damage files, start twice: what it costs (75 minutes at most)
	@$(BIN)/python -m pytest -m faults tests/faults

lint: .venv/installed-test  ## Check style of code and workflow
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/snakefmt --check Snakefile rules
	@$(BIN)/snakemake --lint >/dev/null || { $(BIN)/snakemake --lint; exit 1; }

format: .venv/installed-test  ## Format code and workflow
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .
	@$(BIN)/snakefmt Snakefile rules

clean:  ## Remove generated results (keeps results/reference)
	@test ! -d results || find results -mindepth 1 -maxdepth 1 ! -name reference -exec rm -rf {} +
