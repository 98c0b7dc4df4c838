# make venv | test | test-all | test-matrix | fuzz | lint | demo [SOURCE=...] | bench | bazel-test
#      | clean
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
export TF_CPP_MIN_LOG_LEVEL ?= 3

# Two processes begin with one half of the tests each; the first to end takes over what is left.
PYTEST := $(BIN)/python -m pytest -q -n 2 --dist worksteal

.PHONY: venv test test-all test-matrix test-lowest test-newest fuzz lint demo bench bazel-test clean

venv: $(STAMP)

# Newer than the two files that say what to install: nothing to do.
$(STAMP): setup.py pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or later is needed")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[launch,test,lint,tfrs]'
	touch $@

# One case of each kind.
test: venv
	$(PYTEST) -m "not slow"

# Every case.
test-all: venv
	$(PYTEST)

# The property tests on examples that are new in every run, and many more of them.
fuzz: venv
	HYPOTHESIS_PROFILE=fuzz $(PYTEST) -m hypothesis

# A cross-section under the lowest TensorFlow and Keras that are supported and the newest, in fresh
# environments. tf_helen alone under the lowest: keras-rs, which zoo needs, fails to import there.
OPTIMIZERS := tests/tf_helen/optimizers/test_golden_sample.py tests/tf_helen/core/test_tables.py \
	tests/tf_helen/optimizers/test_helen.py
FILES := tests/tf_helen/test_files_of_v0_1.py tests/zoo/test_files_of_v0_1.py

test-matrix: test-lowest test-newest

test-lowest:
	$(PYTHON) -m venv --clear $(VENV)-lowest
	$(VENV)-lowest/bin/python -m pip install --quiet --disable-pip-version-check \
		'tensorflow==2.16.*' 'keras==3.10.*' -e '.[test]'
	$(VENV)-lowest/bin/python -m pytest -q -m "not slow" $(OPTIMIZERS)

test-newest:
	$(PYTHON) -m venv --clear $(VENV)-newest
	$(VENV)-newest/bin/python -m pip install --quiet --disable-pip-version-check \
		tensorflow keras -e '.[launch,test]'
	$(VENV)-newest/bin/python -m pytest -q -m "not slow" $(OPTIMIZERS) $(FILES)

lint: venv
	$(BIN)/python -m ruff check .
	$(BIN)/python -m ruff format --check .
	$(BIN)/python -m mypy

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
	rm -rf $(VENV) $(VENV)-lowest $(VENV)-newest build dist *.egg-info
	rm -rf .pytest_cache .ruff_cache .mypy_cache .hypothesis bazel-*
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
