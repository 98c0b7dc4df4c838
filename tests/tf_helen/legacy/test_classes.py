"""The classes of `tf_helen.legacy`: their names, configuration and errors."""

import inspect
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
from optimizer_table import ENTRIES, KINDS, cases
from tf_keras_model import tf_keras

import tf_helen.legacy
from tf_helen.legacy.variables import adapt
from tf_helen.optimizers.registry import optimizer_classes

DTYPES = [(name, dtype) for dtype in ("float32", "float64") for name in ENTRIES]
ONE_PASS = [name for name, entry in ENTRIES.items() if not entry.multi_pass]
CLASSES = {inner.__name__: inner for inner in optimizer_classes().values()}


def legacy_of(optimizer):
    """The same optimizer for tf_keras, by its configuration."""
    return getattr(tf_helen.legacy, type(optimizer).__name__).from_config(optimizer.get_config())


@pytest.mark.parametrize("name", CLASSES)
def test_every_optimizer_has_a_class_for_tf_keras(name):
    cls = getattr(tf_helen.legacy, name)
    assert cls.__name__ == name and cls.inner_class is CLASSES[name]
    assert name in tf_helen.legacy.__all__ and name in cls.__doc__.splitlines()[0]
    assert "Args:" in cls.__doc__ and ">>>" not in cls.__doc__
    assert inspect.signature(cls) == inspect.signature(CLASSES[name])
    assert "__init__" in vars(cls), "an editor shows its arguments"
    assert issubclass(cls, tf_keras.optimizers.Optimizer)


@pytest.mark.parametrize("name", ENTRIES)
def test_configurations_go_through_tf_keras(name):
    optimizer = legacy_of(ENTRIES[name].make())
    config = tf_keras.optimizers.serialize(optimizer)
    again = tf_keras.optimizers.deserialize(config)
    assert type(again) is type(optimizer) and again is not optimizer
    assert again.get_config() == optimizer.get_config()
    assert tf_keras.optimizers.get(optimizer) is optimizer


def test_the_table_of_optimizers_has_every_class():
    assert {type(entry.make()).__name__ for entry in ENTRIES.values()} == set(CLASSES)


@pytest.mark.parametrize("name,dtype", cases(DTYPES, [(n, "float32") for n in KINDS]))
def test_five_steps_are_those_of_tf_helen_to_the_bit(name, dtype):
    """The golden tests hold for the classes of `tf_helen`, and so for these."""
    entry, results = ENTRIES[name], []
    rng = np.random.default_rng(0)
    start, bias = rng.normal(size=(7, 3)), rng.normal(size=3)
    for make, variable in ((entry.make, keras.Variable), (lambda: legacy_of(entry.make()), None)):
        optimizer = make()
        table, dense = (
            (variable or tf.Variable)(value, dtype=dtype, name=path)
            for value, path in ((start, "table"), (bias, "bias"))
        )
        for step, ids in enumerate(([0, 2, 2], [5, 0, 5], [1, 1, 1], [2, 6, 0], [0, 2, 3])):
            factor = tf.constant(np.random.default_rng(step).normal(size=(3, 3)), dtype)

            def closure(ids=ids, table=table, dense=dense, factor=factor):
                rows = tf.gather(getattr(table, "_value", table), ids)
                return tf.reduce_sum(tf.square(rows + dense) * factor + rows)

            optimizer.minimize(closure, [table, dense])
        optimizer.finalize_variable_values([table, dense])
        results.append([table.numpy(), dense.numpy(), *(v.numpy() for v in optimizer.variables)])
        assert int(optimizer.iterations) == 5
    assert len(results[0]) == len(results[1])
    for one, other in zip(*results, strict=True):
        np.testing.assert_array_equal(one, other)
    assert np.abs(results[0][0] - start).max() > 1e-3


@pytest.mark.parametrize("name", cases(ONE_PASS, [n for n in KINDS if n in ONE_PASS]))
def test_the_same_slices_are_applied_to_the_same_bits(name):
    entry, results = ENTRIES[name], []
    start = np.random.default_rng(0).normal(size=(7, 3)).astype(np.float32)
    for legacy in (False, True):
        optimizer = legacy_of(entry.make()) if legacy else entry.make()
        table = (tf.Variable if legacy else keras.Variable)(start, name="table")
        for step in range(5):
            rng = np.random.default_rng(step)
            values = tf.constant(rng.normal(size=(6, 3)), tf.float32)
            slices = tf.IndexedSlices(values, tf.constant(rng.integers(0, 7, 6)), (7, 3))
            if legacy:
                optimizer.apply_gradients([(slices, table)])
            else:
                optimizer.apply([slices], [table])
        optimizer.finalize_variable_values([table])
        results.append(table.numpy())
    np.testing.assert_array_equal(*results)


