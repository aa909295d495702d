# The project's commands. Each does its own set-up on a fresh Debian 12 or Ubuntu >= 22.04 (apt with sudo, venvs under
# build/), says what it does, and may be run again at any time. `make help` lists them.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

JOBS ?= $(shell nproc)
PYTHON ?= python3
SETUP := tools/setup.sh
# Sanitizers and fuzzing want the newest clang of this machine.
CLANGXX = $(or $(firstword $(foreach v,21 20 19 18 17 16 15 14,$(shell command -v clang++-$(v)))),clang++)

# configure and build a preset: $(call build,preset,cmake arguments,build arguments)
define build
	@echo "== building preset $(1)"
	cmake --preset $(1) $(2) >build/$(1).configure.log 2>&1 || { cat build/$(1).configure.log; exit 1; }
	cmake --build --preset $(1) -j $(JOBS) $(3)
endef
# run a preset's tests and sum them up: $(call test,preset,ctest arguments). One more than there are cores: the longest
# tests wait for servers most of the time, and those that measure time run alone.
define test
	@echo "== testing preset $(1)"
	@rm -f build/$(1)/junit.xml; status=0; \
	ctest --preset $(1) -j $$(($(JOBS) + 1)) --test-output-size-passed 1000000 --test-output-size-failed 1000000 \
	  --output-junit "$(CURDIR)/build/$(1)/junit.xml" $(2) || status=$$?; \
	$(PYTHON) tools/summary.py build/$(1)/junit.xml || status=1; exit $$status
endef

.PHONY: help
help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | \
	  awk -F'\t' '{ printf "  make %-12s %s\n", $$1, $$2 }'

# ---- what users of the repository run -------------------------------------------------------------------------------

.PHONY: demo
demo: ## three MLflow servers and a logging process, killed under load, nothing lost (BACKEND=postgres, PEER=1)
	@$(SETUP) build mlflow-3 $(if $(filter postgres,$(BACKEND)),postgres) $(if $(PEER),haproxy)
	$(call build,release,-DMLFLOWHA_BUILD_TESTS=OFF)
	@mkdir -p build/demo
	$(PYTHON) examples/failover/demo.py --build build/release --report build/demo/report.json \
	  $(if $(BACKEND),--backend $(BACKEND)) $(if $(PEER),--peer)

.PHONY: test
test: ## every suite but the sanitizers: unit, fault, contract with real servers, simulation (SEEDS=n), package, lint
	@$(SETUP) build extension lint
	@$(MAKE) -j2 venvs build # pip waits for the network while the compiler works
	$(call test,dev)

.PHONY: venvs
venvs:
	@$(SETUP) versitygw mlflow-3 mlflow-2 wheel

.PHONY: bench
bench: ## the figures, the demo's too, into build/bench/report.json (MINUTES=10: of the outage under which memory is watched)
	@$(SETUP) build extension mlflow-3 wheel
	$(call build,bench)
	$(PYTHON) tools/python_wheel.py build --out build/bench/wheel
	$(PYTHON) tests/bench/run.py --build build/bench --report build/bench/report.json --with-demo $(if $(MINUTES),--minutes $(MINUTES))

.PHONY: wheel
wheel: ## the Python package, built and tested, into build/wheel/dist (ALL=1: for every Python of this machine)
	@$(SETUP) build extension wheel
	$(PYTHON) tools/python_wheel.py build $(if $(ALL),--all)
	$(PYTHON) tests/python/installed.py build/wheel

.PHONY: chaos
chaos: ## the demo with faults drawn from a seed, both databases in turn (MINUTES=10, SEED=n); build/chaos/report.json
	@$(SETUP) build mlflow-3 postgres
	$(call build,release,-DMLFLOWHA_BUILD_TESTS=OFF)
	@mkdir -p build/chaos
	$(PYTHON) tests/chaos/run.py --build build/release --report build/chaos/report.json \
	  --minutes $(or $(MINUTES),10) $(if $(SEED),--seed $(SEED))

.PHONY: docs
docs: ## checks links, generated pages and quoted code of the manual; build/docs/report.json
	@$(SETUP) build
	@mkdir -p build/docs
	$(PYTHON) tools/docs.py --report build/docs/report.json

# ---- what contributors run ------------------------------------------------------------------------------------------

.PHONY: build
build: ## compile the dev preset
	@$(SETUP) build
	$(call build,dev)

.PHONY: unit
unit: ## the unit tests alone, in seconds
	@$(SETUP) build
	$(call build,dev,,--target mlflowha_unit_tests)
	$(call test,dev,-L '^unit$$')

.PHONY: asan tsan
asan: ## unit, fault and fork suites under AddressSanitizer and UndefinedBehaviorSanitizer
	@$(SETUP) build sanitizers
	$(call build,asan-ubsan,-DCMAKE_CXX_COMPILER=$(CLANGXX))
	$(call test,asan-ubsan)
tsan: ## unit, thread and fault suites under ThreadSanitizer
	@$(SETUP) build sanitizers
	$(call build,tsan,-DCMAKE_CXX_COMPILER=$(CLANGXX))
	$(call test,tsan)

.PHONY: fuzz
fuzz: ## each parser of foreign bytes under libFuzzer (FUZZ_SECONDS=20 each)
	@$(SETUP) build sanitizers
	$(call build,fuzz,-DCMAKE_CXX_COMPILER=$(CLANGXX) -DMLFLOWHA_FUZZ_SECONDS=$(or $(FUZZ_SECONDS),20))
	$(call test,fuzz)

.PHONY: header-only
header-only: ## the unit tests against the header-only target, and each header of it alone
	@$(SETUP) build
	$(call build,header-only,,--target mlflowha_unit_tests mlflowha_headers_alone_header_only)
	$(call test,header-only)

.PHONY: compilers
compilers: ## library and unit tests with every supported compiler (QUICK=1: syntax of the library only)
	@$(SETUP) build compilers
	tools/compilers.sh $(if $(QUICK),--quick)

.PHONY: tidy
tidy: ## clang-tidy over the library
	@$(SETUP) build lint
	tools/tidy.sh

.PHONY: api-check
api-check: ## compare the table of MLflow's API with what the newest 2.x and 3.x declare
	@$(SETUP) mlflow-3 mlflow-2
	$(PYTHON) src/codegen/api_check.py

.PHONY: format
format: ## lay out all C++ with clang-format
	@$(SETUP) lint
	$(PYTHON) tests/lint/format.py --fix

.PHONY: ci
ci: ## what the gate runs: make test, sanitizers, fuzzing, clang-tidy, old compilers
	.ci/run

.PHONY: clean
clean: ## remove build trees; keeps build/venv
	find build -mindepth 1 -maxdepth 1 ! -name venv -exec rm -rf {} + 2>/dev/null || true
