"""The folder of a run on another file system, here TensorFlow's file system in memory."""

import dataclasses

import fsspec
import keras
import numpy as np
import pytest
import tensorflow as tf
from small_clicks import SMALL, prepare_clicks

import tf_helen
import zoo
from launch.evaluate import evaluate
from launch.export import export_run
from launch.predict import predict
from launch.run.checkpoints import Checkpoints
from launch.run.config import RunConfig
from launch.run.history import Epoch, load_history, save_history
from launch.run.plots import plot_runs
from launch.run.training import train
from tf_helen.core.folders import remove_folder
from tf_helen.stores import gfile
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
    with pytest.raises(ValueError, match=r"nosuch://bucket/x: there is no file system"):
        RunConfig(**folders)


@pytest.mark.slow
def test_prepare_train_resume_export_predict_and_evaluate_in_a_store(tmp_path):
    fsspec.filesystem("memory").store.clear()
    data, out, served = "memory://bucket/clicks", "memory://bucket/run", "memory://bucket/served"
    prepare_clicks(data)
    prepare_clicks(tmp_path / "clicks")
    settings = {"model": "dnn", "model_args": SMALL, "batch_size": 64, "progress": False}
    train(RunConfig(data, out, **settings, epochs=1))
    history = train(RunConfig(data, out, **settings, epochs=2, resume=True))
    whole = train(RunConfig(f"{tmp_path}/clicks", f"{tmp_path}/run", **settings, epochs=2))
    assert [e.loss for e in history.epochs] == [e.loss for e in whole.epochs]
    assert export_run(out, data, served) == served
    assert not [name for name in gfile.listdir("memory://bucket") if name.startswith(".")]
    with gfile.GFile("memory://bucket/rows.csv", "w") as file:
        file.write("user,item\nu1,i1\nu2,i2\n")
    assert len(list(predict(served, "memory://bucket/rows.csv"))) == 2
    (tmp_path / "rows.csv").write_text("user,item\nu1,i1\nu2,i2\n")
    local = export_run(f"{tmp_path}/run", f"{tmp_path}/clicks", f"{tmp_path}/served")
    scores = list(predict(local, f"{tmp_path}/rows.csv"))
    assert list(predict(served, "memory://bucket/rows.csv")) == scores
    evaluate([out, served], "memory://bucket/scored", data=data, samples=0, progress=False)
    assert {"evaluation.json", "calibration.png"} <= set(gfile.listdir("memory://bucket/scored"))
