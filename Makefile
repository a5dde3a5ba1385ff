# Octavo: the targets people use. `make` alone lists them.
#
# The build is in place: .venv holds the dependencies, the native core is compiled into runtime/, and .venv/bin/octavo
# starts the source tree directly. A change in Python needs no new build; a change in runtime/core needs `make build`.

SHELL := /bin/bash
PYTHON ?= python3
JOBS ?= $(shell nproc)
VENV := .venv
BIN := $(VENV)/bin
TOOLS := packaging/tools
LAUNCHER := build/launcher/octavo
ROOT := var/roots/arm64
SUITE := debian:bookworm
SOURCES := $(shell find runtime binfmt -name '*.py')
LAUNCHER_FILES := $(shell find packaging/launcher -type f)
CORE_FILES := $(shell find runtime/core -type f 2>/dev/null)
export PYTHON

.DEFAULT_GOAL := help
.PHONY: help build launcher run test test-roots test-hosts check bench format clean

help:
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

build: $(VENV)/.core $(BIN)/octavo ## create .venv with the octavo command, compile the native core

$(VENV)/.python: pyproject.toml
	$(TOOLS)/install-packages.sh build
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python $(TOOLS)/requirements.py pyproject.toml > $(VENV)/requirements.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r $(VENV)/requirements.txt
	touch $@

$(VENV)/.core: $(VENV)/.python $(CORE_FILES)
	$(BIN)/python $(TOOLS)/build_core.py --jobs $(JOBS)
	touch $@

$(BIN)/octavo: $(VENV)/.core $(TOOLS)/install_command.py $(TOOLS)/make_bundle.py $(SOURCES)
	$(BIN)/python $(TOOLS)/install_command.py $@

launcher: $(LAUNCHER) ## one static executable that runs programs from an empty root: for binfmt_misc

$(LAUNCHER): $(VENV)/.core $(LAUNCHER_FILES) $(TOOLS)/build_launcher.py $(TOOLS)/make_bundle.py $(SOURCES)
	$(TOOLS)/install-packages.sh launcher
	$(BIN)/python $(TOOLS)/build_launcher.py --jobs $(JOBS)
	touch $@

$(ROOT)/etc/os-release: | build
	$(TOOLS)/install-packages.sh run
	mkdir -p $(dir $(ROOT))
	$(BIN)/octavo rootfs create $(SUITE) --arch arm64 $(ROOT)

run: build $(ROOT)/etc/os-release ## run a shell, a pipeline and perl of Debian arm64 (creates the root the first time)
	$(BIN)/octavo run --root $(ROOT) /bin/uname -m
	$(BIN)/octavo run --root $(ROOT) /bin/sh -c 'cut -d: -f7 /etc/passwd | sort | uniq -c | sort -rn'
	$(BIN)/octavo run --root $(ROOT) /usr/bin/perl -e 'printf "perl %vd on %s\n", $$^V, join " ", (split " ", `uname -srm`)[0, -1]'

test: build launcher ## run the tests: the quick ones, then the guest programs on every architecture
	$(TOOLS)/install-packages.sh test
	$(BIN)/python -m pytest -n $(JOBS)
	$(BIN)/python -m pytest -m "$(if $(filter 0,$(shell id -u)),(guest or root),guest) and not slow" -n $(JOBS)

test-roots: build launcher ## as root, some minutes: debootstrap, mmdebstrap and sbuild make foreign roots and packages
	$(TOOLS)/install-packages.sh roots
	$(BIN)/python -m pytest -m "root and slow" tests/system/test_foreign_roots.py

test-hosts: build ## boot hosts with 16 and 64 KiB pages in a virtual machine, run the guest programs and the page size matrix there
	$(TOOLS)/install-packages.sh hosts
	$(BIN)/python -m tests.hosts --jobs $(JOBS)

check: build ## formatting, lint, types, import directions
	$(TOOLS)/install-packages.sh check
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	find runtime/core packaging/launcher tests/bench \( -name '*.cc' -o -name '*.h' \) 2>/dev/null | xargs -r clang-format --dry-run --Werror
	$(BIN)/python -m pytest -q tests/unit/test_imports.py tests/unit/test_source.py

bench: build launcher ## medians and ratios against qemu-user 10, measured side by side
	$(TOOLS)/install-packages.sh bench
	$(BIN)/python -m tests.bench

format: build ## rewrite the sources in the house format
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .
	find runtime/core packaging/launcher tests/bench \( -name '*.cc' -o -name '*.h' \) 2>/dev/null | xargs -r clang-format -i

clean: ## remove what `make build` made; guest roots and downloads under var/ stay
	rm -rf $(VENV) build runtime/_core*.so .mypy_cache .ruff_cache .pytest_cache .hypothesis
