# groundglass: everything a fresh machine needs is built in .venv by the first target that wants it.
# Needs make, Python 3.11 or newer with venv, and a package index. No root, no display.
#   make demo    a phantom chest CT, analyzed; prints truth beside measured and names the report
#   make test    the whole test suite
#   make check   format, lint, types, import layers, fast tests: before every commit
#   make test-train  the tests that need torch, which it installs
#   make docs    the documentation, as HTML in site/
#   make bench   the timing benchmark, as JSON in benchmarks/results/
#   make format  rewrites the code in the project's style
#   make clean   removes all that the targets above made
# PYTHON chooses the interpreter (make test PYTHON=python3.12), DEMO_OUT the folder of the demo,
# TESTS what make test runs.

PYTHON ?= python3
VENV ?= .venv
DEMO_OUT ?= demo-out
TESTS ?= tests
PYTEST_ARGS ?=
CODE := src tests benchmarks scripts
FAST := tests/unit tests/properties tests/test_architecture.py tests/test_docs.py

RUN := $(VENV)/bin/python

export PIP_DISABLE_PIP_VERSION_CHECK := 1
export MPLBACKEND := Agg
export NO_MKDOCS_2_WARNING := 1

.PHONY: demo test test-train check lint format fast-tests docs bench clean
.DELETE_ON_ERROR:

demo: $(VENV)/.ready
	@"$(RUN)" -m groundglass demo -o "$(DEMO_OUT)"

test: $(VENV)/.ready-dev
	"$(RUN)" -m pytest -n auto --maxprocesses 8 $(PYTEST_ARGS) $(TESTS)

check: lint fast-tests

lint: $(VENV)/.ready-dev
	"$(RUN)" -m ruff format --check $(CODE)
	"$(RUN)" -m ruff check $(CODE)
	"$(RUN)" -m mypy
	"$(VENV)/bin/lint-imports"

test-train: $(VENV)/.ready-train
	"$(RUN)" -m pytest -q $(PYTEST_ARGS) tests/unit/test_training_fit.py tests/unit/test_training_run.py \
		tests/unit/test_covid_rate_network.py tests/unit/test_covid_rate_ours.py tests/unit/test_cli_bench.py \
		tests/unit/test_class_networks.py tests/unit/test_class_training.py tests/unit/test_class_finish.py tests/unit/test_class_pyramid.py \
		tests/unit/test_patient_training.py \
		tests/unit/test_per_covid_19_training.py tests/unit/test_xray_classes.py \
		tests/unit/test_lungs_network.py tests/unit/test_optimisers.py

fast-tests: $(VENV)/.ready-dev
	"$(RUN)" -m pytest -n auto --maxprocesses 8 -q -m "not slow and not data" $(FAST)

format: $(VENV)/.ready-dev
	"$(RUN)" -m ruff format $(CODE)
	"$(RUN)" -m ruff check --fix $(CODE)

docs: $(VENV)/.ready-docs
	"$(RUN)" -m mkdocs build --strict --quiet --site-dir site
	@echo "Documentation: $(CURDIR)/site/index.html"

bench: $(VENV)/.ready
	"$(RUN)" benchmarks/analyze_time.py

clean:
	rm -rf -- .venv demo-out site dist build .mypy_cache .ruff_cache .pytest_cache .hypothesis \
		.import_linter_cache
	find src tests benchmarks -name __pycache__ -type d -prune -exec rm -rf -- {} +

# Stamps: an environment is made anew only if pyproject.toml changed. uv installs in seconds; where it
# is not on the path it is put into the environment first, and where that fails pip does the work.
$(VENV)/.ready: pyproject.toml | $(RUN)
	@./scripts/install.sh "$(VENV)" .
	@touch $@

$(VENV)/.ready-dev: pyproject.toml | $(RUN)
	@./scripts/install.sh "$(VENV)" '.[dev]'
	@touch $@ $(VENV)/.ready

$(VENV)/.ready-train: pyproject.toml | $(RUN)
	@./scripts/install.sh "$(VENV)" '.[dev,train]'
	@touch $@ $(VENV)/.ready-dev $(VENV)/.ready

$(VENV)/.ready-docs: pyproject.toml | $(RUN)
	@./scripts/install.sh "$(VENV)" '.[docs]'
	@touch $@ $(VENV)/.ready

$(RUN):
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "groundglass needs Python 3.11 or newer; name one with make PYTHON=python3.12" >&2; exit 1; }
	@"$(PYTHON)" -m venv "$(VENV)" || { rm -rf -- "$(VENV)"; uv venv --python "$(PYTHON)" "$(VENV)"; } || \
		{ echo "Python's venv module is needed (Debian: python3-venv), or uv" >&2; exit 1; }
