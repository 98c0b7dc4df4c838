"""Files that are damaged, empty or of another kind give one line that says what to do."""

import bz2
import gzip
import random
import shutil
import sys
import zipfile
from pathlib import Path

import keras
import numpy as np
import polars as pl
import pytest
import tensorflow as tf

import zoo
from launch.datasets import own_table
from launch.datasets.download import unzip
from launch.datasets.raw import RowAccount
from launch.datasets.tables import table_rows
from launch.predict import predict
from launch.run.history import load_history
from launch.run.training import load_best
from zoo.data.vocabulary import load_vocabulary, save_vocabulary
from zoo.serving.export import export_saved_model

TEXT = "click,user\n" + "".join(f"{i % 2},u{i % 7}\n" for i in range(50))
ZIPPED = gzip.compress(TEXT.encode(), mtime=0)  # test ids are the same in every process
NOISE = random.Random(0).randbytes(3000).replace(b"\0", b"")
ODD_ROW = b"click,user\n1,a\n\xff\n"  # too few columns, and invalid UTF-8


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.csv", b"", "Empty CSV file"),
        ("a.csv", b"\n\n", "Empty CSV file"),
        ("a.csv", b"\0" * 3000, r"it is not text \(byte 0 is 0\); name a file of comma"),
        ("a.tsv", b"a\tb\n" + bytes(9), r"it is not text \(byte 4 is 0\)"),
        ("a.csv", TEXT.encode("utf-16"), "it is UTF-16 text; iconv -f UTF-16"),
        ("a.csv", "é,user\n".encode("latin-1"), "If it is Latin-1, iconv -f LATIN1"),
        ("a.csv", ODD_ROW, r"Expected 2 columns, got 1 in the row .*also contains invalid UTF-8"),
        ("a.csv", ZIPPED, "it is compressed by gzip; rename it to .gz"),
        ("a.csv", bz2.compress(TEXT.encode()), "it is compressed by bzip2; rename it"),
        ("a.csv", b"PK\3\4" + NOISE, "a zip archive or a spreadsheet"),
        ("a.csv", b"PAR1" + NOISE, "a Parquet file; rename it to .parquet"),
        ("a.csv.gz", TEXT.encode(), "If it is not compressed, rename it"),
        ("a.csv.gz", ZIPPED[:-20], "Truncated .*Copy the file again"),
        ("a.csv.zst", NOISE, "If it is not compressed, rename it"),
        ("a.parquet", NOISE, "Parquet magic bytes not found .*Copy the file again"),
        ("a.parquet", b"", "Parquet file size is 0 bytes"),
    ],
)
def test_tables(tmp_path, capfd, name, content, words):
    path = tmp_path / name
    path.write_bytes(content)
    for read in (
        lambda: own_table.propose(str(path), str(tmp_path / "s.json")),
        lambda: list(table_rows([str(path)])(RowAccount())),
    ):
        with pytest.raises(ValueError, match=rf"{name} cannot be read as a table: .*{words}"):
            read()
    assert "Traceback" not in capfd.readouterr().err
    assert not (tmp_path / "s.json").exists()


def test_a_damaged_block_of_parquet(tmp_path):
    path = tmp_path / "a.parquet"
    pl.DataFrame({"click": [0, 1] * 500, "user": list(range(1000))}).write_parquet(path)
    damaged = bytearray(path.read_bytes())
    for place in range(40, len(damaged) - 400, 7):
        damaged[place] ^= 255
    path.write_bytes(damaged)
    with pytest.raises(ValueError, match=r"a\.parquet cannot be read as a table: "):
        list(table_rows([str(path)])(RowAccount()))