def test_base_optimizers_are_taken_from_either_package():
    ours = tf_helen.legacy.AdamAR(0.1, alpha=1e-3)
    for base in (ours, ours.inner, "adam_ar"):
        optimizer = tf_helen.legacy.Helen(base_optimizer=base)
        assert type(optimizer.inner.base_optimizer) is tf_helen.AdamAR
    assert tf_helen.legacy.Helen(base_optimizer=ours).inner.base_optimizer is ours.inner
    with pytest.raises(ValueError, match="must be a name"):
        tf_helen.legacy.Helen(base_optimizer=tf_keras.optimizers.Adam())


def test_a_variable_has_one_adapter():
    weights = tf.Variable([[1.0]], name="dense/kernel", constraint=tf_keras.constraints.NonNeg())
    adapted = adapt(weights)
    assert adapt(weights) is adapted and adapt(adapted) is adapted and adapted.value is weights
    assert (adapted.path, adapted.name) == ("dense/kernel", "dense/kernel")
    assert adapted.constraint is weights.constraint
    tf_helen.legacy.SGD(2.0).minimize(lambda: tf.reduce_sum(weights), [weights])
    assert weights.numpy().item() == 0.0
    with pytest.raises(TypeError, match="Models of Keras 3 take the optimizers of `tf_helen`"):
        tf_helen.legacy.SGD().build([keras.Variable([1.0])])


def test_weight_decay_spares_what_is_excluded_by_full_name():
    kept, decayed = tf.Variable(1.0, name="top/bias"), tf.Variable(1.0, name="top/kernel")
    optimizer = tf_helen.legacy.SGD(0.5, weight_decay=0.5)
    optimizer.exclude_from_weight_decay(var_names=["top/bias"])
    optimizer.apply_gradients([(tf.constant(0.0), kept), (tf.constant(0.0), decayed)])
    assert (float(kept), float(decayed)) == (1.0, 0.75)


def test_a_tape_serves_one_pass_only():
    weights = tf.Variable(3.0)

    def step(optimizer):
        with tf.GradientTape() as tape:
            loss = weights**2 / 2
        optimizer.minimize(loss, [weights], tape=tape)

    step(tf_helen.legacy.SGD(0.5))
    assert float(weights) == 1.5
    for name in ("SAM", "ASAM", "Helen"):
        with pytest.raises(RuntimeError, match=r"two gradients.*legacy\.TrainerMixin"):
            step(getattr(tf_helen.legacy, name)())
    with pytest.raises(RuntimeError, match=r"`tf_helen\.enable\(model\)`"):
        tf_helen.SAM().apply([tf.ones(1)], [keras.Variable([1.0])])


def test_settings_are_those_of_the_inner_optimizer():
    optimizer = tf_helen.legacy.SAM(rho=0.1, base_optimizer="sgd", name="mine")
    assert optimizer.rho == optimizer.inner.rho == optimizer.get_config()["rho"] == 0.1
    with pytest.raises(AttributeError, match=r"`rho` of SAM is fixed.*0\.2"):
        optimizer.rho = 0.2
    assert tf_helen.legacy.Adam(weight_decay=0.5, clipnorm=2.0).weight_decay == 0.5
    assert optimizer.name == "mine"
    with pytest.raises(AttributeError, match="no attribute 'radius'"):
        _ = optimizer.radius


def test_options_that_cost_whole_tables_are_refused():
    with pytest.raises(ValueError, match="gradient_accumulation_steps"):
        tf_helen.legacy.Adam(gradient_accumulation_steps=2)


def run(code):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)


@pytest.mark.slow
def test_the_package_itself_does_not_need_tf_keras():
    done = run("import sys, tf_helen; assert 'tf_keras' not in sys.modules")
    assert done.returncode == 0, done.stderr[-2000:]
    done = run(
        "import sys; sys.modules['tf_keras'] = None; import tf_helen; import tf_helen.legacy"
    )
    assert "pip install 'tf-helen[tfrs]'" in done.stderr.splitlines()[-1]
