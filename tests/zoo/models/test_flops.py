"""What the benchmark counts as a model's floating-point operations."""

import importlib.util
from pathlib import Path

import pytest

import zoo

FLOPS = Path(__file__).parents[3] / "benchmarks" / "flops.py"
pytestmark = pytest.mark.skipif(not FLOPS.exists(), reason="the checkout has no benchmarks")
ATTENTION = {"attention_hidden_units": (3,), "attention_activation": "tanh", "activation": "relu"}


def counted(name, length=1, places=None, **settings):
    spec = importlib.util.spec_from_file_location("flops", FLOPS)
    flops = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(flops)
    fields = [zoo.Categorical("item", 8), zoo.Categorical("user", 8)]
    if length > 1:
        fields.append(zoo.Categorical("items", 8, length=length, shares="item"))
    settings = {"embedding_dim": 2, "hidden_units": (5,), **settings}
    return flops.flops_per_row(zoo.get(name), zoo.Schema("tiny", fields), settings, places)


def test_a_model_of_known_shapes_is_counted():
    # A unit more: two vectors of 2 into it, its bias and ReLU, and its part of the logit.
    assert counted("dnn", hidden_units=(6,)) - counted("dnn") == 2 * 4 + 1 + 1 + 2
    assert counted("dnn") == counted("dnn", places=7)


def test_attention_counts_for_every_place_of_the_history():
    # Of a place: t - h and t * h, 8 into 3, bias and tanh, a score, its product with h, the sum.
    place = 2 + 2 + 2 * 8 * 3 + 3 + 3 + 2 * 3 + 1 + 2 + 2
    full, shorter = (counted("din", 6, places, **ATTENTION) for places in (None, 4))
    assert full - shorter == 2 * place
