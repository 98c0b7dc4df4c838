"""Every model of the zoo trains: all weights, every kind of optimizer, row by row, on replicas."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from kinds import some
from optimizer_table import ENTRIES, cases
from tensorflow.python.framework import function_def_to_graph
from zoo_cases import BCE, KINDS, MODELS, ROWS, batch, shared, small

import tf_helen

ROOT = Path(__file__).parents[2]
# One pass, a decay of absent rows, two passes, a proximal step, a product with the Hessian.
STEPS = ("Adam", "AdamAR", "Helen", "GroupAdam", "AdaHessian")
EVERY = [(name, step) for name in MODELS for step in STEPS]
# Every model takes two passes; one with numbers beside and one with histories takes the others.
FAST = [(name, step) for name, step in EVERY if step == "Helen" or name in ("deepfm", "din")]
# What the loss cannot depend on.
WITHOUT_EFFECT = {
    # The shift of a logarithm is a factor of the products, which are normalized.
    "afn": {"products/log_norm/beta"},
}


def train(model, optimizer):
    """One eager step: tracing every model for every optimizer would take minutes."""
    before = [weight.numpy() for weight in model.trainable_weights]
    model.compile(optimizer, BCE, run_eagerly=True)
    loss = model.train_on_batch(*batch())
    assert np.isfinite(loss)
    changes = {}
    for weight, old in zip(model.trainable_weights, before, strict=True):
        assert np.isfinite(weight.numpy()).all(), weight.path
        changes[weight.path.split("/", 1)[1]] = np.abs(weight.numpy() - old).max()
    return changes


@pytest.mark.parametrize("name", MODELS)
def test_training_reaches_every_weight(name):
    changes = train(small(name), tf_helen.SGD(0.1))
    still = {path for path, change in changes.items() if not change > 1e-7}
    assert still == WITHOUT_EFFECT.get(name, set())


@pytest.mark.parametrize("name,step", some(EVERY, FAST))
def test_every_kind_of_optimizer_trains_every_model(name, step):
    changes = train(small(name), ENTRIES[step].make())
    assert max(changes.values()) > 1e-4


@pytest.mark.parametrize("optimizer", cases())
def test_every_optimizer_trains_a_model(optimizer):
    changes = train(small("deepfm"), ENTRIES[optimizer].make())
    assert min(changes.values()) > 0


@pytest.mark.parametrize("name", MODELS)
def test_mixed_precision_trains(name):
    assert max(train(small(name, dtype="mixed_bfloat16"), tf_helen.Adam(0.01)).values()) > 1e-3


@pytest.mark.parametrize("name", some(MODELS, KINDS))
def test_no_op_of_a_train_step_is_as_large_as_the_table(name):
    model = small(name, embedding_l2=0.1)
    model.compile(tf_helen.Adam(), BCE)
    model.optimizer.build(model.trainable_variables)
    features, label = batch()
    specs = {key: tf.TensorSpec([None, *x.shape[1:]], x.dtype) for key, x in features.items()}
    step = tf.function(lambda x, y: model.train_step((x, y)))
    graph = step.get_concrete_function(specs, tf.TensorSpec([None, 1], label.dtype)).graph
    branches = graph.as_graph_def().library.function
    graphs = [graph, *map(function_def_to_graph.function_def_to_graph, branches)]
    operations = [operation for each in graphs for operation in each.get_operations()]
    assert any(operation.type == "ResourceGather" for operation in operations)
    large = [
        operation.name
        for operation in operations
        for output in operation.outputs
        if output.shape.rank and output.shape[0] == ROWS
    ]
    assert large == []


def replicas(path, names):
    """For each model the largest change of a weight, and the largest difference of replicas."""
    program = ROOT / "tests" / "support" / "zoo_replicas.py"
    done = subprocess.run(
        [sys.executable, str(program), str(path), *names],
        env={**os.environ, "PYTHONPATH": f"{ROOT}:{program.parent}"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    with np.load(path) as file:
        return dict(file)


OTHERS = [name for name in MODELS if name not in KINDS]


@pytest.mark.parametrize(
    "names",
    [("deepfm",), *(pytest.param(each, marks=pytest.mark.slow) for each in (KINDS, OTHERS))],
)
@pytest.mark.slow
def test_two_replicas_equal_one(names, tmp_path):
    found = replicas(tmp_path / "results.npz", names)
    assert sorted(found) == sorted(names)
    for name, (changed, differs) in found.items():
        assert changed > 1e-3, name
        assert differs <= 1e-5, name


def test_the_models_are_all_there():
    assert len(MODELS) >= 21
    assert shared("din").histories
