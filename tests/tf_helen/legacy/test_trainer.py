"""`tf_helen.legacy.TrainerMixin`: state changes once per step; results for users."""

import numpy as np
import pytest
import tensorflow as tf
from tf_keras_model import MixinModel, assert_equal_weights, build, data, tf_keras, train

from tf_helen import legacy
from tf_helen.legacy.passes import FirstPassOnly

TWO_PASS = {
    "SAM": lambda: legacy.SAM(0.0, rho=0.5),
    "Helen": lambda: legacy.Helen(0.0, rho=0.5, base_optimizer="sgd"),
}


@pytest.mark.parametrize("eager", [False, True])
@pytest.mark.parametrize("name", TWO_PASS)
def test_metrics_and_statistics_count_the_first_pass_only(name, eager):
    """With a learning rate of 0 only the second pass, at other weights, could differ."""
    models, histories = [], []
    for make, cls in ((TWO_PASS[name], MixinModel), (tf_keras.optimizers.SGD, tf_keras.Model)):
        norm = tf_keras.layers.BatchNormalization(momentum=0.5)
        model = build(make(learning_rate=0.0) if cls is tf_keras.Model else make(), None, cls, norm)
        model.run_eagerly = eager
        histories.append(train(model, epochs=2))
        models.append(model)
    for key, values in histories[1].items():
        np.testing.assert_allclose(histories[0][key], values, rtol=1e-5, err_msg=key)
    assert_equal_weights(*models, atol=1e-6)
    assert np.abs(models[0].get_weights()[3]).max() > 1e-4, "the statistics have moved"


class Draws(tf_keras.Model):
    """Returns the sum that its dropout lets through."""

    def __init__(self, seed):
        super().__init__()
        self.drop = tf_keras.layers.Dropout(0.5, seed=seed)

    def call(self, inputs):
        return tf.reduce_sum(self.drop(inputs, training=True) * tf.range(1000.0))


@pytest.mark.parametrize("generator", [False, True], ids=["stateful op", "generator"])
@pytest.mark.parametrize("seed", [None, 0, 7])
def test_both_passes_see_the_same_dropout_masks(generator, seed):
    backend = tf_keras.backend.experimental
    if generator:
        backend.enable_tf_random_generator()
    try:
        model = Draws(seed)
        model(tf.ones(1000))
    finally:
        backend.disable_tf_random_generator()

    @tf.function
    def step():
        closure = FirstPassOnly(model, lambda: model(tf.ones(1000)))
        return closure(), closure(), closure()

    draws = np.array([step() for _ in range(5)])
    np.testing.assert_array_equal(draws[:, 0], draws[:, 1])
    np.testing.assert_array_equal(draws[:, 0], draws[:, 2])
    assert len(np.unique(draws[:, 0])) == 5, "every step draws anew"


def test_sam_of_radius_zero_is_its_base_under_dropout():
    """Its second pass repeats the first exactly, masks included."""
    models = []
    for optimizer in (legacy.SAM(0.1, rho=0.0, base_optimizer="sgd"), legacy.SGD(0.1)):
        model = build(optimizer, None, MixinModel, tf_keras.layers.Dropout(0.5, seed=3))
        train(model, epochs=2)
        models.append(model)
    assert_equal_weights(*models)


def test_a_stock_optimizer_trains_as_without_the_mixin():
    models = [build(tf_keras.optimizers.Adam(0.05), None, c) for c in (MixinModel, tf_keras.Model)]
    histories = [train(model, epochs=2) for model in models]
    assert_equal_weights(*models)
    assert histories[0] == histories[1]


def test_a_stock_optimizer_after_ours_finds_settled_tables():
    model = build(legacy.AdamAR(0.01, alpha=0.05))
    for _ in range(4):
        model.train_on_batch(*data(4))
    expected = model.get_weights()[0]
    model.compile(tf_keras.optimizers.SGD(0.0), "mse")
    model.train_on_batch(*data(4))
    np.testing.assert_array_equal(model.layers[1].embeddings.numpy(), expected)


def test_whoever_reads_weights_finds_every_row_up_to_date():
    ids, y = data(4)
    models = []
    for frequent in (False, True):
        model = build(legacy.AdamAR(0.01, alpha=0.05))
        model.predict(data()[0], verbose=0)  # traced before there is an optimizer's state
        for _ in range(6):
            model.train_on_batch(ids, y)
            if frequent:
                model.optimizer.finalize_variable_values(model.trainable_variables)
        models.append(model)
    scores = [model.predict(data()[0], verbose=0) for model in models]
    np.testing.assert_allclose(*scores, atol=1e-6)
    losses = [model.evaluate(*data(), verbose=0) for model in models]
    np.testing.assert_allclose(*losses, atol=1e-6)
    assert_equal_weights(*models, atol=1e-6)


