# Two commands need nothing but Python 3.11 and make: `make demo` and `make test`.
# Both make a virtual environment of their own in .venv.

PYTHON ?= $(shell command -v python3.11 || command -v python3 || command -v python)
VENV ?= .venv
BIN := $(VENV)/bin
ARGS ?=
# Bytecode is kept even where it is not by default: many tests start Python, which would compile everything each time.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: docs demo test test-docs test-pythons test-floors fuzz crash drill check lint types pyright check-catalog bench bench-durable gate performance soak screenshots tools wheel clean

demo: $(VENV)/.demo  ## a dozen deliveries over HTTP, each with its log line and its hook
	@$(BIN)/ringback demo $(ARGS)

TESTS := $(BIN)/python -m pytest --numprocesses auto --dist worksteal

test: $(VENV)/.dev  ## the tests but those of test-docs, five at once on two cores; one in this process: ARGS="-n0 -k name"
	$(TESTS) -m "not documentation" $(ARGS)

# ARGS are for the tests, not for Sphinx.
test-docs: TESTED := $(ARGS)
test-docs: override ARGS :=
test-docs: docs  ## the documentation site, and its tests: links, names, searches; that a page works as it is written
	RINGBACK_SITE=$(CURDIR)/build/docs $(TESTS) -m documentation $$(grep -rl mark.documentation tests --include=test_*.py) $(TESTED)

test-pythons: .venv-tools/bin/uv  ## the tests on every Python of this machine; SUITE=core runs a part, ENDS=1 oldest and newest
	UV=$(CURDIR)/$< ARGS="$(ARGS)" SUITE=$(or $(SUITE),all) ENDS=$(ENDS) .ci/pythons

test-floors: .venv-tools/bin/uv  ## the tests with the lowest versions, and a call with those of Microsoft's samples; SUITE=short
	UV=$(CURDIR)/$< PYTHON=$(PYTHON) ARGS="$(ARGS)" SUITE=$(or $(SUITE),all) .ci/floors

.PHONY: test-pure test-wheel workflows release-check sbom

test-pure: .venv-tools/bin/uv  ## the tests of what opens no socket, which run on Windows and macOS, too
	UV=$(CURDIR)/$< ARGS="$(ARGS)" .ci/pure

test-wheel: wheel .venv-tools/bin/uv  ## the tests of how Ringback is installed, against the built wheel, without the sources
	here=$$(mktemp -d) && .ci/wheel install $$here && .ci/wheel test $$here; status=$$?; rm -rf $$here; exit $$status

