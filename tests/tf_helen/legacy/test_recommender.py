"""Models of TensorFlow Recommenders, which need TF_USE_LEGACY_KERAS=1 from the start."""

import importlib.util
from pathlib import Path

import pytest
import spawn

for _package in ("tf_keras", "tensorflow_recommenders"):
    if importlib.util.find_spec(_package) is None:
        pytest.skip(
            f"{_package} is not installed: pip install 'tf-helen[tfrs]'", allow_module_level=True
        )


CHECKS = Path(__file__).with_name("recommender_checks.py")


@pytest.mark.slow
def test_the_checks_of_recommender_models_pass():
    assert spawn.passing([CHECKS], "-mnot slow", TF_USE_LEGACY_KERAS="1") >= 14


@pytest.mark.slow
def test_all_checks_of_recommender_models_pass():
    assert spawn.passing([CHECKS], TF_USE_LEGACY_KERAS="1") >= 30
