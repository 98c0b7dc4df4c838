# make venv | test | lint | demo [SOURCE=...] | bench | bazel-test | clean
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
export TF_CPP_MIN_LOG_LEVEL ?= 3

.PHONY: venv test lint demo bench bazel-test clean

venv: $(STAMP)

# Newer than the two files that say what to install: nothing to do.
$(STAMP): setup.py pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or later is needed")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[launch,test,lint,tfrs]'
	touch $@

test: venv
	$(BIN)/python -m pytest -q -n 2 --dist loadfile --no-loadscope-reorder

lint: venv
	$(BIN)/python -m ruff check .

demo: venv
	$(BIN)/python -m launch.demo $(if $(SOURCE),--source=$(SOURCE))

bench: venv
	$(BIN)/python benchmarks/step_cost.py

# The interpreter is $$TF_HELEN_PYTHON, else .venv's; named, because Bazel would not notice that
# .venv has come since it last looked.
bazel-test: $(if $(TF_HELEN_PYTHON),,venv)
	bazel query //... > /dev/null
	TF_HELEN_PYTHON=$${TF_HELEN_PYTHON:-$(CURDIR)/$(BIN)/python} bazel test //:fast

clean:
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .ruff_cache .hypothesis bazel-*
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
