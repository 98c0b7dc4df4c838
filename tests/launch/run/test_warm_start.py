"""A run that starts with the state of a run on data with another vocabulary."""

import dataclasses
import json
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from days import FIELDS, RUN, SCHEMA, write_day

import zoo
from launch.run.config import RunConfig
from launch.run.files import load_best
from launch.run.starting import compiled_model
from launch.run.training import train
from launch.run.warm_start import warm_start
from zoo.data.files import DataError
from zoo.data.identity import data_identity
from zoo.data.vocabulary import load_vocabulary


def config_for(data, out, **changes):
    return RunConfig(data, str(out), **{**RUN, "epochs": 2, **changes})


@pytest.fixture(scope="module")
def days(tmp_path_factory):
    folder = tmp_path_factory.mktemp("days")
    return write_day(folder / "1", (0, 30), 1), write_day(folder / "2", (12, 45), 2)


@pytest.fixture(scope="module")
def first(days, tmp_path_factory):
    out = str(tmp_path_factory.mktemp("runs") / "first")
    train(config_for(days[0], out, epochs=1))
    return out


def started(config):
    """The model of a run right after its warm start."""
    schema = zoo.Schema.load(config.data)
    keras.backend.clear_session()
    keras.utils.set_random_seed(config.seed)
    model = compiled_model(config, schema, data_identity(config.data))
    model.optimizer.build(model.trainable_variables)
    return model, warm_start(config, model)


def common(days, field):
    """The ids of the values that two days have in common."""
    before, now = (load_vocabulary(day, field)[0] for day in days)
    values = [value for value in before if value in now]
    return [before.index(v) for v in values], [now.index(v) for v in values]


def features(rng, columns):
    chosen = rng.integers(0, len(columns[0][0]), 64)
    price = np.ones((64, 1), np.float32)
    for day in (0, 1):
        ids = [np.array(column[day])[chosen % len(column[day])] for column in columns]
        yield {"ids": np.stack(ids, 1).astype(np.int32), "numeric": price}


@pytest.mark.parametrize("shards", [1, pytest.param(3, marks=pytest.mark.slow)])
def test_known_ids_keep_their_rows_and_new_ids_begin(days, first, tmp_path, shards, capsys):
    config = config_for(days[1], tmp_path / "run", warm_start=first, progress=True)
    config = dataclasses.replace(config, model_args={**config.model_args, "shards": shards})
    model, report = started(config)
    users, places = common(days, "user"), (range(12), range(12))
    assert report["fields"]["user"]["carried"] == len(users[0])
    sizes = [zoo.Schema.load(day).field_sizes["user"] for day in days]
    assert report["fields"]["user"]["fresh"] == sizes[1] - len(users[0])
    assert report["fields"]["user"]["dropped"] == sizes[0] - len(users[0]) > 0
    assert "ids carried over" in capsys.readouterr().out
    # The same logits, bit for bit, for rows of known values.
    best = load_best(first)
    columns = [users, common(days, "item"), places]
    schemas = [zoo.Schema.load(day) for day in days]
    before, now = features(np.random.default_rng(0), columns)
    scale = schemas[1].numeric[0].std / schemas[0].numeric[0].std
    now["numeric"] = (before["numeric"] - schemas[0].numeric[0].mean) * scale
    now["numeric"] += schemas[1].numeric[0].mean  # the same number after it is standardized
    with model.settled():
        found = model(now).numpy()
    np.testing.assert_allclose(found, best(before).numpy(), rtol=1e-5)
    # New users have the rows of a new model, and their absence begins now.
    fresh = np.setdiff1d(np.arange(sizes[1]), users[1])
    optimizer = model.optimizer
    table = model.embedding.tables[4]
    history = optimizer.row_history(table.embeddings)
    assert optimizer.steps_done() == 10
    assert (history["idle"][fresh] == 0).all()


def test_slots_and_records_move_with_their_rows(days, first, tmp_path):
    model, report = started(config_for(days[1], tmp_path / "run", warm_start=first))
    saved = tf.train.load_checkpoint(str(Path(first, "checkpoints", report["state"])))
    table = model.embedding.tables[4].embeddings
    slots = model.optimizer.slots_of(table)
    before, now = common(days, "user")
    fresh = np.setdiff1d(np.arange(len(load_vocabulary(days[1], "user")[0])), now)
    for slot in ("momentum", "velocity", "history"):
        (key,) = [
            key
            for key in saved.get_variable_to_shape_map()
            if key.split("/.ATTR")[0].endswith(f"{table.path.replace('/', '_')}_{slot}")
        ]
        values = slots[slot].numpy()
        np.testing.assert_array_equal(values[now], saved.get_tensor(key)[before])
        if slot != "history":
            assert (values[now] != 0).any() and (values[fresh] == 0).all()


