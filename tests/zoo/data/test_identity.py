"""Folders with the same content have the same checksums; errors name the difference."""

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest

import zoo
from zoo.data.identity import check_identity, data_identity
from zoo.data.vocabulary import save_vocabulary


def write_data(folder, users=("ann", "bob"), label=1.0, layout="blocks", **schema):
    given = {"categorical": [zoo.Categorical("user", 3)], "numeric": [zoo.Numeric("x", 1.0)]}
    schema = zoo.Schema("tiny", **{**given, **schema})
    for split in ("train", "valid"):
        rows = {
            "ids": np.full((2, schema.ids_width), 1),
            "numeric": np.ones((2, len(schema.numeric))),
            "label": np.array([label, 0.0]),
        }
        zoo.write_tfrecords(folder, schema, split, [rows], layout=layout)
    save_vocabulary(folder, "user", ["<oov>", *users], np.array([0, 3, 3]))
    return str(folder)


def test_a_copy_in_another_place_is_the_same(tmp_path):
    one = write_data(tmp_path / "one")
    other = shutil.copytree(one, tmp_path / "sub/other")
    assert data_identity(one) == data_identity(other)
    assert sorted(data_identity(one)["splits"]) == ["train", "valid"]


USER, X = zoo.Categorical("user", 3), zoo.Numeric("x", 1.0)


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"users": ("bob", "ann")}, "field 'user' has another vocabulary in .*other"),
        ({"label": 0.0}, "split 'train' has other rows in .*other"),
        ({"layout": "columns"}, "split 'train' has other rows"),
        ({"numeric": [zoo.Numeric("x", 2.0)]}, "column 'x' has other settings"),
        ({"categorical": [zoo.Categorical("user", 4)]}, "column 'user' has other settings"),
        ({"categorical": [USER, zoo.Categorical("item", 3)]}, "column 'item' has other settings"),
        (
            {"categorical": [zoo.Categorical("item", 3), USER], "numeric": [X]},
            "column 'item' has other settings",
        ),
    ],
)
def test_what_differs_is_named(tmp_path, changed, words):
    one, other = write_data(tmp_path / "one"), write_data(tmp_path / "other", **changed)
    with pytest.raises(zoo.DataError, match=words + ".*the run in out was made with; pass the"):
        check_identity(data_identity(one), data_identity(other), other, "the run in out")


def test_the_order_of_columns_and_the_roles_count(tmp_path):
    item = zoo.Categorical("item", 3)
    one = write_data(tmp_path / "one", categorical=[USER, item])
    other = write_data(tmp_path / "other", categorical=[item, USER])
    with pytest.raises(zoo.DataError, match="column 'user' has other settings"):
        check_identity(data_identity(one), data_identity(other), other, "the run in out")
    clicks = write_data(tmp_path / "clicks", categorical=[USER, item])
    schema = Path(clicks, "schema.json")
    schema.write_text(schema.read_text().replace('"label": "label"', '"label": "click"'))
    with pytest.raises(zoo.DataError, match="the schema names another label"):
        check_identity(data_identity(one), data_identity(clicks), clicks, "the run in out")


def test_without_checksums_in_the_manifest_the_files_are_read(tmp_path):
    folder = write_data(tmp_path / "data")
    expected = data_identity(folder)
    content = json.loads(Path(folder, "manifest.json").read_text())
    content["version"] = 1
    for split in content["splits"].values():
        for file in split["files"]:
            del file["sha256"], file["bytes"]
    with open(f"{folder}/manifest.json", "w") as file:
        json.dump(content, file)
    assert data_identity(folder) == expected
    os.remove(f"{folder}/manifest.json")
    assert data_identity(folder) == expected
    with open(f"{folder}/train-00000-of-00001.tfrecord", "ab") as file:
        file.write(b"x")
    assert data_identity(folder)["splits"]["train"] != expected["splits"]["train"]
    assert data_identity(folder)["splits"]["valid"] == expected["splits"]["valid"]
