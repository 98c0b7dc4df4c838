"""PerVariable: each variable trained by its own optimizer, alone and inside others."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from versions import KERAS

import tf_helen
from tf_helen.training.multi_pass import seed_states

FIELDS = {"user": 9, "item": 5}


def data(rows=48, seed=0):
    rng = np.random.default_rng(seed)
    ids = np.stack([(rng.zipf(1.5, rows) - 1) % size for size in FIELDS.values()], axis=1)
    return ids.astype(np.int32), (ids[:, :1] % 2).astype(np.float32)


def compiled(optimizer, eagerly=True):
    keras.utils.set_random_seed(0)
    inputs = keras.Input((2,), dtype="int32")
    x = keras.layers.Flatten()(tf_helen.layers.Embedding(FIELDS, 3, name="embedding")(inputs))
    x = keras.layers.Dense(8, activation="tanh", name="hidden")(x)
    model = tf_helen.Model(inputs, keras.layers.Dense(1, name="logit")(x))
    loss = keras.losses.BinaryCrossentropy(from_logits=True)
    model.compile(optimizer, loss, run_eagerly=eagerly)
    return model


def train(model, start=0, stop=48, batch=12):
    ids, labels = data()
    for i in range(start, stop, batch):
        model.train_on_batch(ids[i : i + batch], labels[i : i + batch])
    return model


def everything(model):
    model.optimizer.finalize_variable_values(model.trainable_variables)
    return [v.numpy() for v in [*model.variables, *model.optimizer.variables]]


def assert_bit_equal(one, other):
    assert len(one) == len(other)
    for a, b in zip(one, other, strict=True):
        np.testing.assert_array_equal(a, b)


def table_and_tower(tower, rate=0.05, **kwargs):
    tables = tf_helen.AdamAR(rate, alpha=0.05)
    return tf_helen.PerVariable({"embedding": tables, "*": tower(learning_rate=rate)}, **kwargs)


# Keras's Muon fails on TensorFlow before Keras 3.13.
OF_KERAS = keras.optimizers.Muon if KERAS >= (3, 13) else keras.optimizers.Lion
TOWERS = {"tf_helen": tf_helen.Adam, "of Keras": OF_KERAS}
if hasattr(keras.optimizers, "ScheduleFreeAdamW"):  # not in older versions
    TOWERS["schedule-free"] = keras.optimizers.ScheduleFreeAdamW
every_tower = pytest.mark.parametrize("tower", TOWERS.values(), ids=TOWERS)


@every_tower
def test_each_part_moves_as_under_its_own_optimizer(tower):
    """Linear loss: the gradients do not depend on what the other part does."""
    rng = np.random.default_rng(0)
    start = rng.normal(size=(6, 3)), rng.normal(size=(4, 4)), rng.normal(size=4)
    gradients = [rng.normal(size=s.shape).astype(np.float32) for s in start[1:]]
    slices = [
        tf.IndexedSlices(tf.constant(rng.normal(size=(3, 3)), tf.float32), tf.constant(ids))
        for ids in ([0, 0, 3], [5, 1, 5], [0, 2, 2], [5, 5, 5])
    ]
    names = ("embedding", "kernel", "bias")

    def variables():
        pairs = zip(names, start, strict=True)
        return [keras.Variable(value, dtype="float32", name=name) for name, value in pairs]

    together, apart = variables(), variables()
    optimizer = table_and_tower(tower)
    alone = [tf_helen.AdamAR(0.05, alpha=0.05), tower(learning_rate=0.05)]
    for one in slices:
        both = [one, *(tf.constant(g) for g in gradients)]
        optimizer.apply(both, together)
        alone[0].apply(both[:1], apart[:1])
        alone[1].apply(both[1:], apart[1:])
    for one in (optimizer, alone[0]):
        one.finalize_variable_values([(together if one is optimizer else apart)[0]])
    for a, b, before in zip(together, apart, start, strict=True):
        np.testing.assert_array_equal(a.numpy(), b.numpy())
        assert np.abs(a.numpy() - before).max() > 1e-2
    assert int(optimizer.iterations.numpy()) == 4


def test_the_first_pattern_that_matches_counts():
    optimizer = tf_helen.PerVariable({"hidden/b": "sgd", "hidden": "adam", "*": "adagrad"})
    model = train(compiled(optimizer), stop=12)
    found = {v.path: type(optimizer.optimizer_of(v)).__name__ for v in model.trainable_variables}
    assert found == {
        "embedding/embeddings": "Adagrad",
        "hidden/kernel": "Adam",
        "hidden/bias": "SGD",
        "logit/kernel": "Adagrad",
        "logit/bias": "Adagrad",
    }
    assert [len(one._trainable_variables) for one in optimizer.parts] == [1, 1, 3]


@every_tower
def test_a_keras_file_resumes_bit_for_bit(tower, tmp_path):
    model = train(compiled(table_and_tower(tower)), stop=24)
    model.save(tmp_path / "m.keras")
    loaded = keras.saving.load_model(tmp_path / "m.keras")
    assert type(loaded.optimizer) is tf_helen.PerVariable
    assert [type(one) for one in loaded.optimizer.parts] == [tf_helen.AdamAR, tower]
    assert loaded.optimizer.patterns == ["embedding", "*"]
    assert_bit_equal(everything(train(loaded, 24)), everything(train(model, 24)))


@every_tower
def test_a_checkpoint_resumes_bit_for_bit(tower, tmp_path):
    def checkpoint(model):
        seeds = [v.value for v in seed_states(model)]
        return tf.train.Checkpoint(model=model, optimizer=model.optimizer, seeds=seeds)

    model = train(compiled(table_and_tower(tower)), stop=24)
    path = checkpoint(model).write(str(tmp_path / "ck"))
    other = compiled(table_and_tower(tower))
    other.optimizer.build(other.trainable_variables)
    checkpoint(other).read(path).assert_consumed()
    assert_bit_equal(everything(train(other, 24)), everything(train(model, 24)))


# Learning rates.


def rates(optimizer):
    return [round(float(one.learning_rate), 6) for one in optimizer.parts]


def two_rates():
    return tf_helen.PerVariable(
        {"embedding": tf_helen.AdamAR(0.1), "hidden": keras.optimizers.SGD(0.01), "*": "adam"}
    )


def test_setting_the_learning_rate_scales_all():
    optimizer = two_rates()
    optimizer.learning_rate = 0.05
    assert rates(optimizer) == [0.05, 0.005, 0.0005]
    assert float(optimizer.learning_rate) == pytest.approx(0.05)


def test_a_rate_of_zero_is_followed_and_left_again():
    optimizer = two_rates()
    for rate, expected in ((0.0, [0, 0, 0]), (0.0, [0, 0, 0]), (0.05, [0.05, 0.005, 0.0005])):
        optimizer.learning_rate = rate
        assert rates(optimizer) == expected
    optimizer = tf_helen.PerVariable({"embedding": tf_helen.Adam(0.0), "*": "adam"})
    optimizer.learning_rate = 0.1  # there is no factor
    assert rates(optimizer) == [0.1, 0.001]


def test_a_part_may_be_set_alone():
    optimizer = two_rates()
    optimizer.parts[1].learning_rate = 0.03
    optimizer.learning_rate = 0.05
    assert rates(optimizer) == [0.05, 0.015, 0.0005]


@pytest.mark.parametrize("in_cow_clip", [False, True])
def test_a_first_rate_assigned_elsewhere_is_noticed_at_the_next_step(in_cow_clip):
    """As callbacks of tf_keras do: they know the variable, not the optimizer."""
    optimizer = WRAPPED["in CowClip"]() if in_cow_clip else two_rates()
    inner = optimizer.base_optimizer if in_cow_clip else optimizer
    model = train(compiled(optimizer), stop=12)
    inner.parts[0]._learning_rate.assign(0.05)
    train(model, stop=12)
    assert rates(inner) == [0.05, 0.005, 0.0005]


def test_a_scheduler_callback_keeps_the_ratios():
    optimizer = two_rates()
    model, (ids, labels) = compiled(optimizer), data(24)
    halve = keras.callbacks.LearningRateScheduler(lambda epoch: 0.1 * 0.5 ** (epoch + 1))
    model.fit(ids, labels, batch_size=12, epochs=2, verbose=0, callbacks=[halve])
    assert rates(optimizer) == [0.025, 0.0025, 0.00025]


WRAPPED = {
    "alone": two_rates,
    "in CowClip": lambda: tf_helen.CowClip(
        base_optimizer=tf_helen.PerVariable(
            {"embedding": tf_helen.AdamAR(0.1), "hidden": tf_helen.SGD(0.01), "*": "adam"}
        )
    ),
    "in Helen": lambda: tf_helen.Helen(base_optimizer=two_rates()),
}


@pytest.mark.parametrize("name", WRAPPED)
def test_reduce_on_plateau_lowers_every_rate(name):
    optimizer = WRAPPED[name]()
    model, (ids, labels) = compiled(optimizer), data(24)
    inner = optimizer if name == "alone" else optimizer.base_optimizer
    assert rates(inner) == [0.1, 0.01, 0.001]
    plateau = keras.callbacks.ReduceLROnPlateau("loss", factor=0.5, patience=1, min_delta=100)
    model.fit(ids, labels, batch_size=12, epochs=3, verbose=0, callbacks=[plateau])
    assert rates(inner) == [0.025, 0.0025, 0.00025]
    assert float(model.optimizer.learning_rate) == pytest.approx(0.025)


# Inside other optimizers.

AROUND = {
    "alone": lambda base: base,
    "Helen": lambda base: tf_helen.Helen(base_optimizer=base, rho=0.1),
    "running Helen": lambda base: tf_helen.Helen(base_optimizer=base, frequency="running"),
    "CowClip": lambda base: tf_helen.CowClip(base_optimizer=base),
}


@pytest.mark.parametrize("around", ["alone", "Helen"])
@every_tower
def test_a_traced_step_is_that_of_an_eager_one(tower, around):
    """Also if the optimizer assigns values when it is built, which must not be part of a step."""
    results = []
    for eagerly in (True, False):
        model = train(compiled(AROUND[around](table_and_tower(tower)), eagerly))
        results.append(everything(model))
    for one, other in zip(*results, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)


@every_tower
def test_a_tower_learns(tower):
    model, (ids, labels) = compiled(table_and_tower(tower, 0.02), eagerly=False), data(96)
    start = model.get_weights()
    losses = model.fit(ids, labels, batch_size=12, epochs=6, verbose=0).history["loss"]
    assert losses[-1] < 0.8 * losses[0]
    for before, after in zip(start, model.get_weights(), strict=True):
        assert np.abs(before - after).max() > 1e-3


def test_an_optimizer_of_keras_alone_is_built_outside_of_the_step():
    results = []
    for eagerly in (True, False):
        tower = list(TOWERS.values())[-1]
        results.append(train(compiled(tower(learning_rate=0.05), eagerly)).get_weights())
    for one, other in zip(*results, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)


@pytest.mark.parametrize("eagerly", [True, False], ids=["eager", "traced"])
@pytest.mark.parametrize("name", AROUND)
def test_it_trains_inside_others(name, eagerly):
    model = compiled(AROUND[name](table_and_tower(keras.optimizers.Lion, 0.02)), eagerly)
    ids, labels = data(96)
    start = model.get_weights()
    losses = model.fit(ids, labels, batch_size=12, epochs=4, verbose=0).history["loss"]
    assert losses[-1] < 0.9 * losses[0]
    for before, after in zip(start, model.get_weights(), strict=True):
        assert np.abs(before - after).max() > 1e-3


def test_one_inside_may_need_more_than_gradients():
    optimizer = tf_helen.PerVariable({"embedding": "adagrad", "*": tf_helen.AdaHessian(0.02)})
    model, (ids, labels) = compiled(optimizer), data(96)
    losses = model.fit(ids, labels, batch_size=12, epochs=3, verbose=0).history["loss"]
    assert losses[-1] < losses[0]


def test_running_counts_need_an_optimizer_of_ours_on_the_table():
    base = tf_helen.PerVariable({"embedding": keras.optimizers.Adam(), "*": "adam"})
    model = compiled(tf_helen.Helen(base_optimizer=base, frequency="running"))
    with pytest.raises(ValueError, match=r"running.*optimizer of tf_helen.*embedding/embeddings"):
        train(model, stop=12)


# What it refuses.


def test_a_variable_without_a_pattern():
    with pytest.raises(ValueError, match=r"hidden/kernel.*Add '\*'"):
        train(compiled(tf_helen.PerVariable({"embedding": "adam"})), stop=12)


def test_a_pattern_without_a_variable():
    with pytest.raises(ValueError, match=r"'embeding' has no variable.*embedding/embeddings"):
        train(compiled(tf_helen.PerVariable({"embeding": "adam", "*": "sgd"})), stop=12)


@pytest.mark.parametrize(
    "inner,message",
    [
        (lambda: [tf_helen.SAM(), "adam"], r"Helen\(base_optimizer=PerVariable"),
        (lambda: ["adam", tf_helen.CowClip(base_optimizer="sam")], "CowClip"),
        (lambda: [tf_helen.Adam()] * 2, "different objects"),
        (lambda: [tf_helen.AdaHessian(), tf_helen.AdaHessian()], "one optimizer"),
    ],
    ids=["SAM", "SAM in CowClip", "the same twice", "two that need more"],
)
def test_what_cannot_stand_in_it(inner, message):
    with pytest.raises(ValueError, match=message):
        tf_helen.PerVariable(dict(zip(("embedding", "*"), inner(), strict=True)))
