"""Columns of any name that a schema allows are prepared, trained, exported and served."""

import csv
import keyword

import numpy as np
import pytest
import tensorflow as tf

import zoo
from launch.predict import predict
from zoo.data.vocabulary import OOV, save_vocabulary
from zoo.serving.encoding import hash_ids
from zoo.serving.export import export_saved_model
from zoo.serving.input_names import input_names

FIELDS = [
    *sorted(keyword.kwlist),
    *("self", "cls", "args", "kwargs", "name", "training", "inputs", "examples", "print", "match"),
    *("ids", "numeric", "weight", "group", "columns", "tables", "variables", "signatures"),
    *("serving_default", "probability", "user", "User", "USER", "a.b", "a-b", "a_b", "a_b_2"),
    *("7", "007", "0x", "_", "__", "_user", "__init__", "__class__", "con", "NUL", "aux.x", "x."),
    *("column_class", "column_self", "None_", "con.tsv", "tf", "shape", "dtype", "values", "keys"),
    "long" * 75,
    "long" * 75 + "er",
]
NUMBERS = ["column_7", "lambda_", "price", "__call__", "function", "column_lambda"]
LOOKED_UP = ["self", "class", "user", "User", "a.b", "a-b", "con", "con.tsv", *FIELDS[-2:]]
WORDS = [OOV, "x", "y"]


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """A SavedModel whose columns have such names, rows of raw values, and their scores."""
    folder = tmp_path_factory.mktemp("names")
    fields = [
        zoo.Categorical(name, 3, encoding="vocabulary" if name in LOOKED_UP else "hash")
        for name in FIELDS
    ]
    schema = zoo.Schema("names", fields, [zoo.Numeric(name) for name in NUMBERS])
    for name in LOOKED_UP:
        save_vocabulary(folder, name, WORDS, np.zeros(len(WORDS), np.int64))
    random = np.random.default_rng(0)
    texts = np.array(["", "x", "y"])[random.integers(0, 3, (8, len(FIELDS)))]
    columns = [
        hash_ids(field, column)
        if field.encoding == "hash"
        else [WORDS.index(x or OOV) for x in column]
        for field, column in zip(fields, texts.T.tolist(), strict=True)
    ]
    ids = np.stack(columns, axis=1)
    numbers = random.normal(size=(8, len(NUMBERS))).astype(np.float32)
    keep = zoo.write_tfrecords(
        folder, schema, "train", [{"ids": ids, "numeric": numbers, "label": np.arange(8) % 2}],
        layout="columns",
    )  # fmt: skip
    assert keep.total_rows == 8
    model = zoo.get("lr")(schema)
    model.compile("sgd", tf.keras.losses.BinaryCrossentropy(from_logits=True))
    model.fit(zoo.read_tfrecords(folder, "train", batch_size=8), epochs=3, verbose=0)
    export_saved_model(model, str(folder), str(folder / "served"))
    scores = tf.sigmoid(model({"ids": ids, "numeric": numbers}))[:, 0].numpy()
    assert len(np.unique(scores)) == 8
    rows = [
        [*row, *map(repr, map(float, numeric))]
        for row, numeric in zip(texts.tolist(), numbers, strict=True)
    ]
    return str(folder / "served"), rows, scores


def write(path, header, rows):
    with open(path, "w", newline="") as file:
        csv.writer(file).writerows([header, *rows])
    return str(path)


def test_a_csv_file_names_the_columns_as_the_schema_does(served, tmp_path):
    saved_model, rows, scores = served
    header = [*FIELDS, *NUMBERS]
    order = np.random.default_rng(1).permutation(len(header))
    path = write(
        tmp_path / "rows.csv",
        ["label", *(header[i] for i in order)],
        [["1", *(row[i] for i in order)] for row in rows],
    )
    np.testing.assert_allclose(list(predict(saved_model, path)), scores, rtol=1e-5)


def test_a_csv_file_may_name_the_inputs(served, tmp_path):
    saved_model, rows, scores = served
    names = input_names([*FIELDS, *NUMBERS])
    # Where one column has the name of another one's input, it is that column.
    header = [n if n not in names or names[n] == n else c for c, n in names.items()]
    path = write(tmp_path / "rows.csv", header, rows)
    np.testing.assert_allclose(list(predict(saved_model, path)), scores, rtol=1e-5)


def test_examples_name_the_columns_as_the_schema_does(served):
    saved_model, rows, scores = served
    loaded = tf.saved_model.load(saved_model)
    serialized = []
    for row in rows:
        example = tf.train.Example()
        for name, value in zip(FIELDS, row, strict=False):
            example.features.feature[name].bytes_list.value.append(value.encode())
        for name, value in zip(NUMBERS, row[len(FIELDS) :], strict=True):
            example.features.feature[name].float_list.value.append(float(value))
        serialized.append(example.SerializeToString())
    found = loaded.signatures["examples"](tf.constant(serialized))["probability"]
    np.testing.assert_allclose(found, scores, rtol=1e-5)


def test_inputs_have_plain_names_that_all_differ(served):
    saved_model, _, _ = served
    serve = tf.saved_model.load(saved_model).signatures["serving_default"]
    names = input_names([*FIELDS, *NUMBERS])
    assert set(serve.structured_input_signature[1]) == set(names.values())
    assert len({name.lower() for name in names.values()}) == len(FIELDS) + len(NUMBERS)
    assert all(name.isidentifier() and not keyword.iskeyword(name) for name in names.values())
    expected = {"user": "user", "User": "User_2", "USER": "USER_3", "class": "column_class_2"}
    expected |= {"a_b": "a_b", "a_b_2": "a_b_2", "a-b": "a_b_4", "7": "column_7_2"}
    assert {name: names[name] for name in expected} == expected


def test_a_missing_column_is_named_as_in_the_schema(served, tmp_path):
    saved_model, rows, _ = served
    path = write(tmp_path / "rows.csv", FIELDS, [row[: len(FIELDS)] for row in rows])
    with pytest.raises(ValueError, match=r"lacks the columns .*__call__.*; the model needs"):
        list(predict(saved_model, path))
    header = [*FIELDS, *NUMBERS]
    place = header.index("__call__")
    row = [*rows[0][:place], "x", *rows[0][place + 1 :]]
    path = write(tmp_path / "text.csv", header, [row, [*row[:place], "", *row[place + 1 :]]])
    text, empty = predict(saved_model, path)
    assert text == empty  # as in the preparation, where no number is a missing one
