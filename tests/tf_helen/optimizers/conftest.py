"""What the golden tests share."""

import base
import pytest


@pytest.fixture(params=["float32", "float64"])
def precision(request):
    """Sets Keras's float type too: the learning rate is stored in it."""
    base.set_floatx(request.param)
    yield request.param
    base.set_floatx("float32")