def test_other_exceptions_that_nobody_can_catch_are_still_printed(tmp_path, monkeypatch):
    seen = []
    path = tmp_path / "a.csv"
    path.write_bytes(ODD_ROW)
    monkeypatch.setattr(sys, "unraisablehook", seen.append)
    with pytest.raises(ValueError, match="invalid UTF-8"):
        list(table_rows([str(path)])(RowAccount()))

    class Bad:
        def __del__(self):
            raise UnicodeDecodeError("utf-8", b"\xff", 0, 1, "mine")

    Bad()
    assert [str(one.exc_value)[-4:] for one in seen[-1:]] == ["mine"]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A folder with a small best.keras, and its weights."""
    folder = tmp_path_factory.mktemp("run")
    model = zoo.LR(zoo.Schema("tiny", [zoo.Categorical("user", 3)]))
    for weight in model.weights:
        weight.assign(np.random.default_rng(0).normal(size=weight.shape))
    model.save(folder / "best.keras")
    return folder, [weight.numpy() for weight in model.weights]


def regions(path):
    """Places in a zip file: a header, the content of each member, the directory, the end."""
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
    size = path.stat().st_size
    found = {f"header of {m.filename}": m.header_offset for m in members}
    for member in members:
        start = member.header_offset + 30 + len(member.filename)
        for part in (0.1, 0.5, 0.9):
            found[f"{part} of {member.filename}"] = start + int(part * member.file_size)
    return {**found, "directory": size - 150, "kind of compression": size - 60, "end": size - 20}


def test_a_changed_byte_of_a_model_is_noticed_wherever_it_is(run, tmp_path):
    whole = (run[0] / "best.keras").read_bytes()
    places = regions(run[0] / "best.keras")
    assert any("model.weights.h5" in name for name in places)
    for name, place in places.items():
        changed = bytearray(whole)
        changed[place] ^= 1
        (tmp_path / "best.keras").write_bytes(changed)
        try:
            model = load_best(str(tmp_path))
        except ValueError as error:
            assert "best.keras" in str(error) and "train again with --overwrite" in str(error), name
        else:  # a byte that says nothing, such as of a date
            for weight, expected in zip(model.weights, run[1], strict=True):
                np.testing.assert_array_equal(weight, expected, err_msg=name)
    for member in ("metadata.json", "config.json", "model.weights.h5"):
        changed = bytearray(whole)
        changed[places[f"0.5 of {member}"]] ^= 1
        (tmp_path / "best.keras").write_bytes(changed)
        with pytest.raises(ValueError, match=rf"is damaged \(checksum of {member}\)"):
            load_best(str(tmp_path))


@pytest.mark.parametrize("size", [0, 10, 2000, -1])
def test_a_model_that_is_cut_short(run, tmp_path, size):
    (tmp_path / "best.keras").write_bytes((run[0] / "best.keras").read_bytes()[:size])
    with pytest.raises(ValueError, match=r"best\.keras is damaged or unreadable"):
        load_best(str(tmp_path))


def test_a_file_without_a_model(tmp_path):
    keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)]).save(tmp_path / "best.keras")
    load_best(str(tmp_path))
    with zipfile.ZipFile(tmp_path / "best.keras", "w") as archive:
        archive.writestr("thesis.txt", "mine")
    with pytest.raises(ValueError, match=r"best\.keras cannot be loaded"):
        load_best(str(tmp_path))


def test_damaged_archives(tmp_path, monkeypatch):
    monkeypatch.setenv("TF_HELEN_CACHE", str(tmp_path / "cache"))
    path = tmp_path / "set.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("train.csv", TEXT * 20)
    whole = path.read_bytes()
    ended = 0
    for place in range(len(whole)):
        changed = bytearray(whole)
        changed[place] ^= 1
        path.write_bytes(changed)
        shutil.rmtree(tmp_path / "cache", ignore_errors=True)
        try:
            found = unzip(str(path), {"train.csv": None})
        except ValueError as error:
            assert str(path) in str(error)
            ended += 1
        else:
            assert Path(found["train.csv"]).read_text() == TEXT * 20
    assert ended > len(whole) / 2


def test_damaged_texts_are_named(tmp_path):
    save_vocabulary(str(tmp_path), "user", ["<oov>", "a"], np.array([0, 1]))
    (tmp_path / "vocabulary/user.tsv").write_bytes(NOISE)
    with pytest.raises(ValueError, match=r"user\.tsv is not UTF-8 text"):
        load_vocabulary(str(tmp_path), "user")
    (tmp_path / "schema.json").write_text("[" * 100_000)
    with pytest.raises(ValueError, match=r"schema\.json is not valid JSON"):
        zoo.Schema.load(str(tmp_path))
    (tmp_path / "history.csv").write_text("epoch,loss\n1,0.5\n" + "a" * 200_000 + ",1\n")
    with pytest.raises(ValueError, match=r"history\.csv is damaged"):
        load_history(str(tmp_path))


def test_damaged_saved_models(tmp_path):
    model = zoo.LR(zoo.Schema("tiny", [zoo.Categorical("user", 3)]))
    save_vocabulary(str(tmp_path), "user", ["<oov>", "a", "b"], np.ones(3, np.int64))
    saved = Path(export_saved_model(model, str(tmp_path), str(tmp_path / "saved")))
    (tmp_path / "rows.csv").write_text("user\na\n")
    for file in ("saved_model.pb", "variables/variables.index", "assets/user.tsv"):
        for content in (b"", NOISE, (saved / file).read_bytes()[:-7]):
            shutil.copytree(saved, tmp_path / "copy")
            (tmp_path / "copy" / file).write_bytes(content)
            with pytest.raises(ValueError, match=r"[Ee]xport (it|the model) again"):
                list(predict(str(tmp_path / "copy"), str(tmp_path / "rows.csv")))
            shutil.rmtree(tmp_path / "copy")
    other = tf.Module()
    tf.saved_model.save(other, str(tmp_path / "other"))
    with pytest.raises(ValueError, match="other has no signature serving_default"):
        list(predict(str(tmp_path / "other"), str(tmp_path / "rows.csv")))
