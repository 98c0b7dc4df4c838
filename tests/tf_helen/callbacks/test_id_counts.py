"""The numbers of admitted, evicted and refused ids in the logs and in TensorBoard."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from kinds import some

import tf_helen
from tf_helen.callbacks import ExactResume, IdCounts
from tf_helen.layers import Admission, DynamicEmbedding, Eviction

RNG = np.random.default_rng(0)
X = np.stack([RNG.zipf(1.4, 48) % 40, RNG.zipf(1.4, 48) % 30], axis=1)
Y = RNG.integers(0, 2, (48, 1)).astype("float32")


OPTIMIZERS = {
    "AdamAR": lambda: tf_helen.AdamAR(0.01, track_rows=True),
    "Helen": lambda: tf_helen.Helen(0.01, base_optimizer="adamar", frequency="running"),
}


def build(capacity=(9, 7), dtype="int64", optimizer="AdamAR"):
    keras.backend.clear_session()
    keras.utils.set_random_seed(0)
    inputs = keras.Input((2,), dtype=dtype)
    layer = DynamicEmbedding(
        dict(zip(("user", "item"), capacity, strict=True)),
        4,
        id_dtype=dtype,
        admission=Admission(min_count=2),
        eviction=Eviction("count"),
        name="table",
    )
    x = keras.layers.Dense(4, activation="tanh")(keras.layers.Flatten()(layer(inputs)))
    model = tf_helen.Model(inputs, keras.layers.Dense(1)(keras.layers.Dropout(0.3)(x)))
    loss = keras.losses.BinaryCrossentropy(from_logits=True)
    model.compile(OPTIMIZERS[optimizer](), loss, run_eagerly=True)
    return model


def test_the_logs_have_the_counts_of_each_field(tmp_path):
    model = build((4, 3))
    callback = IdCounts(log_dir=str(tmp_path))
    given = {"epochs": 2, "batch_size": 16, "shuffle": False, "verbose": 0}
    logs = model.fit(X, Y, callbacks=[callback], **given).history
    state = model.get_layer("table").table_state()
    for field in ("user", "item"):
        for name in ("admitted", "evicted", "refused"):
            assert logs[f"ids/table/{field}/{name}"][-1] == state[field][name]
        assert logs[f"ids/table/{field}/fill"] == [1.0, 1.0]
    assert logs["ids/table/user/evicted"][1] > logs["ids/table/user/evicted"][0] > 0
    (events,) = tmp_path.glob("*tfevents*")
    assert b"ids/table/item/refused" in events.read_bytes()


def test_a_model_without_dynamic_tables_raises_an_error():
    model = tf_helen.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    with pytest.raises(ValueError, match=r"IdCounts needs a `tf_helen.layers.DynamicEmbedding`"):
        model.fit(np.ones((2, 2)), np.ones((2, 1)), verbose=0, callbacks=[IdCounts()])


class Killed(Exception):
    """What ends a training here, as `kill -9` would."""


def resumed(folder, dtype="int64", kill_at=None, **settings):
    model = build(dtype=dtype, **settings)
    callbacks = [ExactResume(folder, 0, verbose=0)]
    if kill_at is not None:

        def end(batch, logs):
            if model.optimizer.iterations.numpy() == kill_at:
                raise Killed

        callbacks.append(keras.callbacks.LambdaCallback(on_train_batch_end=end))
    x = tf.constant(X.astype(str).astype(object)) if dtype == "string" else X
    given = {"epochs": 2, "batch_size": 16, "shuffle": False, "verbose": 0}
    model.fit(x, Y, callbacks=callbacks, **given)
    return model


RESUMED = [("string", "AdamAR"), ("int64", "Helen")]


@pytest.mark.parametrize(("dtype", "optimizer"), some(RESUMED, RESUMED[:1]))
@pytest.mark.slow
def test_a_training_that_is_killed_resumes_with_the_same_bits(tmp_path, dtype, optimizer):
    whole = resumed(tmp_path / "whole", dtype, optimizer=optimizer)
    with pytest.raises(Killed):
        resumed(tmp_path / "killed", dtype, kill_at=4, optimizer=optimizer)
    again = resumed(tmp_path / "killed", dtype, optimizer=optimizer)
    pairs = zip(
        [*whole.variables, *whole.optimizer.variables],
        [*again.variables, *again.optimizer.variables],
        strict=True,
    )
    for one, two in pairs:
        np.testing.assert_array_equal(one.numpy(), two.numpy(), one.path)


@pytest.mark.slow
def test_a_state_loads_into_a_larger_capacity(tmp_path):
    first = resumed(tmp_path / "state")
    table = first.get_layer("table")
    larger = build((20, 30))
    resume = ExactResume(tmp_path / "state", 0, verbose=0)
    larger.fit(X, Y, epochs=2, batch_size=16, shuffle=False, verbose=0, callbacks=[resume])
    grown = larger.get_layer("table")
    before, after = table.table_state(), grown.table_state()
    for field in ("user", "item"):
        for name in ("row", "id", "count", "last_step", "admitted"):
            np.testing.assert_array_equal(before[field][name], after[field][name])
    np.testing.assert_array_equal(first.predict(X, verbose=0), larger.predict(X, verbose=0))
    one, two = (
        model.optimizer.row_history(model.get_layer("table").embeddings)["count"]
        for model in (first, larger)
    )
    assert one[: 9 + 1].tolist() == two[: 9 + 1].tolist()
    assert one[10:].tolist() == two[21 : 21 + 8].tolist()
    with pytest.raises(ValueError, match="has the capacities \\[2, 2\\], and the file has ids"):
        resume = ExactResume(tmp_path / "state", 0, verbose=0)
        build((2, 2)).fit(X, Y, batch_size=16, shuffle=False, verbose=0, callbacks=[resume])
