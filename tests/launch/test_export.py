"""SavedModels of every kind of column score raw features as the model scores encoded ones."""

import csv
import os

import numpy as np
import pytest
import tensorflow as tf
from killed import at_every_change

import zoo
from launch.predict import predict
from zoo.data import folders
from zoo.data.files import write_text
from zoo.data.vocabulary import save_vocabulary
from zoo.serving.encoding import hash_ids
from zoo.serving.export import export_saved_model

SCHEMA = zoo.Schema(
    "served",
    [
        zoo.Categorical("user", 4),
        zoo.Categorical("site.id", 4, missing="bucket"),
        zoo.Categorical("tags", 4, length=3, separator=", "),
        zoo.Categorical("device", 20, encoding="hash", missing="bucket"),
        zoo.Categorical("words", 30, encoding="hash", length=2, separator=" "),
        zoo.Categorical("age", encoding="buckets", boundaries=(18, 65)),
        zoo.Categorical("I1", 4, encoding="log_square", missing="bucket"),
    ],
    [
        zoo.Numeric("price", mean=3.0, std=2.0),
        zoo.Numeric("amount", mean=2.0, std=0.5, transform="log"),
        zoo.Numeric("share", transform="none"),
    ],
    label="click",
    weight="importance",
    group="user",
    time="seen",
)
VOCABULARIES = {
    "user": ["<oov>", "ann", "b b", "7"],
    "site.id": ["<oov>", "", "x.com", "y.com"],
    "tags": ["<oov>", "rock", "pop", "a,b"],
    "I1": ["<oov>", "", "5", "-1"],
}
NAN = float("nan")
# user, site.id, tags, device, words, age, I1, price, amount, share
ROWS = [
    ("ann", "x.com", "rock, a,b", "phone", "one two", "18", "10", 1.0, 7.0, 0.5),
    ("b\tb", "", "", "", "", "", "", NAN, NAN, NAN),
    (
        "bob",
        "z.com",
        "jazz, , rock, pop, rock",
        "tv",
        " one  one ",
        "64.9",
        "-1.9",
        -1.0,
        -3.0,
        0.1,
    ),
    ("", "y.com", "pop", "", "two", "99", "none", 1e6, 1e9, float("inf")),
]
IDS = [
    [[1], [2], [1, 3, -1], ["phone"], ["one", "two"], [2], [2]],
    [[2], [1], [-1, -1, -1], [""], [None, None], [0], [1]],
    [[0], [0], [0, 1, 2], ["tv"], ["one", "one"], [2], [3]],
    [[0], [3], [2, -1, -1], [""], ["two", None], [3], [1]],
]


def encoded():
    """The features of `ROWS`, from the tables above."""
    ids = []
    for row in IDS:
        flat = []
        for field, values in zip(SCHEMA.categorical, row, strict=True):
            for value in values:
                is_text = isinstance(value, str)
                flat.append(
                    hash_ids(field, [value])[0] if is_text else -1 if value is None else value
                )
        ids.append(flat)
    numbers = np.array([row[7:] for row in ROWS])
    missing = [column.missing_value for column in SCHEMA.numeric]
    return {
        "ids": np.array(ids, np.int32),
        "numeric": np.where(np.isfinite(numbers), numbers, missing).astype(np.float32),
    }


def column_names():
    return [column.name for column in (*SCHEMA.categorical, *SCHEMA.numeric)]


@pytest.fixture(scope="module", params=["local", "remote"])
def served(request, tmp_path_factory):
    folder = str(tmp_path_factory.mktemp("served"))
    if request.param == "remote":
        folder = f"ram:/{folder}"  # TensorFlow's file system in memory
    SCHEMA.save(folder)
    for name, values in VOCABULARIES.items():
        save_vocabulary(folder, name, values, np.ones(len(values), np.int64))
    for name in ("device", "words"):  # counts only: nothing may be looked up here
        size = SCHEMA.field_sizes[name]
        names = ["<oov>", *(f"#{i}" for i in range(1, size))]
        save_vocabulary(folder, name, names, np.ones(size, np.int64))
    model = zoo.DeepFM(SCHEMA, embedding_dim=3, hidden_units=(4,))
    rng = np.random.default_rng(0)
    for weight in model.weights:
        weight.assign(rng.normal(0, 0.5, weight.shape))
    logits = model(encoded()).numpy()[:, 0].astype(np.float64)
    for _ in range(2):  # the second replaces the first
        out = export_saved_model(model, folder, f"{folder}/out")
    assert not [name for name in tf.io.gfile.listdir(folder) if "partial" in name]
    return out, tf.saved_model.load(out), 1 / (1 + np.exp(-logits))