def test_fit_says_where_epochs_begin():
    models = [build(legacy.AdamAR(0.01, alpha="auto"), None, c) for c in (MixinModel, MixinModel)]
    seen = []
    watch = tf_keras.callbacks.LambdaCallback(on_epoch_begin=lambda epoch, logs: seen.append(epoch))
    rows = {"batch_size": 16, "shuffle": False, "verbose": 0}  # 8 steps; 5 are the fewest
    models[0].fit(*data(), epochs=2, callbacks=[watch], **rows)
    models[1].fit(*data(), epochs=1, **rows)
    alphas = [float(model.optimizer.inner.absent_rows.found_alpha) for model in models]
    assert alphas[0] > 0 and alphas[1] == 0 and seen == [0, 1]


def test_a_model_with_late_variables_trains():
    class Late(legacy.TrainerMixin, tf_keras.Model):
        def __init__(self):
            super().__init__()
            self.table = legacy.Embedding(20, 4)
            self.top = tf_keras.layers.Dense(1)

        def call(self, ids):
            return self.top(tf.reduce_sum(self.table(ids), axis=1))

    model = Late()
    model.compile(legacy.Helen(base_optimizer=legacy.AdamAR(0.01, alpha=0.05)), "mse")
    losses = train(model, epochs=3)["loss"]
    assert losses[-1] < losses[0] and len(model.trainable_variables) == 3


def test_ragged_ids_masks_and_refused_inputs():
    layer, stock = legacy.Embedding(9, 2, mask_zero=True), tf_keras.layers.Embedding(9, 2)
    ragged = tf.ragged.constant([[1, 2], [3]])
    layer.build()
    stock.build(None)
    stock.set_weights(layer.get_weights())
    np.testing.assert_array_equal(layer(ragged).flat_values, stock(ragged).flat_values)
    np.testing.assert_array_equal(layer.compute_mask(tf.constant([[0, 3]])), [[False, True]])
    with pytest.raises(TypeError, match="SparseTensor"):
        layer(tf.sparse.from_dense([[1, 0]]))
    with pytest.raises(ValueError, match="sparse=True"):
        legacy.Embedding(9, 2, sparse=True)
    again = type(layer).from_config(layer.get_config())
    assert again.get_config() == layer.get_config()


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_ids_as_floats_are_refused(dtype):
    layer = legacy.Embedding(9, 2)
    with pytest.raises(TypeError, match=rf"integer ids.*{dtype}.*int32"):
        layer(tf.constant([[1.0]], dtype))
    with pytest.raises(TypeError, match=r"integer ids.*float32.*int32"):
        layer(tf_keras.Input((1,)))
    np.testing.assert_array_equal(layer(tf.constant([[3]], tf.uint8))[0, 0], layer.embeddings[3])


def test_layers_of_old_files_take_whole_floats():
    config = legacy.Embedding(9, 2).get_config()
    del config["takes_floats"]
    layer = legacy.Embedding.from_config(config)
    inputs = tf_keras.Input((1,))
    model = tf_keras.Model(inputs, layer(inputs))
    found = model.predict(np.array([[3]]), verbose=0)
    np.testing.assert_array_equal(found[0, 0], layer.embeddings[3])


@pytest.mark.parametrize("eagerly", [False, True])
@pytest.mark.slow
def test_the_second_pass_begins_with_the_state_of_the_first(eagerly):
    """With rho 0 both passes are one function, if a stateful layer begins alike in both."""

    class Recurrent(legacy.TrainerMixin, tf_keras.Model):
        pass

    found = []
    for optimizer in (legacy.SGD(0.1), legacy.SAM(rho=0.0, base_optimizer=legacy.SGD(0.1))):
        tf_keras.utils.set_random_seed(0)
        inputs = tf_keras.Input(batch_shape=(4, 3, 2))
        x = tf_keras.layers.GRU(2, stateful=True, kernel_regularizer="l2")(inputs)
        model = Recurrent(inputs, tf_keras.layers.Dense(1)(x))
        model.compile(optimizer, "mse", run_eagerly=eagerly)
        rng = np.random.default_rng(1)
        steps = [(rng.normal(size=(4, 3, 2)), rng.normal(size=(4, 1))) for _ in range(3)]
        found.append([model.train_on_batch(*step) for step in steps])
    np.testing.assert_allclose(*found, atol=1e-6)
