# Two commands do everything: `make demo` and `make test`. Each sets up what it needs.
# Debian packages are installed with apt-get, Python packages into .venv from the lock.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SETUP := $(VENV)/.ready
OBJECTS := src/kmemscope/observe/bpf/objects/census.json
BUILD_PACKAGES := clang bpftool libbpf-dev linux-libc-dev
DEMO_PACKAGES := runc
TEST_PACKAGES := runc cpio
KERNELS ?= 6.1 6.1-v1 6.12 6.18 newest 5.10

help: ## show the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

# Installs only what is missing, so that a machine without a network works once it is set up.
define debian
	@missing=$$(for p in $(1); do dpkg-query -W -f '$${Status}' $$p 2>/dev/null | grep -q ' installed' || echo $$p; done); \
	if [ -n "$$missing" ]; then apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $$missing >/dev/null; fi
endef

$(SETUP): requirements-dev.lock pyproject.toml
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || (apt-get update -qq && apt-get install -y -qq python3-venv >/dev/null)
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.lock
	@echo '$(CURDIR)/src' > $$($(BIN)/python -c 'import site; print(site.getsitepackages()[0])')/kmemscope.pth
	@printf '#!/bin/sh\nexec %s -m kmemscope "$$@"\n' '$(CURDIR)/$(BIN)/python' > $(BIN)/kmemscope && chmod +x $(BIN)/kmemscope
	@touch $@

$(OBJECTS): $(wildcard bpf/*.c bpf/*.h) bpf/build.py
	$(call debian,$(BUILD_PACKAGES))
	@$(PYTHON) bpf/build.py

setup: $(SETUP) ## Python packages into .venv
build: $(OBJECTS) ## compile the BPF programs

wheel: $(SETUP) $(OBJECTS) ## build the wheel into dist/
	@rm -rf dist && $(BIN)/python -m build --wheel --no-isolation --outdir dist . >/dev/null && ls dist

# Needs no package but Python itself; as root on Linux it runs live, which needs the BPF programs and runc.
demo: ## explain a real leaking container, from a fresh machine on
	@if [ "$$(uname -s)" = Linux ] && [ "$$(id -u)" = 0 ]; then $(MAKE) --no-print-directory live-demo-setup || true; fi
	@PYTHONPATH=src $(PYTHON) -m demo

live-demo-setup:
	$(call debian,$(DEMO_PACKAGES))
	@$(MAKE) --no-print-directory build

test: $(SETUP) $(OBJECTS) ## unit, property and system tests on this kernel
	$(call debian,$(TEST_PACKAGES))
	@$(BIN)/python -m pytest -q

lint: $(SETUP) ## ruff and mypy
	@$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy

format: $(SETUP) ## format the sources
	@$(BIN)/ruff check --fix -q . ; $(BIN)/ruff format .

kernels: wheel ## system tests in QEMU on other kernels (KERNELS="6.1 6.12")
	$(call debian,$(shell cat tests/kernels/host-packages.txt 2>/dev/null))
	@$(BIN)/python -m tests.kernels $(KERNELS) --wheel dist/*.whl

bench: $(SETUP) $(OBJECTS) ## measure; prints JSON
	@$(BIN)/python -m benchmarks

clean: ## remove what was built
	rm -rf $(VENV) dist src/kmemscope/observe/bpf/objects

.PHONY: help setup build wheel demo live-demo-setup test lint format kernels bench clean