def test_columns_of_every_kind_score_as_their_ids_and_numbers_do(served):
    _, loaded, expected = served
    serve = loaded.signatures["serving_default"]
    raw = {}
    for place, name in enumerate(column_names()):
        kind = tf.string if place < len(SCHEMA.categorical) else tf.float32
        raw[name.replace(".", "_")] = tf.constant([row[place] for row in ROWS], kind)
    assert set(serve.structured_input_signature[1]) == set(raw)  # no weight, group or time
    assert np.ptp(expected) > 0.1
    np.testing.assert_allclose(serve(**raw)["probability"], expected, atol=1e-6)


def test_rows_of_a_file_score_alike(served, tmp_path):
    # As a spreadsheet writes it: with a byte order mark before the first name.
    with open(tmp_path / "rows.csv", "w", encoding="utf-8-sig", newline="") as file:
        csv.writer(file).writerows([column_names(), *ROWS])
    found = list(predict(served[0], str(tmp_path / "rows.csv")))
    np.testing.assert_allclose(found, served[2], atol=1e-6)


def test_examples_score_alike_with_values_in_lists_or_left_out(served):
    _, loaded, expected = served
    examples = []
    for row in ROWS:
        feature = {}
        for name, value in zip(column_names(), row, strict=True):
            if isinstance(value, float):
                if np.isfinite(value):
                    feature[name] = tf.train.Feature(float_list=tf.train.FloatList(value=[value]))
                continue
            field = next(f for f in SCHEMA.categorical if f.name == name)
            values = value.split(field.separator) if field.length > 1 else [value]
            if value:
                content = tf.train.BytesList(value=[v.encode() for v in values])
                feature[name] = tf.train.Feature(bytes_list=content)
        features = tf.train.Features(feature=feature)
        examples.append(tf.train.Example(features=features).SerializeToString())
    found = loaded.signatures["examples"](examples=tf.constant(examples))["probability"]
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_only_vocabularies_that_are_looked_up_travel_along(served):
    names = [name.removesuffix(".tsv") for name in tf.io.gfile.listdir(f"{served[0]}/assets")]
    assert sorted(names) == sorted(VOCABULARIES)


def assert_whole(saved):
    for name in ("saved_model.pb", "variables/variables.index", "assets/user.tsv"):
        assert tf.io.gfile.exists(f"{saved}/{name}"), name


@pytest.fixture
def small(tmp_path):
    """A model and the folder of its vocabulary."""
    schema = zoo.Schema("small", [zoo.Categorical("user", 3)])
    save_vocabulary(str(tmp_path / "data"), "user", ["<oov>", "ann", "bob"], np.ones(3, np.int64))
    return zoo.LR(schema), str(tmp_path / "data")


def test_an_export_that_is_killed_leaves_the_one_before(small, tmp_path, monkeypatch):
    out = str(tmp_path / "served")
    export_saved_model(*small, out)
    ended = 0
    for _ in at_every_change(monkeypatch, lambda: export_saved_model(*small, out)):
        assert_whole(out)
        ended += 1
    assert ended
    export_saved_model(*small, out)
    assert_whole(out)
    assert sorted(os.listdir(tmp_path)) == ["data", "served"]


@pytest.mark.slow
def test_where_names_cannot_be_exchanged_the_one_before_is_found_too(small, tmp_path, monkeypatch):
    monkeypatch.setattr(folders, "exchange", lambda one, other: False)
    out = str(tmp_path / "served")
    (tmp_path / "rows.csv").write_text("user\nann\n")
    export_saved_model(*small, out)
    for _ in at_every_change(monkeypatch, lambda: export_saved_model(*small, out)):
        assert list(predict(out, str(tmp_path / "rows.csv"))) == [0.5]
        export_saved_model(*small, out)
        assert_whole(out)
    assert sorted(os.listdir(tmp_path)) == ["data", "rows.csv", "served"]


def test_remains_of_an_export_that_an_older_version_left_are_replaced(small, tmp_path):
    # It removed the older SavedModel, here the half, and was killed before the newer had the name.
    out = str(tmp_path / "served")
    export_saved_model(*small, str(tmp_path / ".served.partial"))
    write_text(f"{out}/assets/user.tsv", "")
    export_saved_model(*small, out)
    assert_whole(out)
    assert sorted(os.listdir(tmp_path)) == ["data", "served"]


def test_a_folder_of_something_else_is_kept(small, tmp_path):
    write_text(str(tmp_path / "mine/thesis.txt"), "mine")
    with pytest.raises(ValueError, match="mine holds files other than a SavedModel"):
        export_saved_model(*small, str(tmp_path / "mine"))
    assert (tmp_path / "mine/thesis.txt").exists()
