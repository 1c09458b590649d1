# The same commands for a laptop and for CI. `make` alone lists them.
# Needs nothing but make and Python 3.11+; everything else goes into .venv and two folders
# named node_modules.

PYTHON ?= python3
ARGS ?=
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready-for-tests
READY_FOR_BENCH := $(VENV)/.ready-for-bench
NODE_MODULES := tests/node_modules/.package-lock.json
PEER_MODULES := benchmarks/node_modules/.package-lock.json
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check

# Twice the cores of a small machine: many tests wait for a program most of their time.
IN_PARALLEL := --numprocesses=4 --dist=worksteal

# What the tests drive from outside, as program:package (Debian's names).
TEST_TOOLS := apache2:apache2-bin caddy:caddy chromium:chromium curl:curl faketime:faketime \
	haproxy:haproxy ip:iproute2 iptables:iptables mosquitto:mosquitto mount:mount nft:nftables \
	nginx:nginx node:nodejs npm:npm nsenter:util-linux openssl:openssl setpriv:util-linux \
	ssh-keygen:openssh-client sshd:openssh-server strace:strace unshare:util-linux zbarimg:zbar-tools
# What the gateway is measured beside, and the browser that shows its page.
BENCH_TOOLS := chromium:chromium mosquitto:mosquitto node:nodejs npm:npm

# wsdev with its hot path compiled, beside the source; from the archive that a release is made of,
# since the compiler writes beside the modules that it is given.
COMPILED := build/compiled
READY_COMPILED := $(COMPILED)/.ready
WITH_COMPILED := env PYTHONSAFEPATH=1 PYTHONPATH=$(CURDIR)/$(COMPILED)

# Each wsdev that a test starts would compile the whole package anew.
unexport PYTHONDONTWRITEBYTECODE

# Debian keeps ip in sbin, which is not on every user's PATH.
export PATH := $(PATH):/usr/sbin:/sbin

.SHELLFLAGS := -ec
.DELETE_ON_ERROR:
.NOTPARALLEL:
.DEFAULT_GOAL := help

# Installs the Debian packages in the shell variable `missing`, if there are any. Where that takes
# somebody's password, says which they are and goes on with $(1).
define install_missing
if [ -z "$$missing" ]; then :; \
elif [ "$$(id -u)" -eq 0 ] && command -v apt-get >/dev/null; then \
	echo "Installing:$$missing"; \
	apt-get update -qq; \
	DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends $$missing \
		>/dev/null </dev/null; \
else \
	echo "Missing here:$$missing. On Debian: sudo apt-get install$$missing" >&2; \
	$(1); \
fi
endef

# Sets `missing` to what is needed to make a virtual environment, and to run the programs in $(1).
define look_for_tools
$(look_for_venv); \
for pair in $(1); do \
	command -v "$${pair%%:*}" >/dev/null || missing="$$missing $${pair##*:}"; \
done
endef

# Sets `missing` to python3-venv if Python cannot make a virtual environment.
define look_for_venv
missing=; \
if ! command -v $(PYTHON) >/dev/null; then missing=" python3 python3-venv"; \
elif ! $(PYTHON) -c 'import ensurepip, venv' 2>/dev/null; then missing=" python3-venv"; fi
endef

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: serve
serve: $(BIN)/wsdev ## run the gateway; options go into ARGS="--port 3100"
	@exec $(BIN)/wsdev serve $(ARGS)

.PHONY: test
test: tools lint ## set up what the tests need, then run all checks
	$(BIN)/python -m pytest $(IN_PARALLEL)

.PHONY: coverage
coverage: tools ## the same tests, and which lines and branches none of them reaches
	$(BIN)/python -m pytest --cov $(IN_PARALLEL)

.PHONY: test-compiled
test-compiled: tools $(READY_COMPILED) ## the same tests but the page's, with the hot path compiled
	$(WITH_COMPILED) $(BIN)/python -m pytest $(IN_PARALLEL) -m 'not from_source' --ignore=tests/browser

.PHONY: test-long
test-long: tools ## a hundred kills under load, the other proofs of an ack, made-up requests
	WSDEV_KILLS=$${WSDEV_KILLS:-100} $(BIN)/python -m pytest -rP tests/proof
	WSDEV_EXAMPLES=$${WSDEV_EXAMPLES:-50} $(BIN)/python -m pytest tests/test_console_openapi.py

