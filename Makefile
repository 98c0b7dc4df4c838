# make venv | test | test-all | fuzz | lint | docs | demo [SOURCE=...] | bench | bazel-test | clean
#      | test-matrix (test-lowest, test-newest, test-wheel, test-quick-start) | wheels
#      | test-beam | test-s3 | test-io | test-consumers
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
export TF_CPP_MIN_LOG_LEVEL ?= 3

# Two processes begin with one half of the tests each; the first to end takes over what is left.
PYTEST := $(BIN)/python -m pytest -q -n 2 --dist worksteal

.PHONY: venv test test-all test-matrix test-lowest test-newest test-wheel test-quick-start wheels
.PHONY: fuzz lint docs demo bench test-beam test-s3 test-io test-consumers bazel-test clean

venv: $(STAMP)

# Newer than the two files that say what to install: nothing to do.
$(STAMP): setup.py pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or later is needed")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[launch,test,lint,docs,tfrs]'
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

# A cross-section of the tests, each time in a fresh environment: tf_helen under the lowest
# TensorFlow and Keras that it supports, zoo under the lowest that it supports, everything under the
# newest, and the wheel.
OPTIMIZERS := tests/tf_helen/optimizers/test_golden_sample.py tests/tf_helen/core/test_tables.py \
	tests/tf_helen/optimizers/test_helen.py tests/tf_helen/training/test_model_surface.py
MODELS := tests/zoo/test_models.py tests/zoo/test_model_contract.py \
	tests/zoo/serving/test_encoding.py tests/zoo/data/test_remote_folders.py tests/tf_helen/stores/test_schemes.py
COMMANDS := tests/launch/test_train.py tests/launch/test_models.py
FILES := tests/tf_helen/test_files_of_v0_1.py tests/zoo/test_files_of_v0_1.py
CONSUMERS := tests/zoo/serving/test_consumers.py tests/zoo/serving/test_signatures.py
PIP := -m pip install --quiet --disable-pip-version-check

test-matrix: test-lowest test-newest test-wheel test-quick-start

test-lowest:
	$(PYTHON) -m venv --clear $(VENV)-lowest
	$(VENV)-lowest/bin/python $(PIP) 'tensorflow==2.16.*' 'keras==3.10.*' -e '.[test]'
	$(VENV)-lowest/bin/python -m pytest -q -m "not slow" $(OPTIMIZERS)
	$(PYTHON) -m venv --clear $(VENV)-lowest-zoo
	$(VENV)-lowest-zoo/bin/python $(PIP) \
		'tensorflow==2.17.*' 'keras==3.10.*' 'keras-rs==0.4.*' -e '.[launch,io,test]'
	$(VENV)-lowest-zoo/bin/python -m pytest -q -m "not slow" $(MODELS) $(FILES) $(COMMANDS)

# Stores: against a real S3 server on the loopback interface, and with tensorflow-io, each in an
# environment of its own. First the boto3 that s3fs works with is installed: with moto, pip would
# begin with the newest one.
STORES := tests/tf_helen/stores tests/zoo/data/test_s3.py tests/zoo/data/test_staged_split.py

test-s3:
	test -d $(VENV)-s3 || $(PYTHON) -m venv $(VENV)-s3
	$(VENV)-s3/bin/python $(PIP) -e '.[s3,test]' 's3fs[boto3]'
	$(VENV)-s3/bin/python $(PIP) 'moto[server]'
	$(VENV)-s3/bin/python -m pytest -q $(STORES)

test-io:
	test -d $(VENV)-io || $(PYTHON) -m venv $(VENV)-io
	$(VENV)-io/bin/python $(PIP) 'tensorflow==2.17.*' -e '.[launch,io,test]' 'moto[server]'
	$(VENV)-io/bin/python -m pytest -q tests/tf_helen/stores tests/zoo/data/test_remote_folders.py \
		tests/zoo/data/test_tensorflow_io.py

test-newest:
	$(PYTHON) -m venv --clear $(VENV)-newest
	$(VENV)-newest/bin/python $(PIP) --upgrade tensorflow keras keras-rs -e '.[launch,test]'
	$(VENV)-newest/bin/python -m pytest -q -m "not slow" $(OPTIMIZERS) $(MODELS) $(FILES) $(COMMANDS)