workflows: $(VENV)/.dev  ## the files in .github: their schemas, the security of workflows; the Dockerfile; actionlint, if it is installed
	$(BIN)/check-jsonschema --builtin-schema vendor.github-workflows $(wildcard .github/workflows/*.yml)
	$(BIN)/check-jsonschema --builtin-schema vendor.dependabot .github/dependabot.yml
	$(BIN)/check-jsonschema --builtin-schema vendor.github-issue-forms $(filter-out %/config.yml,$(wildcard .github/ISSUE_TEMPLATE/*.yml))
	$(BIN)/check-jsonschema --builtin-schema vendor.github-issue-config .github/ISSUE_TEMPLATE/config.yml
	$(BIN)/zizmor --offline --quiet --persona pedantic .github
	$(BIN)/hadolint examples/azure_container_app/Dockerfile
	! command -v actionlint >/dev/null || actionlint

release-check:  ## whether TAG=v0.2.0 names the version, and the changelog has its day
	$(PYTHON) .ci/release.py $(TAG)

sbom: .venv-tools/bin/uv  ## what the wheel in dist/ brings along with every extra: build/sbom.cdx.json
	UV=$(CURDIR)/$< .ci/sbom

fuzz: $(VENV)/.dev  ## 200,000 hostile inputs, RINGBACK_FUZZ_EXAMPLES= of each of the five kinds; all properties over 1,000
	RINGBACK_FUZZ_EXAMPLES=$${RINGBACK_FUZZ_EXAMPLES:-40000} $(BIN)/python -m pytest -q tests/test_fuzz.py tests/work/test_redial.py $(ARGS)
	$(BIN)/python -m pytest -q --numprocesses auto --hypothesis-profile fuzz -m hypothesis tests --ignore=tests/test_fuzz.py $(ARGS)

crash: $(VENV)/.dev  ## 10,000 events on each store while processes are killed; the tests run a tenth of it
	RINGBACK_CRASH_SCALE=$${RINGBACK_CRASH_SCALE:-1} $(BIN)/python -m pytest -q tests/stores/crash $(ARGS)

drill: $(VENV)/.dev  ## 30 minutes of faults in random order, half of them on each store; ARGS="--minutes 2 --seed 7 --engine sqlite"
	PYTHONPATH=tests/shared:tests/stores $(BIN)/python tests/stores/crash/drill.py $(ARGS)

check: lint types pyright  ## lint, format, types, import rules, catalog; -j2 for two cores

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/python -m ringback_catalog check
	$(MAKE) --no-print-directory workflows

types: $(VENV)/.dev
	$(BIN)/mypy

pyright: $(VENV)/.dev
	$(BIN)/pyright --pythonpath $(BIN)/python

check-catalog: $(VENV)/.demo  ## the rules of the catalog's rows
	$(BIN)/python -m ringback_catalog check

bench: $(VENV)/.dev  ## ratios to a bare route, measured pair by pair
	$(BIN)/python benchmarks/run.py $(ARGS)

bench-durable: $(VENV)/.dev  ## what a store costs, over sockets; needs wrk
	$(BIN)/python benchmarks/durable.py $(ARGS)

soak: $(VENV)/.dev  ## a million events through one app; memory must not grow
	$(BIN)/python benchmarks/soak.py $(ARGS)

gate: $(VENV)/.dev  ## instructions against benchmarks/limits.toml; ARGS=--write sets them. Needs valgrind
	$(BIN)/python benchmarks/gate.py $(ARGS)

performance: $(VENV)/.dev  ## measure everything, and write docs/performance.md. Needs wrk
	$(BIN)/python benchmarks/run.py --page $(ARGS)

screenshots: $(VENV)/.dev  ## the pictures of the documentation, in docs/images/; needs Chromium
	RINGBACK_REQUIRE_BROWSER=1 RINGBACK_SCREENSHOTS=docs/images $(BIN)/python -m pytest -q tests/browser -k screenshots $(ARGS)

docs: $(VENV)/.dev  ## the documentation site, in build/docs/; a warning is an error. To look at it, open build/docs/index.html
	$(BIN)/python -m sphinx --fail-on-warning --keep-going --fresh-env --jobs auto --quiet --builder html docs build/docs $(ARGS)

wheel: $(VENV)/.dev  ## sdist and wheel into dist/
	rm -rf dist
	$(BIN)/python -m build

clean:
	rm -rf $(VENV) .venv-tools .venv-pythons .venv-floors dist build .coverage .hypothesis .pytest_cache .mypy_cache .ruff_cache

$(VENV)/.demo: pyproject.toml | $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[demo]'
	@touch $@

$(VENV)/.dev: pyproject.toml | $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@ $(VENV)/.demo

$(VENV):
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Ringback needs Python 3.11 or newer; found $$($(PYTHON) --version 2>&1). Set PYTHON=..."; exit 1; }
	$(PYTHON) -m venv $(VENV) || \
	  { rm -rf $(VENV); echo "$(PYTHON) has no venv. On Debian and Ubuntu: apt install python3-venv"; exit 1; }

tools: .venv-tools/bin/uv  ## what `make test-pythons` and `make test-floors` need

.venv-tools/bin/uv:
	$(PYTHON) -m venv .venv-tools || \
	  { rm -rf .venv-tools; echo "$(PYTHON) has no venv. On Debian and Ubuntu: apt install python3-venv"; exit 1; }
	.venv-tools/bin/python -m pip install --quiet --disable-pip-version-check uv
