"""Optimizers that have a past: another model's, another optimizer's, a config's."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import tf_helen

FIELDS = {"user": 12, "item": 6}


def data(rows=32):
    rng = np.random.default_rng(0)
    ids = np.stack([rng.integers(0, size, rows) for size in FIELDS.values()], axis=1)
    return ids.astype(np.int32), rng.normal(size=(rows, 1)).astype(np.float32)


def built_model():
    keras.utils.set_random_seed(0)
    inputs = keras.Input((2,), dtype="int32")
    x = keras.layers.Flatten()(tf_helen.layers.Embedding(FIELDS, 3, name="features")(inputs))
    return tf_helen.Model(inputs, keras.layers.Dense(1)(x))


def fit(model, optimizer, **kwargs):
    model.compile(optimizer, "mse")
    model.fit(*data(), batch_size=8, shuffle=False, verbose=0, **kwargs)
    return model


def test_a_decay_is_taken_up_again_after_another_optimizer():
    model, decaying = built_model(), tf_helen.AdamAR(alpha=0.1)
    fit(model, decaying)
    fit(model, tf_helen.SGD(0.1))
    fit(model, decaying)
    ids = data()[0]
    forward = model(ids).numpy()  # rows as they are read
    decaying.finalize_variable_values(model.trainable_variables)
    np.testing.assert_allclose(forward, model(ids), atol=1e-6)
    layer = model.get_layer("features")
    model.train_on_batch(np.array([[0, 0]]), np.array([[1.0]]))
    stored = layer.embeddings.numpy().copy()
    model.train_on_batch(np.array([[0, 0]]), np.array([[1.0]]))
    read = np.concatenate([layer(np.full((1, 2), i))[0, :1] for i in range(1, 6)])
    assert np.all(np.abs(read) < np.abs(stored[1:6]))


def test_a_base_that_has_trained_cannot_begin_to_count():
    base = tf_helen.Adam()
    model = fit(built_model(), base)
    model.compile(tf_helen.Helen(base_optimizer=base, frequency="running"), "mse")
    with pytest.raises(ValueError, match=r"trained already.*count.*track_rows"):
        model.fit(*data(), verbose=0)
    counting = tf_helen.Adam(track_rows=True)
    model = fit(built_model(), counting)
    fit(model, tf_helen.Helen(base_optimizer=counting, frequency="running"))


def test_given_counts_do_not_get_lost_in_silence(tmp_path):
    counts = {name: np.arange(1, size + 1) for name, size in FIELDS.items()}
    again = tf_helen.Helen.from_config(tf_helen.Helen(frequency=counts).get_config())
    with pytest.raises(ValueError, match="does not contain the counts"):
        fit(built_model(), again)
    model = fit(built_model(), tf_helen.Helen(frequency=counts))
    model.save(tmp_path / "trained.keras")
    loaded = keras.models.load_model(tmp_path / "trained.keras")
    loaded.fit(*data(), batch_size=8, verbose=0)


def test_a_base_is_named_once():
    with pytest.raises(ValueError, match="Two base optimizers"):
        tf_helen.optimizers.get("helen(adamar)", base_optimizer="sgd")
    with pytest.raises(ValueError, match="closing parenthesis"):
        tf_helen.optimizers.get("helen(adamar")
    with pytest.raises(ValueError, match="takes no base optimizer"):
        tf_helen.optimizers.get("adam(sgd)")


def test_a_model_saved_at_rate_zero_loads_with_its_ratio(tmp_path):
    model = fit(built_model(), tf_helen.Adam(0.01, embedding_learning_rate=0.1))
    model.optimizer.learning_rate = 0.0
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras").optimizer
    loaded.learning_rate = 0.02
    assert float(loaded.embedding_learning_rate) == pytest.approx(0.2)


@pytest.mark.parametrize("optimizer", [tf_helen.SGD, tf_helen.AdaHessian, tf_helen.GroupAdaHessian])
def test_a_loss_scale_factor_changes_nothing(optimizer):
    results = []
    for factor in (None, 128.0):
        w = keras.Variable([[3.0, 1.0]])
        one = optimizer(0.5, loss_scale_factor=factor)
        for _ in range(2):
            one.minimize(lambda w=w: tf.reduce_sum(w.value**4), [w])
        model = fit(built_model(), optimizer(0.01, loss_scale_factor=factor))
        results.append([w.numpy(), *model.get_weights()])
    for plain, scaled in zip(*results, strict=True):
        np.testing.assert_allclose(plain, scaled, rtol=1e-5, atol=1e-7)


def test_loss_scale_factors_that_cannot_be():
    with pytest.raises(ValueError, match="positive"):
        tf_helen.Adam(loss_scale_factor=0)
    with pytest.raises(ValueError, match="the same in all optimizers"):
        tf_helen.PerVariable({"embedding": tf_helen.Adam(loss_scale_factor=8), "*": "adam"})


def test_meda_leaves_frozen_tables_alone():
    keras.utils.set_random_seed(0)
    inputs = keras.Input((2,), dtype="int32")
    frozen = tf_helen.layers.Embedding(FIELDS, 3, name="frozen", trainable=False)
    trained = tf_helen.layers.Embedding(FIELDS, 3, name="trained")
    x = keras.layers.Concatenate()([frozen(inputs), trained(inputs)])
    model = tf_helen.Model(inputs, keras.layers.Dense(1)(keras.layers.Flatten()(x)))
    before = frozen.embeddings.numpy()
    fit(model, tf_helen.Adam(), epochs=2, callbacks=[tf_helen.callbacks.MEDA()])
    np.testing.assert_array_equal(frozen.embeddings, before)
    with pytest.raises(ValueError, match="no trainable embedding layers named"):
        fit(model, tf_helen.Adam(), callbacks=[tf_helen.callbacks.MEDA(["frozen"])])
