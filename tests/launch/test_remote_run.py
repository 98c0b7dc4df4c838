"""The folder of a run on another file system, here TensorFlow's file system in memory."""

import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf

import tf_helen
import zoo
from launch.run.checkpoints import Checkpoints
from launch.run.config import RunConfig
from launch.run.history import Epoch, load_history, save_history
from launch.run.plots import plot_runs
from tf_helen.core.folders import remove_folder
from zoo.data.files import DataError


@pytest.fixture
def folder(request):
    path = f"ram://runs/{request.node.name}"
    yield path
    if tf.io.gfile.exists(path):
        tf.io.gfile.rmtree(path)


def test_settings_history_and_curves(folder):
    config = RunConfig("data", folder)
    config.check_folder()
    config.save()
    with pytest.raises(DataError, match="already holds a run"):
        config.check_folder()
    dataclasses.replace(config, resume=True).check_folder()
    epochs = [Epoch(1, 0.7, 0.6, 0.69), Epoch(2, 0.6, 0.7, 0.65, 0.71, 0.64)]
    save_history(folder, epochs)
    assert load_history(folder) == epochs
    path = plot_runs({"adam": [epochs]}, f"{folder}/curves.png", "a run")
    with tf.io.gfile.GFile(path, "rb") as file:
        assert file.read(4) == b"\x89PNG"
    remove_folder(folder)
    assert not tf.io.gfile.exists(folder)


def test_checkpoints(folder):
    schema = zoo.Schema("s", [zoo.Categorical("user", 9)])
    rows = {"ids": np.arange(8, dtype=np.int32)[:, None]}, np.ones((8, 1), np.float32)

    def made():
        keras.backend.clear_session()  # the names are those of a first model
        model = zoo.DNN(schema, embedding_dim=2, hidden_units=(3,))
        model.compile(tf_helen.AdamAR(0.1), keras.losses.BinaryCrossentropy(from_logits=True))
        return model, Checkpoints(folder, model)

    model, checkpoints = made()
    for epoch in (1, 2, 3):
        model.fit(*rows, verbose=0)
        checkpoints.save(epoch)
    again, restored = made()
    assert restored.restore() == 3
    np.testing.assert_array_equal(again(rows[0]), model(rows[0]))
    names = {name.split(".")[0] for name in tf.io.gfile.listdir(f"{folder}/checkpoints")}
    assert names == {"checkpoint", "ckpt-2", "ckpt-3"}


@pytest.mark.parametrize("role", ["data", "out"])
def test_a_file_system_that_is_not_there_is_named(role):
    folders = {"data": "data", "out": "out", role: "nosuch://bucket/x"}
    with pytest.raises(ValueError, match=r"nosuch://bucket/x: TensorFlow has no file system"):
        RunConfig(**folders)