@pytest.mark.slow
def test_training_continues_and_resumes_to_the_bit(days, first, tmp_path):
    class StopError(Exception):
        pass

    def stop(epoch):
        raise StopError

    whole = train(config_for(days[1], tmp_path / "whole", warm_start=first))
    config = config_for(days[1], tmp_path / "parts", warm_start=first)
    with pytest.raises(StopError):
        train(config, after_epoch=stop)
    parts = train(dataclasses.replace(config, resume=True))
    assert [e.valid_auc for e in parts.epochs] == [e.valid_auc for e in whole.epochs]
    weights = [load_best(str(tmp_path / name)).get_weights() for name in ("whole", "parts")]
    for a, b in zip(*weights, strict=True):
        np.testing.assert_array_equal(a, b)
    cold = train(config_for(days[1], tmp_path / "cold", epochs=1))
    assert whole.epochs[0].loss < cold.epochs[0].loss
    report = json.loads((tmp_path / "whole/warm_start.json").read_text())
    assert report["run"] == first and report["slots"] and len(report["state_sha256"]) == 64


def test_another_optimizer_takes_settled_rows_without_slots(days, first, tmp_path, capsys):
    config = config_for(days[1], tmp_path / "run", warm_start=first, optimizer="adagrad")
    model, report = started(dataclasses.replace(config, optimizer_args={}))
    assert not report["slots"] and model.optimizer.iterations.numpy() == 0
    assert "adamar, this run adagrad" in capsys.readouterr().out
    before, now = common(days, "user")
    tables = [m.embedding.tables[4].embeddings.numpy() for m in (load_best(first), model)]
    np.testing.assert_array_equal(tables[1][now], tables[0][before])


@pytest.mark.slow
def test_dynamic_tables_continue_with_extended_vocabularies(days, tmp_path):
    settings = {"model": "dnn", "model_args": {**RUN["model_args"], "dynamic": 200}}
    first = str(tmp_path / "first")
    train(config_for(days[0], first, epochs=1, **settings))
    second = write_day(tmp_path / "2", (12, 45), 2, extend=days[0])
    model, report = started(config_for(second, tmp_path / "run", warm_start=first, **settings))
    assert report["slots"] and model.optimizer.steps_done() == 10
    (batch,) = zoo.read_tfrecords(days[0], "valid", batch_size=80)
    with model.settled():
        found = model(batch[0])
    np.testing.assert_array_equal(found, load_best(first)(batch[0]))
    with pytest.raises(DataError, match=r"'user'.*--extend"):
        train(config_for(days[1], tmp_path / "other", warm_start=first, **settings))
    smaller = {"model": "dnn", "model_args": {**RUN["model_args"], "dynamic": 20}}
    with pytest.raises(DataError, match="name the capacity of each field"):
        started(config_for(second, tmp_path / "small", warm_start=first, **smaller))


@pytest.mark.slow
@pytest.mark.parametrize(
    "changes, message",
    [
        ({"optimizer_args": {"alpha": 5e-3}}, None),
        ({"optimizer_args": {"alpha": 1e-3, "track_rows": True}}, "track_rows"),
        ({"optimizer_args": {"alpha": "auto"}}, "alpha"),
    ],
)
def test_numbers_of_the_optimizer_may_change(days, first, tmp_path, capsys, changes, message):
    _, report = started(config_for(days[1], tmp_path / "run", warm_start=first, **changes))
    assert report["slots"] == (message is None)
    assert message is None or message in capsys.readouterr().out


@pytest.mark.parametrize(
    "fields, numeric, message",
    [
        (
            [*FIELDS[:2], zoo.Categorical("place", encoding="hash", size=13)],
            None,
            "'place'.*size=13",
        ),
        ([*FIELDS[:2], zoo.Categorical("place")], None, "'place'.*encoding='vocabulary'"),
        (FIELDS[:2], None, "'place' is in the run"),
        ([FIELDS[1], FIELDS[0], FIELDS[2]], None, r"column 1.*'item'.*'user'"),
        (FIELDS, [zoo.Numeric("price", transform="log")], "'price'.*transform='log'"),
        (FIELDS, [], "'price' is in the run"),
    ],
)
def test_other_columns_are_errors_that_name_them(first, tmp_path, fields, numeric, message):
    numeric = SCHEMA.numeric if numeric is None else numeric
    schema = zoo.Schema("days", fields, numeric)
    day = write_day(tmp_path / "day", (0, 30), 3, schema)
    with pytest.raises(DataError, match=message):
        train(config_for(day, tmp_path / "run", warm_start=first))
    assert not (tmp_path / "run/config.json").exists()


def test_other_models_and_folders_are_errors(days, first, tmp_path):
    cases = {
        "model='deepfm'": {"model": "dnn"},
        r"expected .*, 16": {"model_args": {"embedding_dim": 16, "hidden_units": (8,)}},
        "no run in": {"warm_start": str(tmp_path / "absent")},
        "column 'user' has other settings": {"warm_start_data": days[1]},
    }
    for message, changes in cases.items():
        with pytest.raises(DataError, match=message):
            train(config_for(days[1], tmp_path / "run", **{"warm_start": first, **changes}))
    with pytest.raises(ValueError, match=r"warm_start_data.*needs"):
        config_for(days[1], tmp_path / "run", warm_start_data=days[0])


@pytest.mark.slow
def test_meda_draws_the_tables_of_a_later_day_again(days, first, tmp_path):
    """The tower is kept: the first epoch of the day begins with new rows."""
    kept, drawn = (
        train(config_for(days[1], tmp_path / name, warm_start=first, epochs=1, callbacks=callbacks))
        for name, callbacks in (("kept", ()), ("drawn", ("meda",)))
    )
    assert kept.epochs[0].loss != drawn.epochs[0].loss
