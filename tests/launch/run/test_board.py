"""The scalars for TensorBoard: what a run writes can be read, and equals its history."""

import os

import numpy as np
import pytest
import tensorflow as tf
from small_clicks import SMALL, prepare_clicks

from launch.run import board
from launch.run.config import RunConfig
from launch.run.progressive import train_progressively
from launch.run.progressive_settings import Progressive
from launch.run.training import train


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return prepare_clicks(tmp_path_factory.mktemp("prepared") / "data")


def scalars(folder) -> dict[str, list[tuple[int, float]]]:
    """The scalars of a folder of events, as TensorBoard reads them."""
    found = {}
    for name in sorted(os.listdir(folder)):
        for event in tf.compat.v1.train.summary_iterator(os.path.join(folder, name)):
            for value in event.summary.value:
                assert value.metadata.plugin_data.plugin_name == "scalars"
                number = float(tf.make_ndarray(value.tensor))
                found.setdefault(value.tag, []).append((event.step, number))
    return found


def config_for(data, out, **changes):
    given = {"model_args": SMALL, "epochs": 2, "batch_size": 16, "progress": False, **changes}
    return RunConfig(data, str(out), **given)


def test_a_run_writes_its_history_and_the_losses_of_its_steps(data, tmp_path, monkeypatch):
    monkeypatch.setattr(board, "EVERY", 5)
    config = config_for(data, tmp_path / "run", callbacks=("sparsity",), tensorboard=True)
    history = train(config)
    found = scalars(tmp_path / "run" / "tensorboard")
    steps = 400 // 16
    for name, field in (("valid/auc", "valid_auc"), ("train/loss", "loss")):
        expected = [(e.epoch * steps, getattr(e, field)) for e in history.epochs]
        assert found[name] == [(step, np.float32(value)) for step, value in expected]
    assert [step for step, _ in found["step/loss"]] == list(range(5, 51, 5))
    # The mean over the groups of five steps is the loss of the epoch.
    first = np.mean([value for step, value in found["step/loss"] if step <= steps])
    assert first == pytest.approx(history.epochs[0].loss, rel=1e-5)
    assert history.epochs[0].measured.keys() <= found.keys()
    assert "test/auc" not in found


@pytest.mark.slow
def test_a_pass_over_time_writes_its_slices(data, tmp_path):
    config = config_for(data, tmp_path / "run", progressive=Progressive(slices=4), tensorboard=True)
    history = train_progressively(config)
    found = scalars(tmp_path / "run" / "tensorboard")
    rows = np.cumsum([each.rows for each in history.slices])
    assert found["pass/auc"] == [
        (step, np.float32(each.auc_so_far)) for step, each in zip(rows, history.slices, strict=True)
    ]


def test_nothing_is_written_without_the_flag(data, tmp_path):
    train(config_for(data, tmp_path / "run", epochs=1))
    assert not (tmp_path / "run" / "tensorboard").exists()
