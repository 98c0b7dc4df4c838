"""Rows of a file are read alike by the preparation, `launch.predict` and a served model."""

import csv
import functools
import io
import json
import os
from collections import Counter

import numpy as np
import polars as pl
import pytest
import tensorflow as tf
from absl.testing import flagsaver
from command_flags import defined_flags
from hypothesis import assume, example, given
from hypothesis import strategies as st
from properties import examples

import launch.predict
import zoo
from launch.datasets import own_table
from launch.datasets.damaged_rows import damage, damaged_rows, lines_of
from launch.datasets.raw import Options, RawData, RowAccount
from launch.datasets.tables import table_rows
from launch.predict import predict
from launch.preparation.encoding import RowEncoder
from launch.preparation.rows import sliced_rows
from launch.prepare import prepare
from zoo.data.vocabulary import save_vocabulary
from zoo.serving.export import export_saved_model

FIELDS = [
    zoo.Categorical("user", 5, missing="bucket"),
    zoo.Categorical("tags", 4, length=2),
    zoo.Categorical("ip", 50, encoding="hash", missing="bucket"),
    zoo.Categorical("age", encoding="buckets", boundaries=(0.7, 18.0)),
    zoo.Categorical("visits", 4, encoding="log_square", missing="bucket"),
]
SCHEMA = zoo.Schema(
    "read", FIELDS, [zoo.Numeric("price", mean=3.0, std=2.0), zoo.Numeric("ctr", transform="none")]
)
VOCABULARIES = {
    "user": ["<oov>", "", "ann", "true", "NULL"],
    "tags": ["<oov>", "a", "b", "x y"],
    "visits": ["<oov>", "", "5", "-1"],
}
NAMES = [column.name for column in SCHEMA.columns]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A model, its export, and the encoder of the preparation."""
    folder = str(tmp_path_factory.mktemp("read"))
    SCHEMA.save(folder)
    for name, words in VOCABULARIES.items():
        save_vocabulary(folder, name, words, np.ones(len(words), np.int64))
    made = zoo.LR(SCHEMA)
    rng = np.random.default_rng(0)
    for weight in made.weights:
        if weight.dtype.startswith("float"):
            weight.assign(rng.normal(0, 0.5, weight.shape))
    words = {name: pl.Series(values) for name, values in VOCABULARIES.items()}
    return made, export_saved_model(made, folder, f"{folder}/served"), RowEncoder(SCHEMA, words)


def prepared(encoder, path):
    """What `launch.prepare` encodes of a file, and its counts."""
    account = RowAccount()
    raw = RawData(SCHEMA, {"train": table_rows([str(path)])})
    parts = [encoder.encode(part) for _, part in sliced_rows(raw, account)]
    return parts[0] if parts else None, account


@functools.cache
def scorer(made):
    """A graph of the model, traced once."""
    return tf.function(
        lambda features: tf.sigmoid(tf.reshape(made(features, training=False), [-1])),
        reduce_retracing=True,
    )


def scores_of(made, batch, folder):
    """Scores of encoded rows as the reader of the training gives them, and their features."""
    zoo.write_tfrecords(folder, SCHEMA, "train", [batch])
    (read,) = zoo.read_tfrecords(folder, "train", batch_size=len(batch["label"]))
    return scorer(made)(read[0]).numpy(), read[0]


def served_scores(loaded, frame):
    """Scores of the texts and numbers of a file's rows, as two clients would send them."""
    raw = {name: frame[name].to_list() for name in NAMES[: len(FIELDS)]}
    for name in NAMES[len(FIELDS) :]:
        values = frame[name].str.strip_chars().cast(pl.Float64, strict=False)
        numbers = values.fill_null(float("nan")).to_numpy()
        with np.errstate(over="ignore"):
            numbers = np.where(np.abs(numbers) < 2.0**-126, 0, numbers).astype(np.float32)
        raw[name] = numbers
    serialized = []
    for row in zip(*raw.values(), strict=True):
        example = tf.train.Example()
        for name, value in zip(NAMES, row, strict=True):
            feature = example.features.feature[name]
            if not isinstance(value, str):
                feature.float_list.value.append(value)
            else:
                values = value.split("|") if name == "tags" else [value]
                feature.bytes_list.value.extend(each.encode() for each in values)
        serialized.append(example.SerializeToString())
    tensors = {name: tf.constant(values) for name, values in raw.items()}
    return [
        loaded.signatures["serving_default"](**tensors)["probability"].numpy().tolist(),
        loaded.signatures["serve_examples"](tf.constant(serialized))["probability"]
        .numpy()
        .tolist(),
    ]


