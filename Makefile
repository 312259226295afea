# `make demo` and `make test` need Python 3.11 or newer and nothing else: no root, no cluster, no database.

VENV := .venv
BIN := $(VENV)/bin
PYTEST := $(BIN)/python -m pytest
UV := .uv
REPORTS ?=
# How many seeds `make simulate` plays.
SEEDS ?= 2000
# On how many workers `make test` spreads: most tests wait, so that two are worth it on any machine.
WORKERS ?= 2
# Where a suite's JUnit report goes: nowhere, unless REPORTS names a folder.
report = $(if $(REPORTS),--junitxml=$(REPORTS)/$(1).xml)

# Without one, tests on a real API server would not be collected, and a suite of the others would look like all.
control_plane = @test -n "$$KUBEBUILDER_ASSETS" || { echo "KUBEBUILDER_ASSETS is not set: export it as the folder that holds kube-apiserver, kube-controller-manager, etcd and kubectl" >&2; exit 2; }

export PIP_DISABLE_PIP_VERSION_CHECK := 1
unexport PYTHONPATH PYTHONHOME VIRTUAL_ENV

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help setup demo test lint format simulate teeth cluster e2e faults bench lock clean

help: ## show this help
	@awk -F ':.*## ' '/^[a-z0-9]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(VENV)/.stamp ## make .venv from the lock, and install Remediator in it as it stands here

demo: setup ## see an alert roll a broken release back, all on this machine
	@$(BIN)/remediator demo

test: setup ## every test that needs nothing but Python
	$(PYTEST) tests --numprocesses $(WORKERS) --dist worksteal --ignore=tests/e2e --ignore=tests/faults --ignore=tests/bench --ignore=tests/simulation/test_teeth.py $(call report,test)

simulate: setup ## play SEEDS random histories of replicas that crash, on all cores; the laws have to hold in each
	$(BIN)/python -m tests.simulation --seeds $(SEEDS) $(if $(REPORTS),--junit $(REPORTS)/simulate.xml)

teeth: setup ## plant bugs in the simulation, one on each core at a time: each has to break a law
	$(PYTEST) tests/simulation/test_teeth.py $(call report,teeth)

lint: setup ## formatting, lint, types, and the arrows between the rooms
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/lint-imports

format: setup ## format the code and mend what ruff can mend
	$(BIN)/ruff format
	$(BIN)/ruff check --fix

cluster: setup ## the Kubernetes suite on a real control plane: KUBEBUILDER_ASSETS names its binaries
	$(control_plane)
	$(PYTEST) tests/kubernetes $(call report,cluster)

e2e: setup ## end to end, in real processes: KUBEBUILDER_ASSETS as above, prometheus-alertmanager installed
	$(control_plane)
	$(PYTEST) tests/e2e $(call report,e2e)

faults: setup ## replicas on one PostgreSQL, struck at every boundary by every fault; prints a table
	$(PYTEST) tests/faults $(call report,faults)

bench: setup ## measure against the peers, side by side; prints a table
	$(BIN)/python -m tests.bench

$(VENV)/.stamp: deploy/locks/dev.txt pyproject.toml
	@set -eu; \
	if ! $(BIN)/python -m pip --version >/dev/null 2>&1; then \
	  python=; \
	  for candidate in $(PYTHON) python3 python3.13 python3.12 python3.11 python; do \
	    if "$$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then python="$$candidate"; break; fi; \
	  done; \
	  if [ -z "$$python" ]; then \
	    echo "Remediator needs Python 3.11 or newer, and none was found in PATH (python3 there: $$(python3 --version 2>/dev/null || echo none))." >&2; \
	    echo "Install one, or name it: make PYTHON=/path/to/python3.12 $(MAKECMDGOALS)" >&2; exit 1; \
	  fi; \
	  if ! "$$python" -c 'import ensurepip, venv' 2>/dev/null; then \
	    echo "$$python cannot make virtual environments: its venv module lacks ensurepip." >&2; \
	    echo "On Debian and Ubuntu: sudo apt install python3-venv. Or name another: make PYTHON=/path/to/python3 $(MAKECMDGOALS)" >&2; exit 1; \
	  fi; \
	  echo "Making $(VENV) with $$("$$python" --version)"; \
	  "$$python" -m venv --clear $(VENV); \
	fi
	@$(BIN)/python -m pip install --quiet --require-hashes --only-binary :all: --requirement deploy/locks/dev.txt
	@$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

COMPILE = $(UV)/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --no-emit-index-url --system-certs

lock: ## choose the newest versions that pyproject.toml allows and write deploy/locks
	python3 -m venv --clear $(UV)
	$(UV)/bin/python -m pip install --quiet uv
	$(COMPILE) --upgrade --all-extras --group build --output-file deploy/locks/dev.txt pyproject.toml
	$(COMPILE) --upgrade --constraint deploy/locks/dev.txt --output-file deploy/locks/runtime.txt pyproject.toml
	$(COMPILE) --upgrade --constraint deploy/locks/dev.txt --group build --output-file deploy/locks/build.txt
	rm -rf $(UV)

clean: ## remove all that the other targets made
	rm -rf $(VENV) $(UV) .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis build dist
	find remediator tests -name __pycache__ -type d -prune -exec rm -rf {} +
