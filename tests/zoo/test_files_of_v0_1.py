"""Data and models that version 0.1 of the zoo wrote are read as they were."""

import shutil

import keras
import numpy as np
import pytest
from v0_1_data import FOLDER, MODELS, batches

import zoo

EXPECTED = dict(np.load(FOLDER / "data.npz"))


@pytest.mark.parametrize("split", ["train", "valid", "test"])
def test_a_data_folder_is_read_as_it_was(split):
    found = batches(FOLDER / "data", split)
    assert found.keys() == {key.split("/")[1] for key in EXPECTED if key.startswith(split)}
    for name, value in found.items():
        np.testing.assert_array_equal(value, EXPECTED[f"{split}/{name}"], err_msg=name)


def test_the_checksums_of_a_data_folder_fit():
    assert zoo.verify_files(FOLDER / "data") == 6


def test_a_split_can_be_written_again(tmp_path):
    folder = tmp_path / "data"
    shutil.copytree(FOLDER / "data", folder)
    train = batches(folder, "train")
    rows = {**train, "label": train["label"].ravel(), "group": train["group"].ravel()}
    zoo.write_tfrecords(folder, zoo.Schema.load(folder), "train", [rows], shards=3)
    for name, value in batches(folder, "train").items():
        np.testing.assert_array_equal(value, EXPECTED[f"train/{name}"], err_msg=name)


@pytest.mark.parametrize("name", MODELS)
def test_a_model_predicts_as_it_did_and_trains_on(name):
    model = keras.saving.load_model(FOLDER / f"zoo_{name}.keras")
    rows = {key: EXPECTED[f"valid/{key}"] for key in ("ids", "numeric")}
    logits = model.predict(rows, verbose=0)
    np.testing.assert_allclose(logits, EXPECTED[f"{name}/logits"], rtol=0, atol=1e-6)
    steps = model.optimizer.iterations.numpy()
    train = zoo.read_tfrecords(FOLDER / "data", "train", batch_size=10)
    assert np.isfinite(model.fit(train, verbose=0).history["loss"][0])
    assert model.optimizer.iterations.numpy() == steps + 3  # 30 rows