# The wheel, not the checkout: as `pip install tf-helen` installs it, then with models, then with
# commands. What an older build left in build/ would get into it.
INSTALLED := cd / && $(abspath $(VENV))-wheel/bin/python $(CURDIR)/tests/support/installed.py
test-wheel:
	rm -rf build dist
	$(PYTHON) -m venv --clear $(VENV)-wheel
	$(VENV)-wheel/bin/python -m pip wheel --quiet --disable-pip-version-check --no-deps -w dist .
	$(VENV)-wheel/bin/python $(PIP) dist/tf_helen-*.whl
	$(INSTALLED) core $(CURDIR)
	$(VENV)-wheel/bin/python $(PIP) "$$(echo dist/tf_helen-*.whl)[zoo]"
	$(INSTALLED) models $(CURDIR)
	$(VENV)-wheel/bin/python $(PIP) "$$(echo dist/tf_helen-*.whl)[launch]"
	$(INSTALLED) commands $(CURDIR)

# Preparation on Apache Beam, whose packages differ from those of the other extras: on several
# processes of this machine.
test-beam: $(VENV)-beam/.installed
	$(VENV)-beam/bin/python -m pytest -q tests/launch/preparation tests/launch/datasets/test_parts.py

$(VENV)-beam/.installed: setup.py pyproject.toml
	$(PYTHON) -m venv $(VENV)-beam
	$(VENV)-beam/bin/python $(PIP) -e '.[launch,beam,test]'
	touch $@

# The built wheel in fresh environments with several TensorFlow versions, where the quick start
# runs: with 2.16, which zoo and launch do not support, the example of README.md.
test-quick-start: wheels
	$(MAKE) quick-start-2.16 quick-start-2.18 quick-start-2.21

QUICK = $(VENV)-$*/bin/python
quick-start-%:
	$(PYTHON) -m venv --clear $(VENV)-$*
	$(QUICK) $(PIP) 'tensorflow==$*.*' "$$(echo dist/tf_helen-*.whl)$(if $(filter 2.16,$*),,[launch])"
	cd / && $(abspath $(QUICK)) $(CURDIR)/tests/support/page_commands.py \
		$(if $(filter 2.16,$*),python $(CURDIR)/README.md,commands $(CURDIR)/docs/quick-start.md)

# The source archive and the wheel, in dist/; what an older build left in build/ would get into them.
wheels:
	rm -rf build dist
	$(PYTHON) -m venv --clear $(VENV)-build
	$(VENV)-build/bin/python $(PIP) build twine
	$(VENV)-build/bin/python -m build --outdir dist .
	$(VENV)-build/bin/python -m twine check --strict dist/*

# Clients of exports: ONNX Runtime, LiteRT, TensorFlow Serving's messages, the C program. A missing one
# is a failure here and a skipped test elsewhere.
test-consumers: $(VENV)-consumers/.installed
	TF_HELEN_ALL_CONSUMERS=1 $(VENV)-consumers/bin/python -m pytest -q $(CONSUMERS)

$(VENV)-consumers/.installed: setup.py pyproject.toml
	$(PYTHON) -m venv $(VENV)-consumers
	$(VENV)-consumers/bin/python $(PIP) -e '.[launch,test,consumers]'
	touch $@

lint: venv
	$(BIN)/python -m ruff check .
	$(BIN)/python -m ruff format --check .
	$(BIN)/python -m mypy

# The site, in build/site; fails on a link that leads nowhere, and uses no network.
docs: venv
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict
	$(BIN)/python docs/tools/check_links.py build/site

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
	rm -rf $(VENV) $(VENV)-lowest $(VENV)-lowest-zoo $(VENV)-newest $(VENV)-wheel $(VENV)-build
	rm -rf $(VENV)-beam $(VENV)-s3 $(VENV)-io $(VENV)-2.16 $(VENV)-2.18 $(VENV)-2.21
	rm -rf $(VENV)-consumers
	rm -rf build dist *.egg-info .pytest_cache .ruff_cache .mypy_cache .hypothesis bazel-*
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