VALUES = st.one_of(
    st.sampled_from(["", "ann", "true", "True", "NULL", "NA", "a|b", "a||x y|b", " 5", "nan"]),
    st.sampled_from(["2_0", "20", "0x10", "1e39", "1e999", "-inf", "17.999", "0.7", "1e-40", "٣"]),
    st.floats(allow_nan=False, width=32).map(str),
    st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=4),
)
ROWS = st.lists(
    st.tuples(
        st.lists(VALUES, min_size=len(NAMES), max_size=len(NAMES)),
        st.sampled_from(["", "", "", "long", "short", "bytes"]),
    ),
    min_size=1,
    max_size=12,
)


def write(path, rows):
    """Writes rows as CSV; returns the damaged ones, and the line of each row."""
    content, damaged, lines, line = [b"label," + ",".join(NAMES).encode() + b"\n"], [], [], 2
    for number, (values, kind) in enumerate(rows):
        values = [value.replace("\r", "\n") for value in values]
        if kind:
            damaged.append(number)
            # Within damaged rows, a quotation mark would join lines.
            values = [value.replace('"', "").replace("\n", "") for value in values]
        values = {"long": [*values, "1"], "short": values[:-1]}.get(kind, values)
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerow(["1", *values])
        text = text.getvalue().encode()
        if kind == "bytes":
            text = text[:-1] + b"\xff\n"
        content.append(text)
        lines.append(line)
        line += text.count(b"\n")
    path.write_bytes(b"".join(content))
    return damaged, lines


def test_every_reader_gives_the_same_bits_and_names_the_same_rows(
    model, tmp_path_factory, monkeypatch
):
    made, saved, encoder = model
    loaded = tf.saved_model.load(saved)
    vocabularies = os.path.dirname(saved)
    monkeypatch.setattr(tf.saved_model, "load", lambda folder: loaded)  # takes most of the time

    @examples(6)
    @given(rows=ROWS)
    @example([(["NULL", "NA", "2_0", "2_0", "2_0", "NULL", "NA"], "")])
    @example([(["True", "a", "1", "1", "1", "2_0", " 1.5 "], ""), (["a"] * 7, "bytes")])
    @example([(["ann", "b", "", "20", "", "1", "x"], k) for k in ("short", "", "long", "")])
    def agree(rows):
        folder = tmp_path_factory.mktemp("rows")
        path = folder / "rows.csv"
        damaged, lines = write(path, rows)
        batch, account = prepared(encoder, path)
        assert account.total_damaged == len(damaged)
        found = damaged_rows(str(path))
        assert list(found) == damaged
        assert lines_of(str(path), range(len(rows))) == dict(enumerate(lines))
        if damaged:
            with pytest.raises(ValueError, match=rf"rows\.csv, line {lines[damaged[0]]}: "):
                list(predict(saved, str(path)))
        predicted = list(predict(saved, str(path), damaged="empty"))
        assert [place for place, score in enumerate(predicted) if score is None] == damaged
        assume(batch is not None)
        trained, features = scores_of(made, batch, str(folder))
        assert [score for score in predicted if score is not None] == trained.tolist()
        (frame,) = table_rows([str(path)])(RowAccount())
        assert served_scores(loaded, frame) == [trained.tolist()] * 2
        ((streamed, _),) = zoo.read_stream(frame.to_dicts(), vocabularies, SCHEMA)
        for name, values in features.items():
            np.testing.assert_array_equal(streamed[name], values)
        by_ids = loaded.signatures["serve_ids"](**features)["probability"]
        assert by_ids.numpy().tolist() == trained.tolist()

    agree()


