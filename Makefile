# Everything a contributor runs. Each target sets up what it needs and may be run again.
SHELL := /bin/bash
VENV ?= .venv
PYTHON ?= $(shell for v in 3.11 3.12 3.13; do p=$$(command -v python$$v) && "$$p" -c '' 2>/dev/null && { echo "$$p"; break; }; done)
PIP := $(VENV)/bin/python -m pip
RUN := $(VENV)/bin/python
TEST_FLAGS ?=
INSTALL_INPUTS := pyproject.toml hatch_build.py tools/generate_stubs.py $(shell find protos -name '*.proto')

.PHONY: help demo test test-fast check fix bench faults hostile soak models images-dry audit breaking clean

help: ## List the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{ printf "%-10s %s\n", $$1, $$2 }'

demo: $(VENV)/.runtime ## Transcribe a real recording of two speakers with all three services
	$(RUN) -m serving.models pull
	$(RUN) -m tools.demo

test: $(VENV)/.dev ## Run the whole suite, real models included
	$(RUN) -m serving.models pull
	$(RUN) -m pytest $(TEST_FLAGS)

test-fast: $(VENV)/.dev ## Run what needs no model weights
	$(RUN) -m pytest -m "not models" $(TEST_FLAGS)

check: $(VENV)/.dev ## Format, lint, types, contract
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/ruff check .
	$(VENV)/bin/mypy
	$(RUN) -m tools.check_contract $(if $(AGAINST),--against $(AGAINST))

fix: $(VENV)/.dev ## Format, repair what the linter can, and print the flags anew into docs/flags.md
	$(VENV)/bin/ruff check --fix-only .
	$(VENV)/bin/ruff format .
	$(RUN) -m tools.flags > docs/flags.md

breaking: $(VENV)/.dev ## Refuse changes that break callers of the contract at AGAINST (default: the newest tag)
	$(RUN) -m tools.check_contract --against $(or $(AGAINST),$(shell git describe --tags --abbrev=0 2>/dev/null),HEAD)

bench: $(VENV)/.dev ## Measure speed, memory and whose words are whose, against the same models run otherwise
	$(RUN) -m serving.models pull
	$(RUN) -m benchmarks.pipeline $(BENCH_FLAGS)
	$(RUN) -m benchmarks.long_upload
	$(RUN) -m benchmarks.decoding
	$(RUN) -m benchmarks.attribution --known-voices
	$(RUN) -m benchmarks.equality --minutes 1 --hints none exact
	$(RUN) -m benchmarks.diarization --seconds 40 --repeat 1
	$(RUN) -m benchmarks.diarization_streams --seconds 60 --at-once 1 4
	$(RUN) -m benchmarks.stability
	rm -f build/bench.csv
	$(RUN) -m asr_service.engines bench vocos --rows 1 --csv build/bench.csv
	$(RUN) -m asr_service.engines report build/bench.csv

hostile: $(VENV)/.dev ## Send 10,000 hostile files and uploads: no crash, no hang, no bug
	$(RUN) -m benchmarks.hostile_input

soak: $(VENV)/.dev ## Keep the gateway under mixed load for half an hour, and see whether its memory stays flat
	$(RUN) -m benchmarks.load.soak $(SOAK_FLAGS)

faults: $(VENV)/.dev ## Upload recordings while everything goes wrong: 500 with deterministic engines, 20 with the real ones
	$(RUN) -m serving.models pull
	$(RUN) -m benchmarks.faults
	$(RUN) -m benchmarks.faults --engines real --recordings 20 --at-once 2

models: $(VENV)/.runtime ## Pull the default models into the cache
	$(RUN) -m serving.models pull

images-dry: $(VENV)/.dev ## Run the Dockerfile's installs without a container engine: slow, downloads much (IMAGES="gateway asr")
	$(RUN) -m tools.images_dry $(IMAGES) $(IMAGES_FLAGS)

audit: $(VENV)/bin/python ## Ask the Python registry's JSON interface for advisories about every version that images install
	$(RUN) -m venv build/audit
	build/audit/bin/python -m pip install --quiet pip-audit==2.10.1
	for file in deploy/constraints/*.txt; do \
		build/audit/bin/pip-audit --strict --no-deps --disable-pip --requirement $$file || exit 1; \
	done

clean: ## Remove the environment and everything generated
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find protos -name '*_pb2*.py*' -delete

$(VENV)/bin/python:
	@test -n "$(PYTHON)" || { echo "Duoscribe needs Python 3.11, 3.12 or 3.13; name it with PYTHON=…" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(PIP) install --quiet --upgrade pip

$(VENV)/.runtime: $(VENV)/bin/python $(INSTALL_INPUTS)
	$(PIP) install --quiet --editable '.[all]'
	@touch $@

$(VENV)/.dev: $(VENV)/bin/python $(INSTALL_INPUTS)
	$(PIP) install --quiet --editable '.[dev]'
	@touch $@ $(VENV)/.runtime
