"""The embedding layer: fields, pooling, range checks, the data for the optimizer."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from tensorflow.python.framework import function_def_to_graph

import tf_helen
from tf_helen.core import tables

FIELDS = {"user": 10, "genre": 5, "age": 3}


def test_fields_are_ranges_of_one_table():
    layer = tf_helen.layers.Embedding(FIELDS, 4)
    ids = np.array([[9, 4, 2], [0, 0, 0]])
    out = layer(ids)
    assert layer.embeddings.shape == (18, 4)
    np.testing.assert_array_equal(layer.offsets, [0, 10, 15, 18])
    np.testing.assert_array_equal(out, layer.embeddings.numpy()[[[9, 14, 17], [0, 10, 15]]])


def test_a_single_size_takes_any_shape():
    layer = tf_helen.layers.Embedding(7, 2)
    ids = np.array([[[1, 6], [0, 3]]])
    np.testing.assert_array_equal(layer(ids), layer.embeddings.numpy()[ids])
    assert layer(np.zeros((0, 3), np.int64)).shape == (0, 3, 2)
    symbolic = layer(keras.Input((3,), dtype="int32"))
    assert symbolic.shape == (None, 3, 2)


@pytest.mark.parametrize("pooling", ["mean", "sum"])
def test_multi_valued_fields_pool_what_is_present(pooling):
    layer = tf_helen.layers.Embedding(FIELDS, 4, lengths={"genre": 3}, pooling={"genre": pooling})
    ids = np.array([[1, 4, 0, -1, 2], [3, -1, -1, -1, 0]])
    out = np.array(layer(ids))
    table = layer.embeddings.numpy()
    reduce = np.mean if pooling == "mean" else np.sum
    np.testing.assert_allclose(out[0, 1], reduce(table[[14, 10]], axis=0), rtol=1e-6)
    np.testing.assert_array_equal(out[1, 1], np.zeros(4))
    np.testing.assert_array_equal(out[:, 0], table[[1, 3]])
    np.testing.assert_array_equal(out[:, 2], table[[17, 15]])


@pytest.mark.parametrize("lengths", [(2, 2, 3), (1, 2, 1), (2, 1, 1), (3, 1, 2), (1, 1, 2)])
def test_fields_of_one_and_of_several_ids_stand_in_any_order(lengths):
    lengths = dict(zip(FIELDS, lengths, strict=True))
    pooling = {"user": "sum", "genre": "mean", "age": "sum"}
    layer = tf_helen.layers.Embedding(FIELDS, 4, lengths=lengths, pooling=pooling)
    rng = np.random.default_rng(0)
    columns = [
        rng.integers(-(length > 1), FIELDS[name], (6, length)) for name, length in lengths.items()
    ]
    ids = np.concatenate(columns, axis=1)
    pooled, apart = np.array(layer(ids)), np.array(layer(ids, pool=False))
    first_rows = np.repeat(layer.offsets[:-1], list(lengths.values()))
    expected = np.where(ids[..., None] < 0, 0, layer.embeddings.numpy()[ids + first_rows])
    np.testing.assert_array_equal(apart, expected)
    ends = np.cumsum(list(lengths.values()))
    for place, (name, end) in enumerate(zip(lengths, ends, strict=True)):
        field = slice(end - lengths[name], end)
        count = np.maximum((ids[:, field] >= 0).sum(1, keepdims=True), 1)
        total = expected[:, field].sum(1) / (count if pooling[name] == "mean" else 1)
        np.testing.assert_allclose(pooled[:, place], total, rtol=1e-6)
    assert layer(ids[:0]).shape == (0, 3, 4)
    assert layer(keras.Input((ids.shape[1],), dtype="int64")).shape == (None, 3, 4)


def test_padding_is_not_an_occurrence():
    layer = tf_helen.layers.Embedding(FIELDS, 4, lengths={"genre": 3})
    ids = np.array([[1, 4, 0, -1, 2], [1, -1, -1, -1, 0]])
    layer(ids)
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(layer(ids))
    gradient = tape.gradient(loss, layer.embeddings)
    assert isinstance(gradient, tf.IndexedSlices)
    rows, counts = np.unique(gradient.indices.numpy(), return_counts=True)
    assert dict(zip(rows, counts, strict=True)) == {1: 2, 10: 1, 14: 1, 15: 1, 17: 1}


BAD_IDS = [
    (["user", "genre", "age"], {}, [[0, 0, 0], [10, 0, 0]], "id 10 of field `user`.*\\[0, 10\\)"),
    (["user", "genre", "age"], {}, [[0, 5, 0]], "id 5 of field `genre`.*\\[0, 5\\)"),
    (["user", "genre", "age"], {}, [[0, 0, -1]], "id -1 of field `age`.*\\[0, 3\\)"),
    (["genre"], {"genre": 2}, [[1, -2]], "id -2 of field `genre`.*\\[0, 5\\)"),
]


@pytest.mark.parametrize("graph", [False, True])
@pytest.mark.parametrize("names,lengths,ids,message", BAD_IDS)
def test_an_id_out_of_range_names_field_id_and_size(names, lengths, ids, message, graph):
    layer = tf_helen.layers.Embedding({n: FIELDS[n] for n in names}, 4, lengths=lengths)
    layer.build()
    call = tf.function(layer) if graph else layer
    # in a graph TensorFlow puts the Python stack, with its newlines, before the message
    with pytest.raises(tf.errors.InvalidArgumentError, match=f"(?s).*{message}"):
        call(tf.constant(ids))


@pytest.mark.parametrize(
    "arguments,message",
    [
        ({"fields": {"a": 0}, "output_dim": 2}, r"fields\['a'\].*0"),
        ({"fields": {}, "output_dim": 2}, "at least one field"),
        ({"fields": {"a": 3}, "output_dim": 0}, "output_dim.*0"),
        ({"fields": {"a": 3}, "output_dim": 2, "lengths": {"b": 2}}, "unknown fields.*b.*Known: a"),
        ({"fields": {"a": 3}, "output_dim": 2, "lengths": {"a": 0}}, "lengths"),
        ({"fields": {"a": 3}, "output_dim": 2, "pooling": "max"}, "mean.*sum"),
        ({"fields": {"a": 3}, "output_dim": 2, "l2": -1.0}, "l2.*-1"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        tf_helen.layers.Embedding(**arguments)


def test_wrong_number_of_columns():
    with pytest.raises(ValueError, match="3 columns"):
        tf_helen.layers.Embedding(FIELDS, 4)(np.zeros((2, 4), np.int32))


def test_l2_counts_each_looked_up_row_once():
    layer = tf_helen.layers.Embedding({"a": 6}, 3, l2=0.5)
    ids = np.array([[1], [1], [4]])
    layer(ids, training=False)
    assert layer.losses == []
    with tf.GradientTape() as tape:
        layer(ids, training=True)
        (penalty,) = layer.losses
    table = layer.embeddings.numpy()
    np.testing.assert_allclose(penalty, 0.5 * np.sum(table[[1, 4]] ** 2), rtol=1e-5)
    gradient = tape.gradient(penalty, layer.embeddings)
    assert isinstance(gradient, tf.IndexedSlices)
    dense = np.zeros_like(table)
    np.add.at(dense, gradient.indices.numpy(), gradient.values.numpy())
    expected = np.zeros_like(table)
    expected[[1, 4]] = table[[1, 4]]
    np.testing.assert_allclose(dense, expected, rtol=1e-5)


def test_config_round_trip():
    layer = tf_helen.layers.Embedding(
        FIELDS,
        4,
        lengths={"genre": 2},
        pooling={"genre": "sum"},
        l2=0.1,
        embeddings_initializer=keras.initializers.RandomNormal(stddev=0.01),
    )
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    assert again.get_config() == layer.get_config()
    single = tf_helen.layers.Embedding(5, 2)
    assert type(single).from_config(single.get_config()).single


def whole_tables_in_a_step(optimizer, cls=tf_helen.Model, rows=1000):
    """Names of the operations of a train step whose result is as long as the table."""
    inputs = keras.Input((1,), dtype="int32")
    x = tf_helen.layers.Embedding({"a": rows}, 4, l2=0.1)(inputs)
    model = cls(inputs, keras.layers.Dense(1)(keras.layers.Flatten()(x)))
    model.compile(optimizer, "mse")
    optimizer.build(model.trainable_variables)
    step = tf.function(lambda x, y: model.train_step((x, y)))
    specs = tf.TensorSpec([8, 1], tf.int32), tf.TensorSpec([8, 1])
    graph = step.get_concrete_function(*specs).graph
    branches = graph.as_graph_def().library.function
    graphs = [graph, *map(function_def_to_graph.function_def_to_graph, branches)]
    return [
        operation.name
        for each in graphs
        for operation in each.get_operations()
        for output in operation.outputs
        if output.shape.rank and output.shape[0] == rows
    ]


STEPS = {
    "SGD": lambda: tf_helen.SGD(),
    "Momentum": lambda: tf_helen.Momentum(),
    "Adagrad": lambda: tf_helen.Adagrad(coupled_weight_decay=0.1),
    "Adam": lambda: tf_helen.Adam(weight_decay=0.1, global_clipnorm=1.0),
    "AdamAR": lambda: tf_helen.AdamAR(),
    "SAM": lambda: tf_helen.SAM(),
    "ASAM": lambda: tf_helen.ASAM(),
    "Helen": lambda: tf_helen.Helen(frequency="running", base_optimizer=tf_helen.AdamAR()),
}


@pytest.mark.parametrize("scaled", [False, True])
@pytest.mark.parametrize("name", STEPS)
def test_no_op_of_a_train_step_is_as_large_as_the_table(name, scaled):
    optimizer = STEPS[name]()
    if scaled:
        optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
    assert whole_tables_in_a_step(optimizer) == []


def test_keras_own_steps_are_as_large_as_the_table():
    assert whole_tables_in_a_step(keras.optimizers.Adam())
    scaled = keras.optimizers.LossScaleOptimizer(tf_helen.Adam())
    assert whole_tables_in_a_step(scaled, keras.Model)


def test_helen_learns_the_fields():
    layer = tf_helen.layers.Embedding(FIELDS, 4)
    layer.build()
    table = tables.of(layer.embeddings)
    np.testing.assert_array_equal(
        table.group.field_of_rows(tf.constant([0, 9, 10, 14, 15])), [0, 0, 1, 1, 2]
    )


def test_a_field_may_share_the_rows_of_another():
    layer = tf_helen.layers.Embedding(
        {"past": 5, "item": 5, "user": 3}, 2, lengths={"past": 3}, shared={"past": "item"}
    )
    ids = np.array([[4, 1, -1, 4, 2], [-1, -1, -1, 0, 1]])
    pooled = layer(ids).numpy()
    table = layer.embeddings.numpy()
    assert table.shape == (8, 2) and layer.offsets.tolist() == [0, 5, 8]
    np.testing.assert_allclose(pooled[0], [(table[4] + table[1]) / 2, table[4], table[7]], 1e-6)
    columns = layer(ids, pool=False).numpy()
    np.testing.assert_array_equal(columns[0], [table[4], table[1], [0, 0], table[4], table[7]])
    np.testing.assert_array_equal(columns[1], [[0, 0]] * 3 + [table[0], table[6]])
    again = tf_helen.layers.Embedding.from_config(layer.get_config())
    assert again.shared == {"past": "item"}
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(layer(ids)[0])
    gradient = tape.gradient(loss, layer.embeddings.value)
    counts = np.bincount(gradient.indices.numpy(), minlength=8)
    assert counts.tolist() == [1, 1, 0, 0, 2, 0, 1, 1]


@pytest.mark.parametrize(
    ("shared", "words"),
    [
        ({"past": "itme"}, "'past' to 'itme'"),
        ({"past": "user"}, "'past' has 5 ids, 'user' 3"),
        ({"past": "item", "item": "past"}, "with its own rows"),
    ],
)
def test_sharing_that_cannot_be_is_named(shared, words):
    with pytest.raises(ValueError, match=words):
        tf_helen.layers.Embedding({"past": 5, "item": 5, "user": 3}, 2, shared=shared)