def test_columns_of_parquet_files_are_read_as_their_texts(model, tmp_path):
    made, saved, encoder = model
    frame = pl.DataFrame(
        {
            "label": [1, 0, 1],
            "user": [True, None, False],
            "tags": [["a", "b"], [None, "x y"], []],
            "ip": [7, None, 8],
            "age": pl.Series([0.7, 18.0, None], dtype=pl.Float32),
            "visits": [20.0, float("nan"), -1.0],
            "price": pl.Series([0.1, None, float("inf")], dtype=pl.Float32),
            "ctr": [True, False, None],
        }
    )
    frame.write_parquet(tmp_path / "rows.parquet")
    batch, _ = prepared(encoder, tmp_path / "rows.parquet")
    # `true` is the text of the boolean, 0.7 is not below the boundary .7.
    assert batch["ids"][:, 0].tolist() == [3, 1, 0] and batch["ids"][:, 4].tolist() == [2, 3, 0]
    found = list(predict(saved, str(tmp_path / "rows.parquet")))
    assert found == scores_of(made, batch, str(tmp_path))[0].tolist()


@pytest.fixture
def defined():
    """The command's flags."""
    yield from defined_flags(launch.predict)


def test_the_command_writes_nothing_before_a_damaged_row(model, tmp_path, capsys, defined):
    path = tmp_path / "rows.csv"
    rows = [(["ann", "a", "1", "20", "", "NULL", "0.5"], ""), (["ann"] * 7, "short")]
    write(path, [rows[0]] * 3 + [rows[1]] + [rows[0]] * 2 + [rows[1]])
    flags_ = {"saved_model": model[1], "input": str(path)}
    with flagsaver.flagsaver(**flags_), pytest.raises(ValueError) as error:
        launch.predict._main(["predict"])
    message = str(error.value)
    assert "line 5: wrong number of columns (7, the header has 8)" in message
    assert "2 rows are damaged, in the lines 5, 8; correct the file, or pass --dam" in message
    assert capsys.readouterr().out == ""
    out = str(tmp_path / "scores.csv")
    with flagsaver.flagsaver(**flags_, damaged="empty", output=out):
        launch.predict._main(["predict"])
    lines = (tmp_path / "scores.csv").read_text().splitlines()
    assert lines[0] == "probability" and [line == "" for line in lines[1:]] == [
        *[False] * 3, True, False, False, True,
    ]  # fmt: skip
    noted = capsys.readouterr().err
    assert noted == "5 values of price that are not finite numbers, treated as missing\n"


def test_columns_of_a_header_are_not_mixed_up(model, tmp_path):
    _, saved, _ = model
    path = tmp_path / "rows.csv"
    values = "ann,a,1,20,,1.5,0.5"
    header = ",".join(NAMES)
    path.write_text(f"{header},user\n{values},bob\n")
    with pytest.raises(ValueError, match="the column 'user' occurs twice in its header"):
        list(predict(saved, str(path)))
    schema = zoo.Schema("sites", [zoo.Categorical("site-id", 9, encoding="hash")])
    site = export_saved_model(zoo.LR(schema), str(tmp_path), str(tmp_path / "site"))
    path.write_text("site_id,site.id\na,b\n")
    with pytest.raises(ValueError, match=r"'site_id' and 'site\.id' both fit .*'site-id'"):
        list(predict(site, str(path)))
    for fitting in ("site_id", "site.id", "site-id,site_id"):
        path.write_text(f"{fitting}\na{',b' * fitting.count(',')}\n")
        assert len(list(predict(site, str(path)))) == 1
    with pytest.raises(ValueError, match="damaged='skip'"):
        list(predict(site, str(path), damaged="skip"))


def test_invalid_bytes_count_only_in_columns_of_the_model(model, tmp_path):
    _, saved, _ = model
    path = tmp_path / "rows.csv"
    header, values = f"label,{','.join(NAMES)},note\n".encode(), b"ann,a,1,20,,1.5,0.5"
    path.write_bytes(header + b"\xff," + values + b",\xfe\n" + b"1," + values + b",fine\n")
    one, other = predict(saved, str(path))
    assert one == other
    path.write_bytes(header + b"1," + values + b",\xfe\n" + b"1,\xff" + values + b",fine\n")
    with pytest.raises(ValueError, match=r"rows\.csv, line 3: invalid UTF-8; correct"):
        list(predict(saved, str(path)))
    assert list(predict(saved, str(path), damaged="empty")) == [one, None]


