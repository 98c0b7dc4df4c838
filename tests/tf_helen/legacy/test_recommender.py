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


def test_the_checks_of_recommender_models_pass():
    checks = Path(__file__).with_name("recommender_checks.py")
    assert spawn.passing([checks], TF_USE_LEGACY_KERAS="1") >= 30
