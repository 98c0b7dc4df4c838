"""Fixtures of the golden tests."""

from pathlib import Path

import base
import golden
import pytest

FOLDER = Path(__file__).parent


@pytest.fixture(params=["float32", "float64"])
def precision(request):
    """Sets Keras's float type too: the learning rate is stored in it."""
    base.set_floatx(request.param)
    yield request.param
    base.set_floatx("float32")


@pytest.hookimpl(tryfirst=True)  # before `-m` chooses
def pytest_collection_modifyitems(items):
    """Recorded runs beyond the sample in the repository are slow, where they are at hand."""
    for item in items:
        if item.path.parent == FOLDER and item.path.stem.startswith("test_golden_"):
            name = item.callspec.params.get("name") if hasattr(item, "callspec") else None
            if name in golden.RECORDED - golden.SAMPLE:
                item.add_marker(pytest.mark.slow)