.PHONY: lint
lint: $(READY) ## the checks that run nothing: ruff, mypy, import-linter
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

.PHONY: format
format: $(READY) ## let ruff put the code in order
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

.PHONY: docs
docs: $(READY) ## write the tables of the docs that are made from the code
	$(BIN)/python tests/doc_tables.py

.PHONY: translated
translated: $(READY) ## wsdev/translations/fa.toml says these as the code does; ARGS="refused wrong_port"
	$(BIN)/python tests/doc_tables.py $(ARGS)

.PHONY: bench
bench: bench-tools $(READY_FOR_BENCH) $(READY_COMPILED) ## what the gateway costs, beside others; ARGS="telemetry", ARGS=--quick
	@$(WITH_COMPILED) $(BIN)/python -m benchmarks $(ARGS)

.PHONY: soak
soak: $(BIN)/wsdev ## half an hour of bad weather: nothing leaks, nothing is lost; ARGS="--duration 2m"
	@$(BIN)/python -m benchmarks.soak $(ARGS)

.PHONY: wheel
wheel: compiler $(READY) ## a wheel with the hot path compiled, for this machine, in dist/
	rm -rf dist
	$(BIN)/python -m hatchling build --target sdist >/dev/null
	HATCH_BUILD_HOOKS_ENABLE=true $(BIN)/python -m pip wheel --quiet --disable-pip-version-check \
		--no-deps --wheel-dir dist dist/*.tar.gz
	@ls dist/*.whl

.PHONY: clean
clean: ## remove all that was made here
	rm -rf $(VENV) tests/node_modules benchmarks/node_modules build dist
	rm -rf .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis
	rm -f .coverage .coverage.*
	find benchmarks wsdev tests -name __pycache__ -type d -prune -exec rm -rf {} +

# Locally a test without its tool is skipped; in CI it would fail, so stop here and say why.
.PHONY: tools
tools: | system-packages
	@if command -v npm >/dev/null; then $(MAKE) --no-print-directory $(NODE_MODULES); fi

.PHONY: system-packages
system-packages:
	@$(call look_for_tools,$(TEST_TOOLS)); \
	$(call install_missing,[ -z "$$CI" ] && echo "Tests that need them are skipped." >&2)

# A peer that cannot be had is told as such in the tables.
.PHONY: bench-tools
bench-tools:
	@$(call look_for_tools,$(BENCH_TOOLS)); \
	$(call install_missing,echo "The tables will do without them." >&2)
	@if command -v npm >/dev/null; then $(MAKE) --silent $(PEER_MODULES); fi

# Python's headers too: Debian has them in a package of their own.
.PHONY: compiler
compiler: | $(BIN)/python
	@missing=; command -v cc >/dev/null || missing=" gcc libc6-dev"; \
	$(BIN)/python -c 'import os, sys, sysconfig; \
		sys.exit(not os.path.exists(sysconfig.get_path("include") + "/Python.h"))' \
		|| missing="$$missing python3-dev"; \
	$(call install_missing,exit 1)

$(READY_COMPILED): pyproject.toml $(shell find wsdev -type f -not -name "*.pyc")
	@$(MAKE) --no-print-directory wheel
	rm -rf $(COMPILED)
	$(PIP) --no-deps --target $(COMPILED) dist/*.whl
	@touch $@

$(NODE_MODULES) $(PEER_MODULES): %/node_modules/.package-lock.json: %/package.json
	npm install --prefix $* --no-package-lock --no-audit --no-fund --loglevel=error
	@touch $@

$(BIN)/python:
	@$(look_for_venv); $(call install_missing,exit 1)
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else \
		"wsdev needs Python 3.11 or newer, and $(PYTHON) is %d.%d: make PYTHON=<path>" \
		% sys.version_info[:2])'
	$(PYTHON) -m venv $(VENV)

$(BIN)/wsdev: pyproject.toml | $(BIN)/python
	$(PIP) --editable .
	@touch $@

$(READY): pyproject.toml | $(BIN)/python
	$(PIP) --editable '.[test]'
	@touch $(BIN)/wsdev $@

$(READY_FOR_BENCH): pyproject.toml | $(BIN)/python
	$(PIP) --editable '.[bench]'
	@touch $(BIN)/wsdev $@
