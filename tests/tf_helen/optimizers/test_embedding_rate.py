"""The learning rate of embedding tables."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import tf_helen

HALVING = keras.optimizers.schedules.ExponentialDecay(0.1, 1, 0.5)
GROWING = keras.optimizers.schedules.ExponentialDecay(0.01, 1, 2.0)


def moves(optimizer, steps=1):
    """How far a step of gradient 1 moves a table and a weight, for each step."""
    table, weight = keras.Variable(np.zeros((3, 1))), keras.Variable(np.zeros(1))
    found = []
    for _ in range(steps):
        before = table.numpy()[1, 0], weight.numpy()[0]
        gradient = tf.IndexedSlices(tf.ones([1, 1]), tf.constant([1]))
        optimizer.apply([gradient, tf.ones(1)], [table, weight])
        after = table.numpy()[1, 0], weight.numpy()[0]
        found.append([round(float(b - a), 5) for b, a in zip(before, after, strict=True)])
    return found


def test_a_number():
    assert moves(tf_helen.SGD(0.1, embedding_learning_rate=0.4)) == [[0.4, 0.1]]
    assert moves(tf_helen.SGD(0.1)) == [[0.1, 0.1]]


def test_none_follows_the_learning_rate():
    optimizer = tf_helen.SGD(HALVING)
    assert moves(optimizer, 2) == [[0.1, 0.1], [0.05, 0.05]]
    assert float(optimizer.embedding_learning_rate) == pytest.approx(0.025)


@pytest.mark.parametrize(
    "rate,embedding_rate,expected",
    [
        (HALVING, GROWING, [[0.01, 0.1], [0.02, 0.05], [0.04, 0.025]]),
        (HALVING, 0.3, [[0.3, 0.1], [0.3, 0.05], [0.3, 0.025]]),
        (0.1, GROWING, [[0.01, 0.1], [0.02, 0.1], [0.04, 0.1]]),
    ],
    ids=["two schedules", "a number beside a schedule", "a schedule beside a number"],
)
def test_schedules(rate, embedding_rate, expected):
    optimizer = tf_helen.SGD(rate, embedding_learning_rate=embedding_rate)
    assert moves(optimizer, 3) == expected
    later = expected[-1][0] * (2 if embedding_rate is GROWING else 1)
    assert float(optimizer.embedding_learning_rate) == pytest.approx(later)


def test_the_ratio_is_kept_when_the_learning_rate_is_set():
    optimizer = tf_helen.SGD(0.1, embedding_learning_rate=0.4)
    optimizer.learning_rate = 0.05
    assert moves(optimizer) == [[0.2, 0.05]]
    assert float(optimizer.embedding_learning_rate) == pytest.approx(0.2)


def test_beside_a_schedule_it_can_be_set():
    optimizer = tf_helen.SGD(HALVING, embedding_learning_rate=0.4)
    optimizer.embedding_learning_rate = 0.7
    assert moves(optimizer, 2) == [[0.7, 0.1], [0.7, 0.05]]


def test_it_can_be_set_and_keeps_the_new_ratio():
    optimizer = tf_helen.SGD(0.1, embedding_learning_rate=0.4)
    optimizer.embedding_learning_rate = 0.2
    assert moves(optimizer) == [[0.2, 0.1]]
    optimizer.learning_rate = 0.3
    assert float(optimizer.embedding_learning_rate) == pytest.approx(0.6)
    with pytest.raises(ValueError, match=r"embedding_learning_rate.*-1"):
        optimizer.embedding_learning_rate = -1
    optimizer.learning_rate = 0.0
    with pytest.raises(ValueError, match="no ratio"):
        optimizer.embedding_learning_rate = 0.1


@pytest.mark.parametrize("rate", [None, GROWING], ids=["none", "schedule"])
def test_what_was_no_number_cannot_be_set(rate):
    optimizer = tf_helen.SGD(0.1, embedding_learning_rate=rate)
    with pytest.raises(TypeError, match="number at construction"):
        optimizer.embedding_learning_rate = 0.5


@pytest.mark.parametrize("embedding_rate", [None, 0.4, GROWING], ids=["none", "number", "schedule"])
@pytest.mark.parametrize("rate", [0.1, HALVING], ids=["number", "schedule"])
def test_config_round_trip(rate, embedding_rate):
    optimizer = tf_helen.Adam(rate, embedding_learning_rate=embedding_rate)
    again = tf_helen.Adam.from_config(optimizer.get_config())
    config = again.get_config()
    for name, value in optimizer.get_config().items():
        assert config[name] == (pytest.approx(value) if isinstance(value, float) else value), name
    assert moves(again, 3) == moves(optimizer, 3)


def test_a_changed_rate_survives_the_config():
    optimizer = tf_helen.Adam(0.1, embedding_learning_rate=0.4)
    optimizer.learning_rate = 0.01
    optimizer.embedding_learning_rate = 0.02
    again = tf_helen.Adam.from_config(optimizer.get_config())
    assert float(again.learning_rate) == pytest.approx(0.01)
    assert float(again.embedding_learning_rate) == pytest.approx(0.02)


WRAPPED = {
    "Helen by name": lambda: tf_helen.Helen(
        0.1, rho=0.0, base_optimizer="sgd", embedding_learning_rate=0.4
    ),
    "Helen": lambda: tf_helen.Helen(
        rho=0.0, base_optimizer=tf_helen.SGD(0.1, embedding_learning_rate=0.4)
    ),
    "CowClip": lambda: tf_helen.CowClip(0.1, base_optimizer="sgd", embedding_learning_rate=0.4),
    "PerVariable": lambda: tf_helen.PerVariable(
        {"*": tf_helen.SGD(0.1, embedding_learning_rate=0.4)}
    ),
}


@pytest.mark.parametrize("name", WRAPPED)
def test_through_other_optimizers(name):
    optimizer = WRAPPED[name]()
    with optimizer.multi_pass():
        assert moves(optimizer) == [[0.4, 0.1]]
    assert float(optimizer.embedding_learning_rate) == pytest.approx(0.4)
    optimizer.learning_rate = 0.05
    assert float(optimizer.embedding_learning_rate) == pytest.approx(0.2)
    optimizer.embedding_learning_rate = 0.3
    # the variables of `moves` are new
    again = type(optimizer).from_config(optimizer.get_config())
    with again.multi_pass():
        assert moves(again) == [[0.3, 0.05]]


def fitted(optimizer, **kwargs):
    keras.utils.set_random_seed(0)
    inputs = keras.Input((2,), dtype="int32")
    layer = tf_helen.layers.Embedding([5, 3], 2, name="embedding", **kwargs)
    x = keras.layers.Flatten()(layer(inputs))
    model = tf_helen.Model(inputs, keras.layers.Dense(1, name="logit")(x))
    model.compile(optimizer, "mse", run_eagerly=True)
    return model


IDS, LABELS = np.array([[0, 1], [4, 2], [0, 2], [1, 1]]), np.ones((4, 1), np.float32)


@pytest.mark.parametrize("l2", [0.0, 0.1])
def test_rate_zero_for_tables_trains_the_tower_only(l2):
    model = fitted(tf_helen.Adam(0.1, embedding_learning_rate=0.0), l2=l2)
    start = model.get_weights()
    model.fit(IDS, LABELS, batch_size=2, epochs=2, verbose=0)
    table, *tower = [np.abs(a - b).max() for a, b in zip(start, model.get_weights(), strict=True)]
    assert table == 0
    assert min(tower) > 1e-2


def test_reduce_on_plateau_and_a_file_keep_the_ratio(tmp_path):
    model = fitted(tf_helen.Adam(0.1, embedding_learning_rate=0.4))
    plateau = keras.callbacks.ReduceLROnPlateau("loss", factor=0.5, patience=1, min_delta=100)
    model.fit(IDS, LABELS, epochs=3, verbose=0, callbacks=[plateau])
    model.save(tmp_path / "m.keras")
    loaded = keras.saving.load_model(tmp_path / "m.keras").optimizer
    for optimizer in (model.optimizer, loaded):
        assert float(optimizer.learning_rate) == pytest.approx(0.025)
        assert float(optimizer.embedding_learning_rate) == pytest.approx(0.1)
    loaded.learning_rate = 0.05
    assert float(loaded.embedding_learning_rate) == pytest.approx(0.2)
