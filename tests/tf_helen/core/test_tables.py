"""A read of a table with a pending decay applies it or raises an error."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import tf_helen
from tf_helen.core import tables

ROWS = 6
EVERY = np.arange(ROWS, dtype=np.int32)[:, None]
ALPHA = 0.125
# P(n) for alpha = 1/8: what is left of a row after n steps of absence, exact in float32.
LEFT = [1.0, 0.875, 0.65625, 0.41015625]

MAKES = {
    "AdamAR": lambda: tf_helen.AdamAR(0.0, alpha=ALPHA),
    "AdamAR auto": lambda: tf_helen.AdamAR(0.0, alpha="auto", steps_per_epoch=2),
    "AdamAR on occurrence": lambda: tf_helen.AdamAR(0.0, alpha=ALPHA, decay="on_occurrence"),
    "AdagradAR": lambda: tf_helen.AdagradAR(0.0, alpha=ALPHA),
    "GroupAdamAR": lambda: tf_helen.GroupAdamAR(0.0, alpha=ALPHA),
    "Helen": lambda: tf_helen.Helen(base_optimizer=MAKES["AdamAR"]()),
    "CowClip": lambda: tf_helen.CowClip(base_optimizer=MAKES["AdamAR"]()),
    "Helen(CowClip)": lambda: tf_helen.Helen(base_optimizer=MAKES["CowClip"]()),
    "PerVariable": lambda: tf_helen.PerVariable({"a/embeddings": MAKES["AdamAR"](), "*": "adam"}),
    "loss scale": lambda: keras.optimizers.LossScaleOptimizer(MAKES["AdamAR"]()),
}


def tower(name, cls=tf_helen.Model, layer=None):
    """A model of one table, named after it, that returns its rows."""
    inputs = keras.Input((1,), dtype="int32")
    layer = layer or tf_helen.layers.Embedding({name: ROWS}, 2, name=name)
    return cls(inputs, keras.layers.Flatten()(layer(inputs)), name=f"tower_{name}")


def joint(optimizer, cls=tf_helen.Model, towers=None, run_eagerly=True):
    """A compiled model of two towers, and the towers; eager, because tracing takes longer."""
    keras.utils.set_random_seed(0)
    towers = towers or [tower(name, cls) for name in "ab"]
    inputs = [keras.Input((1,), dtype="int32") for _ in towers]
    rows = [one(x) for one, x in zip(towers, inputs, strict=True)]
    model = cls(inputs, keras.layers.Dense(1)(keras.layers.Concatenate()(rows)))
    model.compile(optimizer, "mse", run_eagerly=run_eagerly)
    return model, *towers


def step(model, times=1, row=0):
    """Trains on batches that hold one row of each table."""
    ids = np.full((2, 1), row, np.int32)
    for _ in range(times):
        model.train_on_batch([ids, ids], np.ones((2, 1), np.float32))


def table_of(model):
    return next(layer for layer in model.layers if hasattr(layer, "embeddings"))


def rows_of(model):
    """The table of a tower as a lookup reads it."""
    return np.array(table_of(model)(EVERY))[:, 0]


TRACED = ("AdamAR", "Helen(CowClip)", "loss scale")  # between them every kind of step


@pytest.mark.parametrize(
    ("name", "eagerly"), [*((name, True) for name in MAKES), *((name, False) for name in TRACED)]
)
def test_a_frozen_table_stays_as_it_was_read(name, eagerly):
    model, _, item = joint(MAKES[name](), run_eagerly=eagerly)
    step(model, 3)
    table_of(item).trainable = False
    model.compile(model.optimizer, "mse", run_eagerly=eagerly)
    before, other = rows_of(item), rows_of(model.layers[2])
    ids = np.zeros((8, 1), np.int32)
    model.fit([ids, ids], np.ones((8, 1)), batch_size=2, epochs=2, verbose=0)
    np.testing.assert_array_equal(rows_of(item), before)
    np.testing.assert_array_equal(item.get_weights()[0], before)
    np.testing.assert_array_equal(item.predict_on_batch(EVERY), before)
    if "occurrence" not in name:  # whose absent rows decay when they are back
        assert np.abs(rows_of(model.layers[2]) - other)[1:].max() > 0


def test_time_while_a_table_is_frozen_is_no_absence():
    """Fixed numbers: two steps absent, five frozen, one absent again."""
    model, _, item = joint(MAKES["AdamAR"](), run_eagerly=False)
    start = rows_of(item)
    step(model, 2)
    layer, other = table_of(item), table_of(model.layers[2])
    np.testing.assert_array_equal(rows_of(item)[1:], start[1:] * LEFT[1] * LEFT[0])
    layer.trainable = False
    model.compile(model.optimizer, "mse", run_eagerly=model.run_eagerly)
    step(model, 5)
    np.testing.assert_array_equal(rows_of(item)[1:], start[1:] * LEFT[1])
    layer.trainable = True
    model.compile(model.optimizer, "mse", run_eagerly=model.run_eagerly)
    step(model)
    np.testing.assert_allclose(rows_of(item)[1:], start[1:] * LEFT[2], rtol=1e-6)
    np.testing.assert_allclose(item.get_weights()[0][1:], start[1:] * LEFT[2], rtol=1e-6)
    np.testing.assert_array_equal(rows_of(item)[0], start[0])
    history = model.optimizer.row_history(layer.embeddings)
    assert history["idle"].tolist() == [0, 3, 3, 3, 3, 3]
    assert model.optimizer.row_history(other.embeddings)["idle"].tolist() == [0, 8, 8, 8, 8, 8]


def test_the_clock_of_a_table_survives_files_and_checkpoints(tmp_path):
    def trained(stop):
        model, _, item = joint(MAKES["AdamAR"]())
        start = rows_of(item)
        step(model, 2)
        table_of(item).trainable = False
        model.compile(model.optimizer, "mse", run_eagerly=model.run_eagerly)
        step(model, 5)
        model = stop(model) or model
        item = model.layers[3]
        table_of(item).trainable = True
        model.compile(model.optimizer, "mse", run_eagerly=model.run_eagerly)
        step(model)
        return start, rows_of(item)

    def through_file(model):
        # Keras drops the state of optimizers of models that are saved with frozen layers.
        table_of(model.layers[3]).trainable = True
        model.compile(model.optimizer, "mse", run_eagerly=model.run_eagerly)
        model.save(tmp_path / "m.keras")
        return keras.saving.load_model(tmp_path / "m.keras")

    def through_checkpoint(model):
        path = tf.train.Checkpoint(model=model, optimizer=model.optimizer).write(
            str(tmp_path / "ck")
        )
        other, *_ = joint(MAKES["AdamAR"]())
        other.optimizer.build(other.trainable_variables)
        tf.train.Checkpoint(model=other, optimizer=other.optimizer).read(path).assert_consumed()
        return other

    for stop in (lambda model: None, through_file, through_checkpoint):
        start, rows = trained(stop)
        np.testing.assert_allclose(rows[1:], start[1:] * LEFT[2], rtol=1e-6)


@pytest.mark.parametrize("traced", [False, True])
def test_a_loop_that_trains_other_variables_freezes_a_table(traced):
    layers = [tf_helen.layers.Embedding({name: ROWS}, 2, name=name) for name in "ab"]
    start = [np.array(layer(EVERY))[:, 0] for layer in layers]
    optimizer = MAKES["AdamAR"]()
    variables = [layer.embeddings for layer in layers]
    optimizer.build(variables)

    def loss():
        return sum(tf.reduce_sum(layer(tf.zeros([1, 1], tf.int32))) for layer in layers)

    def both():
        optimizer.minimize(loss, variables)

    def first():
        optimizer.minimize(loss, variables[:1])

    both, first = (tf.function(one) if traced else one for one in (both, first))
    for one in (both, first, first, both, first, both):
        one()
    left = [np.array(layer(EVERY))[1:, 0] for layer in layers]
    np.testing.assert_allclose(left[1], start[1][1:] * LEFT[2], rtol=1e-6)  # three steps
    away_five = np.prod([1 - ALPHA * i for i in range(1, 6)])
    np.testing.assert_allclose(left[0], start[0][1:] * away_five, rtol=1e-6)
    np.testing.assert_allclose(variables[1].numpy()[1:], left[1], rtol=1e-6)


def test_a_frozen_table_of_keras_is_not_swept():
    layers = [keras.layers.Embedding(ROWS, 2, name=name) for name in "ab"]
    towers = [tower(n, layer=one) for n, one in zip("ab", layers, strict=True)]
    model, _, item = joint(tf_helen.AdamAR(0.0, alpha=ALPHA, sweep_every=2), towers=towers)
    start = item.get_weights()[0]
    step(model, 2)
    layers[1].trainable = False
    model.compile(model.optimizer, "mse", run_eagerly=model.run_eagerly)
    model.optimizer.begin_epoch()
    step(model, 5)
    model.optimizer.finalize_variable_values([one.embeddings for one in layers])
    np.testing.assert_array_equal(item.get_weights()[0][1:], start[1:] * LEFT[1])
    layers[1].trainable = True
    model.compile(model.optimizer, "mse", run_eagerly=model.run_eagerly)
    step(model)
    np.testing.assert_allclose(item.get_weights()[0][1:], start[1:] * LEFT[2], rtol=1e-6)
    # The next optimizer begins with rows that are up to date, here too.
    step(model)
    model.compile("sgd", "mse", run_eagerly=True)
    np.testing.assert_allclose(item.get_weights()[0][1:], start[1:] * LEFT[3], rtol=1e-6)


def test_a_new_optimizer_after_freezing_leaves_no_stale_weights():
    model, _, item = joint(MAKES["AdamAR"]())
    step(model, 4)
    before = rows_of(item)
    table_of(item).trainable = False
    model.compile("adam", "mse", run_eagerly=True)
    np.testing.assert_array_equal(model.layers[3].get_weights()[0], before)
    step(model, 4)
    np.testing.assert_array_equal(rows_of(item), before)
    np.testing.assert_array_equal(model.get_weights()[1], before)


def test_fit_lets_go_of_a_table_that_it_no_longer_trains():
    model, _, item = joint(MAKES["AdamAR"]())
    step(model, 4)
    table = tables.of(table_of(item).embeddings)
    assert table.holder() is not None
    table_of(item).trainable = False
    model.compile(model.optimizer, "mse", run_eagerly=model.run_eagerly)
    step(model)
    assert table.holder() is None and table.decay is None


READERS = {
    "predict": lambda model, path: model.predict(EVERY, verbose=0),
    "predict_on_batch": lambda model, path: model.predict_on_batch(EVERY),
    "model.get_weights": lambda model, path: model.get_weights()[0],
    "layer.get_weights": lambda model, path: table_of(model).get_weights()[0],
    "variable.numpy": lambda model, path: table_of(model).embeddings.numpy(),
    "variable.value.numpy": lambda model, path: table_of(model).embeddings.value.numpy(),
    "np.array": lambda model, path: np.array(table_of(model).embeddings),
    "tf.convert_to_tensor": lambda model, path: tf.convert_to_tensor(
        table_of(model).embeddings
    ).numpy(),
    "keras.ops": lambda model, path: np.array(keras.ops.multiply(table_of(model).embeddings, 1)),
    "save": lambda model, path: _saved(model, f"{path}/m.keras"),
    "save_weights": lambda model, path: _saved_weights(model, f"{path}/m.weights.h5"),
    "export": lambda model, path: _exported(model, f"{path}/export"),
    "ExportArchive": lambda model, path: _archived(model, f"{path}/archive"),
    "tf.saved_model.save": lambda model, path: _written(model, f"{path}/saved"),
    "save_own_variables": lambda model, path: _own(table_of(model)),
}


def _own(layer):
    store = {}
    layer.save_own_variables(store)
    return np.array(store["0"])


def _saved(model, path):
    model.save(path)
    return keras.saving.load_model(path, compile=False).get_weights()[0]


def _saved_weights(model, path):
    model.save_weights(path)
    other = keras.models.clone_model(model)
    other.load_weights(path)
    return other.get_weights()[0]


def _exported(model, path):
    model.export(path, verbose=False)
    loaded = tf.saved_model.load(path)
    return loaded.serve(EVERY).numpy()


def _archived(model, path):
    archive = keras.export.ExportArchive()
    archive.track(model)
    signature = [tf.TensorSpec((None, 1), tf.int32)]
    archive.add_endpoint("serve", model.call, input_signature=signature)
    archive.write_out(path, verbose=False)
    loaded = tf.saved_model.load(path)
    return loaded.serve(EVERY).numpy()


def _written(model, path):
    served = tf.Module()
    served.model = model
    served.call = tf.function(model, input_signature=[tf.TensorSpec((None, 1), tf.int32)])
    tf.saved_model.save(served, path)
    loaded = tf.saved_model.load(path)
    return loaded.call(EVERY).numpy()


@pytest.mark.parametrize("cls", [tf_helen.Model, keras.Model])
def test_a_tower_in_the_middle_of_training_of_a_joint_model_is_up_to_date(cls, tmp_path):
    model, _, item = joint(tf_helen.AdamAR(0.0, alpha=1e-3), cls)
    if cls is tf_helen.Model:  # what is traced now knows nothing of a decay
        item.predict_on_batch(EVERY)
    step(model, 2)
    for name, read in READERS.items():
        before = rows_of(item)
        step(model)
        rows = rows_of(item)
        assert np.abs(rows - before)[1:].max() > 1e-6, name
        np.testing.assert_allclose(read(item, str(tmp_path)), rows, rtol=1e-6, err_msg=name)
        np.testing.assert_allclose(rows_of(item), rows, rtol=1e-6, err_msg=name)


def test_sub_layers_and_frozen_tables_of_other_optimizers_are_settled():
    class Inner(keras.layers.Layer):
        def __init__(self):
            super().__init__()
            self.table = tf_helen.layers.Embedding({"a": ROWS}, 2)

        def call(self, ids):
            return keras.ops.reshape(self.table(ids), (-1, 2))

    inner, inputs = Inner(), keras.Input((1,), dtype="int32")
    model = tf_helen.Model(inputs, keras.layers.Dense(1)(inner(inputs)))
    model.compile(MAKES["AdamAR"](), "mse", run_eagerly=True)
    reader = tf_helen.Model(inputs, inner(inputs))
    inner.trainable = True
    start = reader.predict_on_batch(EVERY)
    for _ in range(3):
        model.train_on_batch(np.zeros((1, 1), np.int32), np.ones((1, 1)))
    np.testing.assert_array_equal(reader.predict_on_batch(EVERY)[1:], start[1:] * LEFT[2])
    inner.trainable = False
    np.testing.assert_array_equal(reader.get_weights()[0][1:], start[1:] * LEFT[2])


def test_what_cannot_know_of_the_decay_raises_until_it_is_told():
    model, _, item = joint(MAKES["AdamAR"](), keras.Model)
    item.predict_on_batch(EVERY)  # traced before there is a decay
    total = tf.function(lambda: tf.reduce_sum(table_of(item).embeddings.value))
    total()
    start = rows_of(item)
    step(model, 3)
    for call in (lambda: item.predict_on_batch(EVERY), total):
        with pytest.raises(tf.errors.InvalidArgumentError, match=r"pending.*tf_helen\.settle"):
            call()
    tf_helen.settle(item)
    np.testing.assert_array_equal(item.predict_on_batch(EVERY)[1:], start[1:] * LEFT[2])
    np.testing.assert_allclose(float(total()), rows_of(item).sum(), rtol=1e-6)
    step(model)
    with pytest.raises(tf.errors.InvalidArgumentError, match="pending"):
        item.predict_on_batch(EVERY)
    with pytest.raises(TypeError, match="Received: int"):
        tf_helen.settle(3)


def test_functions_traced_while_training_read_the_decay():
    model, _, item = joint(MAKES["AdamAR"](), keras.Model)
    start = rows_of(item)
    step(model, 2)
    layer = table_of(item)
    look_up = tf.function(lambda: layer(EVERY)[:, 0])
    whole = tf.function(lambda: layer.embeddings.value + 0)
    for left in LEFT[1:]:
        np.testing.assert_allclose(look_up()[1:], start[1:] * left, rtol=1e-6)
        np.testing.assert_allclose(whole()[1:], start[1:] * left, rtol=1e-6)
        step(model)


def test_two_optimizers_take_turns_on_one_table():
    """Each decays the rows for its own steps; neither uses outdated rows of the other."""
    towers = [tower(name) for name in "ab"]
    models = [joint(MAKES["AdamAR"](), towers=towers)[0] for _ in range(2)]
    plain = joint(tf_helen.SGD(0.0), towers=towers)[0]
    start = rows_of(towers[1])
    for model in (*models, plain) * 3:
        step(model)
        np.testing.assert_array_equal(rows_of(towers[1])[0], start[0])
    np.testing.assert_allclose(rows_of(towers[1])[1:], start[1:] * LEFT[2] ** 2, rtol=1e-6)
    np.testing.assert_allclose(towers[1].get_weights()[0], rows_of(towers[1]), rtol=1e-6)


@pytest.mark.parametrize("cls", [tf_helen.Model, keras.Model])
def test_what_is_assigned_in_the_middle_of_training_stays(cls):
    model, _, item = joint(MAKES["AdamAR"](), cls)
    layer = table_of(item)
    ones = np.ones((ROWS, 2), np.float32)
    for assign in (
        lambda: item.set_weights([ones]),
        lambda: layer.set_weights([ones]),
        lambda: layer.embeddings.assign(ones),
        lambda: layer.embeddings.value.scatter_update(tf.IndexedSlices(ones, np.arange(ROWS))),
    ):
        step(model, 3)
        assign()
        np.testing.assert_array_equal(rows_of(item), ones)
        np.testing.assert_array_equal(layer.get_weights()[0], ones)


def test_a_checkpoint_read_after_settling_is_read_with_its_decay(tmp_path):
    model, _, item = joint(MAKES["AdamAR"]())
    item.predict_on_batch(EVERY)
    start = rows_of(item)
    step(model, 3)
    checkpoint = tf.train.Checkpoint(model=model, optimizer=model.optimizer)
    path = checkpoint.write(str(tmp_path / "ck"))
    stored = tables.of(table_of(item).embeddings)
    step(model, 2)
    item.get_weights()
    assert int(stored.state.numpy()) < 0
    checkpoint.read(path).assert_consumed()
    np.testing.assert_array_equal(rows_of(item)[1:], start[1:] * LEFT[2])
    np.testing.assert_array_equal(item.predict_on_batch(EVERY)[1:], start[1:] * LEFT[2])


def test_a_lookup_has_the_gradient_of_a_plain_lookup():
    model, _, item = joint(MAKES["AdamAR"]())
    step(model, 3)
    layer = table_of(item)
    upstream = np.random.default_rng(0).normal(size=(ROWS, 1, 2)).astype(np.float32)

    def gradient():
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(layer(EVERY) * upstream)
        return tape.gradient(loss, layer.embeddings.value)

    for slices in (gradient(), tf.function(gradient)()):
        assert isinstance(slices, tf.IndexedSlices)
        np.testing.assert_array_equal(slices.values, upstream[:, 0])


def test_zeros_keep_their_sign_and_rows_their_bits():
    rows = tf.constant([[0.0, -0.0], [3.3, -7.7], [1e-38, 1e38]])
    factor = tf.constant([0.7, 0.3, 0.0])
    expected = rows.numpy() * factor.numpy()[:, None]
    for scaled in (tables._scaled, tf.function(tables._scaled)):
        assert scaled(rows, factor).numpy().tobytes() == expected.tobytes()
