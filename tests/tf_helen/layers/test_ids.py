"""Ids: integers give the right rows; other dtypes raise an error."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import tf_helen

Embedding = tf_helen.layers.Embedding
BIG = 2**24  # above it float32 knows only even numbers


def table(**lengths):
    return Embedding({"a": 9, "b": 5}, 2, lengths=lengths)


@pytest.mark.parametrize("dtype", ["bool", "int8", "uint8", "int16", "int64", "uint32", "uint64"])
def test_integers_of_any_width_are_ids(dtype):
    layer = table()
    ids = np.array([[0, 1], [1, 0]])
    layer.build()
    rows = layer.embeddings.numpy()[ids + np.array([0, 9])]
    np.testing.assert_array_equal(layer(ids.astype(dtype)), rows)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "complex64", "str", "object"])
def test_other_dtypes_are_named(dtype):
    ids = np.array([[0, 1]]).astype(dtype)
    with pytest.raises(TypeError, match=r"integer ids.*(float|complex|<U|object).*int32"):
        table()(ids)
    if dtype == "object":
        return
    with pytest.raises(TypeError, match=r"integer ids.*(float|complex|string).*int32"):
        table()(tf.constant(ids))
    with pytest.raises(TypeError, match=r"integer ids.*(float|complex|string).*int32"):
        tf.function(table())(tf.constant(ids))


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("policy", ["float32", "mixed_float16"])
def test_no_precision_of_the_layer_hides_the_dtype(policy, dtype):
    with pytest.raises(TypeError, match=dtype):
        Embedding(9, 2, dtype=policy)(np.array([[1.0]], dtype))


def test_symbolic_floats_are_refused_with_the_input_to_use():
    with pytest.raises(TypeError, match=r'float32.*keras\.Input\(\.\.\., dtype="int32"\)'):
        table()(keras.Input((2,)))
    with pytest.raises(TypeError, match=r"string.*StringLookup"):
        table()(keras.Input((2,), dtype="string"))


@pytest.mark.parametrize("pool", [True, False])
def test_symbolic_calls_have_the_shape_of_real_ones(pool):
    layer = table(a=3)
    symbolic = layer(keras.Input((4,), dtype="int32"), pool=pool)
    assert symbolic.shape[1:] == layer(np.zeros((1, 4), np.int32), pool=pool).shape[1:]


@pytest.mark.parametrize(("dtype", "shown"), [("uint32", 2**32 - 1), ("uint64", 2**63 - 1)])
def test_the_largest_unsigned_id_is_no_padding(dtype, shown):
    with pytest.raises(tf.errors.InvalidArgumentError, match=f"id {shown} of field `a`"):
        table(a=2)(np.array([[0, np.iinfo(dtype).max, 0]], dtype))


def test_sparse_and_ragged_ids_are_told_to_pad():
    with pytest.raises(TypeError, match=r"dense ids.*RaggedTensor.*-1"):
        Embedding(9, 2)(tf.ragged.constant([[1], [2, 3]]))


def functional(dtype):
    inputs = keras.Input((2,), dtype=dtype, name="ids")
    return tf_helen.Model(inputs, keras.layers.Flatten()(table()(inputs)))


def sequential(dtype):
    return tf_helen.Sequential(
        [keras.Input((2,), dtype=dtype, name="ids"), table(), keras.layers.Flatten()]
    )


@pytest.mark.parametrize("make", [functional, sequential])
def test_inputs_of_integers_refuse_what_keras_would_round(make):
    model = make("int32")
    ids = np.array([[1.0, 2.0]])
    with pytest.raises(TypeError, match=r"takes int32.*float64"):
        model(ids)
    with pytest.raises(TypeError, match=r"takes int32.*float32"):
        model.predict(ids, verbose=0)
    with pytest.raises(TypeError, match=r"takes int32.*float32"):
        model(keras.Input((2,)))
    model.compile("sgd", "mse")
    with pytest.raises(TypeError, match=r"takes int32.*float32"):
        model.fit(ids, np.zeros((1, 4)), verbose=0)
    expected = table_rows(model)[[1, 11]].reshape(1, 4)
    np.testing.assert_array_equal(model.predict(np.array([[1, 2]]), verbose=0), expected)


def table_rows(model):
    return next(w for w in model.get_weights() if w.shape == (14, 2))


@pytest.mark.parametrize("make", [functional, sequential])
def test_an_id_that_does_not_fit_the_input_is_an_error(make):
    """2^32 + 1 would become 1."""
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"does not fit int32.*int64"):
        make("int32")(np.array([[2**32 + 1, 0]]))
    with pytest.raises(tf.errors.InvalidArgumentError, match=f"id {2**32 + 1} of field `a`"):
        make("int64")(np.array([[2**32 + 1, 0]]))


@pytest.mark.parametrize("enabled", [False, True])
def test_a_sequential_without_an_input_keeps_large_ids_apart(enabled):
    layers = [Embedding({"ad": BIG + 64}, 1), keras.layers.Flatten()]
    model = tf_helen.enable(keras.Sequential(layers)) if enabled else tf_helen.Sequential(layers)
    ids = np.arange(BIG, BIG + 8).reshape(-1, 1)
    found = model.predict(ids, verbose=0)
    np.testing.assert_array_equal(found, layers[0].embeddings.numpy()[ids[:, 0]])


def test_a_sequential_of_keras_says_which_input_it_lacks():
    model = keras.Sequential([Embedding(9, 2), keras.layers.Flatten()])
    with pytest.raises(TypeError, match=r'float32.*keras\.Input\(\.\.\., dtype="int32"\)'):
        model(np.array([[1]]))


def layer_of_v0_1(rows=9):
    """As a file of version 0.1 describes it, whose models may have inputs of floats."""
    config = Embedding(rows, 2).get_config()
    del config["takes_floats"]
    return Embedding.from_config(config)


def test_models_of_old_files_take_whole_floats():
    layer = layer_of_v0_1()
    symbolic = keras.Input((2,))
    model = tf_helen.Model(symbolic, layer(symbolic))
    expected = layer.embeddings.numpy()[[[1, 8]]]
    np.testing.assert_array_equal(model.predict(np.array([[1, 8]]), verbose=0), expected)
    again = keras.models.clone_model(model)
    again.set_weights(model.get_weights())
    np.testing.assert_array_equal(again.predict(np.array([[1, 8]]), verbose=0), expected)
    with pytest.raises(tf.errors.InvalidArgumentError, match="not an integer"):
        layer(np.array([[1.5]]))
    assert not Embedding.from_config(Embedding(9, 2).get_config()).get_config()["takes_floats"]


def test_old_files_with_more_rows_than_floats_can_tell_apart_are_refused():
    with pytest.raises(TypeError, match="float32"):
        layer_of_v0_1(BIG + 1)(tf.constant([[1.0]]))