def test_another_separator_is_told_to_predict_and_damaged_lines_are_named(
    model, tmp_path, capsys, defined
):
    _, saved, _ = model
    path, values = tmp_path / "rows.csv", "ann;a;1;20;;1.5;0.5"
    path.write_text(f"{';'.join(NAMES)}\n{values}\n{values}\n{values};1\n")
    with pytest.raises(ValueError, match="pass --separator=';'"):
        list(predict(saved, str(path)))
    flags_ = {"saved_model": saved, "input": str(path), "separator": ";"}
    with flagsaver.flagsaver(**flags_), pytest.raises(ValueError, match=r"rows\.csv, line 4: wro"):
        launch.predict._main(["predict"])
    with flagsaver.flagsaver(**flags_, damaged="empty"):
        launch.predict._main(["predict"])
    name, one, other, none = capsys.readouterr().out.split("\n")[:4]
    assert (name, other, none) == ("probability", one, "")
    path.with_name("comma.csv").write_text(path.read_text().replace(";", ","))
    assert next(predict(saved, str(tmp_path / "comma.csv"), "empty")) == pytest.approx(float(one))


def test_separators_quotes_and_blank_lines(tmp_path):
    path = tmp_path / "rows.tsv"
    path.write_text('label\tuser\n\n1\t"a\n1\n\n0\tb\n')
    assert damaged_rows(path) == {1: "wrong number of columns (1, the header has 2)"}
    assert lines_of(path, [0, 1, 2]) == {0: 3, 1: 4, 2: 6}
    assert damage(str(path), damaged_rows(path)).startswith(f"{path}, line 4: wrong number")
    path = tmp_path / "rows.csv"
    path.write_text('label,user\n1,"a\nb"\n"c,1\n0,d\n')  # the last quotation mark has no end
    account = RowAccount()
    list(table_rows([str(path)])(account))
    assert list(damaged_rows(path)) == [1] and lines_of(path, [1]) == {1: 4}
    assert account.damaged == Counter({"wrong number of columns": 2})


def test_the_preparation_names_the_lines_that_it_skips(tmp_path):
    rows = [f"{number % 2},ann" for number in range(40)]
    rows[3], rows[7], rows[20] = "1", "yes,bob", "7,bob"
    content = "\n".join(["label,user", *rows]).encode() + b"\n1,\xff\n"
    (tmp_path / "train.csv").write_bytes(content)
    schema = zoo.Schema("clicks", [zoo.Categorical("user")])
    path = str(tmp_path / "train.csv")
    raw = RawData(schema, {"train": table_rows([path])}, (path,))
    with pytest.raises(ValueError, match=r"9\.7561% .*; the first: .*train\.csv, line 5: wrong n"):
        prepare(raw, str(tmp_path / "out"))
    text = prepare(raw, str(tmp_path / "out"), max_lost=0.1)
    report = json.loads((tmp_path / "out/report.json").read_text())
    assert report["damaged_lines"] == [
        f"{path}, line 5: wrong number of columns (1, the header has 2)",
        f"{path}, line 9: label is not a number from 0 to 1",
        f"{path}, line 22: label is not a number from 0 to 1",
        f"{path}, line 42: invalid UTF-8",
    ]
    assert sum(report["damaged_rows"].values()) == 4
    assert all(f"  {line}" in text.splitlines() for line in report["damaged_lines"])


def test_the_preparation_names_lines_of_files_with_another_separator(tmp_path):
    (tmp_path / "train.csv").write_text("label;user\n1;ann\n0\nyes!;bob\n" + "1;ann\n" * 30)
    zoo.Schema("clicks", [zoo.Categorical("user")]).save(str(tmp_path))
    options = Options(source=str(tmp_path / "train.csv"))
    for how in ({}, {"shares": {"train": 1.0}}):
        raw = own_table.load(f"{tmp_path}/schema.json", options, separator=";", **how)
        prepare(raw, str(tmp_path / "out"), max_lost=0.1, overwrite=True)
        report = json.loads((tmp_path / "out/report.json").read_text())
        assert report["damaged_lines"] == [
            f"{tmp_path}/train.csv, line 3: wrong number of columns (1, the header has 2)",
            f"{tmp_path}/train.csv, line 4: label is not a number from 0 to 1",
        ]
