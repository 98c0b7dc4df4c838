"""Runs whose rows decay by the time column."""

import dataclasses

import numpy as np
import polars as pl
import pytest
from days import RUN, rows_of_day

import zoo
from launch.datasets.raw import RawData, in_memory
from launch.prepare import prepare
from launch.run.config import RunConfig
from launch.run.files import load_best
from launch.run.memory import DataMemory
from launch.run.progressive import train_progressively
from launch.run.training import train
from zoo.data.files import DataError


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Rows in the order of time, two per minute, of which the 321st is number 1."""
    folders = {}
    fields = [zoo.Categorical("user"), zoo.Categorical("item")]
    for name, keep in (("timed", True), ("plain", False)):
        schema = zoo.Schema("timed", fields, time="when", time_ordered=True, keep_time=keep)
        splits = {}
        for split, seed, rows in (("train", 1, 320), ("valid", 2, 80)):
            table = rows_of_day((0, 30), seed, rows)
            table = table.with_columns(pl.Series("when", 7200 + 30 * np.arange(rows)))
            splits[split] = in_memory(table)
        folders[name] = str(tmp_path_factory.mktemp("prepared") / name)
        prepare(RawData(schema, splits), folders[name])
    return folders


def config_for(data, out, unit=None, **changes):
    clock = {} if unit is None else {"clock": "event", "time_unit": unit}
    given = {**RUN, "model": "dnn", "optimizer_args": {"alpha": 0.01, **clock}, **changes}
    return RunConfig(data, str(out), **given)


@pytest.mark.slow
def test_a_pass_with_a_step_per_unit_equals_one_by_steps(data, tmp_path):
    """A batch of 32 rows spans 16 minutes: its unit is its step."""
    passes = [
        train_progressively(config_for(data["timed"], tmp_path / str(unit), unit)).scores
        for unit in (None, 960.0, 60.0)
    ]
    assert passes[0] == passes[1] != passes[2]


@pytest.mark.slow
def test_epochs_read_times_from_files_and_from_memory(data, tmp_path):
    config = config_for(data["timed"], tmp_path / "files", 3600.0, epochs=1)
    train(config)
    kept = dataclasses.replace(config, out=str(tmp_path / "memory"))
    train(kept, memory=DataMemory(data["timed"]))
    weights = [load_best(folder.out).get_weights() for folder in (config, kept)]
    for a, b in zip(*weights, strict=True):
        np.testing.assert_array_equal(a, b)


def test_data_without_times_are_an_error(data, tmp_path):
    with pytest.raises(DataError, match=r"clock=event.*keep_time"):
        train(config_for(data["plain"], tmp_path / "run", 60.0))
    with pytest.raises(ValueError, match=r"clock=event.*parameter_server"):
        config_for(data["timed"], tmp_path / "run", 60.0, strategy="parameter_server")
