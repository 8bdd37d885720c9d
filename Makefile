# Everything a person does with this project, by name. `make` alone lists it.
PYTHON ?= $(shell for p in python3.13 python3.12 python3.11 python3; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
VENV := .venv
MINUTES ?= 60
BIN := $(VENV)/bin
NATIVE := plugins/ktrans-native
# Most tests wait for processes and servers, and each process has servers of its own.
SIDE_BY_SIDE := -n 3 --dist loadgroup
# What is left to Python needs no second run of its tests.
NATIVE_READS := not azure and not carrier
PLUGINS := $(filter-out $(NATIVE)/%,$(wildcard plugins/*/pyproject.toml))
SERVICES := $(or $(KTRANS_SERVICES_DIR),$(or $(XDG_CACHE_HOME),$(HOME)/.cache)/ktrans-services)
DENY := $(firstword $(wildcard $(SERVICES)/linters/bin/cargo-deny) $(shell command -v cargo-deny))
CHECKS ?= bans licenses sources
PROSE := docs .github *.md plugins/*/README.md examples configs
FORMS := $(filter-out %/config.yml,$(wildcard .github/ISSUE_TEMPLATE/*.yml))
EDITABLE := -e . $(patsubst %/pyproject.toml,-e ./%,$(PLUGINS))

.DEFAULT_GOAL := help
.PHONY: help demo test unit test-native coverage chaos native services bench bench-report bench-scale lint lint-python lint-native \
	docs pictures site dist clean

help: ## List what there is
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 20

demo: $(VENV)/.run ## Set everything up and convert the example logs
	$(BIN)/ktrans run --summary configs/quickstart.yaml

# Python before 3.11.8 fails now and then if code is parsed while code is parsed (CPython 106905): pytest
# parses modules, and a traceback parses code to point at places.
test unit test-native coverage: export PYTHONNODEBUGRANGES := 1

test: $(VENV)/.test ## Set all up and run all tests, three at a time; or those of ARGS
	$(BIN)/python -m pytest $(or $(ARGS),$(SIDE_BY_SIDE))

unit: $(VENV)/.test ## Run the tests that need neither a server nor much time
	KTRANS_TESTS=quick $(BIN)/python -m pytest -q -n 2 --dist worksteal -m "not slow and not service" tests/unit tests/contract tests/golden plugins $(ARGS)

test-native: $(VENV)/.test $(VENV)/.native ## Run the tests of decoders and formats by the native code; needs cargo
	KTRANS_NATIVE=1 KTRANS_TESTS=quick KTRANS_REQUIRE_SERVICES=native $(BIN)/python -m pytest -q -m "not service" -k "$(NATIVE_READS)" \
		$(NATIVE)/tests tests/contract/test_decoders.py tests/contract/test_formats.py tests/golden \
		tests/unit/decoders tests/unit/formats tests/unit/kit/rows $(ARGS)

coverage: $(VENV)/.test ## Run all tests and show what they miss; takes half as long again
	$(BIN)/python -m pytest --cov --cov-report=term:skip-covered $(ARGS)

chaos: $(VENV)/.test ## Disturb real runs at random for MINUTES=60; ARGS="--list" shows how
	$(BIN)/python -m tests.chaos --minutes $(MINUTES) $(ARGS)

native: $(VENV)/.native ## Build the optional native code and use it; needs cargo

services: ## Fetch and build the real servers that tests speak to
	.ci/services

bench: $(VENV)/.bench ## Measure speed beside DuckDB, Polars and a row loop, in about 25 minutes
	$(BIN)/python benchmarks/bench.py --out benchmarks/data/results.json $(ARGS)

bench-report: $(VENV)/.bench ## Write the last figures of bench and bench-scale into the docs
	$(BIN)/python benchmarks/page.py --results benchmarks/data/results.json --scale benchmarks/data/scale.json

bench-scale: $(VENV)/.test ## Simulate planning and state at the scale of the internet
	$(BIN)/python benchmarks/bench_scale.py --out benchmarks/data/scale.json $(ARGS)

lint: lint-python ## Check style, types, the direction of imports, and the workflows
	@if command -v cargo >/dev/null; then $(MAKE) lint-native; else \
		echo "cargo is not installed: $(NATIVE) is left out"; fi

lint-python: $(VENV)/.lint
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	PYTHONPATH=$(NATIVE) $(BIN)/lint-imports
	$(BIN)/codespell $(PROSE)
	$(BIN)/check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml
	$(BIN)/check-jsonschema --builtin-schema vendor.dependabot .github/dependabot.yml
	$(BIN)/check-jsonschema --builtin-schema vendor.github-issue-config .github/ISSUE_TEMPLATE/config.yml
	$(BIN)/check-jsonschema --builtin-schema vendor.github-issue-forms $(FORMS)
	$(BIN)/zizmor --offline --no-progress --quiet .github
	@if command -v uv >/dev/null; then echo uv lock --check && uv lock --quiet --check; fi

lint-native: ## Check the native code, its licences and where it comes from; needs cargo
	cd $(NATIVE) && cargo fmt --check
	cd $(NATIVE) && cargo clippy --quiet --locked --all-targets --no-default-features -- -D warnings
	cd $(NATIVE) && cargo test --quiet --locked --no-default-features
	@if [ -n "$(DENY)" ]; then cd $(NATIVE) && $(DENY) --locked check $(CHECKS); else \
		echo "cargo-deny is not installed (make services): licences are not checked"; fi

docs: $(VENV)/.run ## Write the reference pages anew from the code
	$(BIN)/python docs/site/reference.py

pictures: $(VENV)/.test ## Draw the pictures of the README anew; needs Chromium
	$(BIN)/python docs/site/pictures.py

site: $(VENV)/.docs ## Build the documentation's site into out/site
	$(BIN)/python docs/site/build.py out/site
	@echo "open out/site/index.html"

dist: ## Build what a release consists of into dist: wheels, source distributions, SBOM
	.ci/dist

clean: ## Remove the environment and what the demo wrote
	rm -rf $(VENV) $(NATIVE)/target out dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

# One environment; each stamp says what it holds. uv is used where it is installed.
$(VENV)/bin/python:
	@test -n "$(PYTHON)" || { echo "ktrans needs Python 3.11 or newer; name it by PYTHON=..." >&2; exit 1; }
	@if command -v uv >/dev/null; then uv venv --quiet --python "$(PYTHON)" $(VENV); else \
		"$(PYTHON)" -m venv $(VENV) && $(BIN)/python -m pip install --quiet --upgrade 'pip>=25.1'; fi

define install
	@echo "installing into $(VENV) ..."
	@if command -v uv >/dev/null; then uv pip install --quiet --python $(BIN)/python $(1); else \
		$(BIN)/python -m pip install --quiet --disable-pip-version-check $(1); fi
	@touch $@
endef

$(VENV)/.run: $(VENV)/bin/python pyproject.toml ktrans/__init__.py $(PLUGINS)
	$(call install,$(EDITABLE))
$(VENV)/.test: $(VENV)/.run
	$(call install,--group test $(EDITABLE))
$(VENV)/.native: $(VENV)/.run $(wildcard $(addprefix $(NATIVE)/,Cargo.* pyproject.toml src/*.rs ktrans_native/*.py))
	@command -v cargo >/dev/null || { echo "cargo is not installed; https://rustup.rs installs it" >&2; exit 1; }
	$(call install,--force-reinstall --no-deps ./$(NATIVE))
$(VENV)/.lint: $(VENV)/.test
	$(call install,--group lint $(EDITABLE))
$(VENV)/.release: $(VENV)/.run
	$(call install,--group release $(EDITABLE))
$(VENV)/.docs: $(VENV)/.run
	$(call install,--group docs $(EDITABLE))
$(VENV)/.bench: $(VENV)/.run
	$(call install,--group bench $(EDITABLE))
