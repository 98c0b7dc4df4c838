"""Callbacks of a run: by name with arguments, measured into the history, part of the state."""

import dataclasses

import numpy as np
import pytest

import zoo
from launch.run.arguments import make_callbacks
from launch.run.config import RunConfig
from launch.run.counts import training_counts
from launch.run.history import Epoch, load_history, save_history
from launch.run.training import load_best, train
from tf_helen import analysis
from zoo.data.vocabulary import save_vocabulary

FIELDS = [zoo.Categorical("user", 20), zoo.Categorical("tags", 6, length=2)]
SCHEMA = zoo.Schema("small", FIELDS)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder, rng = str(tmp_path_factory.mktemp("data")), np.random.default_rng(0)
    for split, rows in (("train", 160), ("valid", 60), ("test", 60)):
        user = rng.zipf(1.5, rows) % 20
        ids = np.concatenate([user[:, None], rng.integers(-1, 6, (rows, 2))], axis=1)
        label = (rng.random(rows) < 0.2 + 0.6 * (user % 2)).astype(np.float32)
        zoo.write_tfrecords(folder, SCHEMA, split, [{"ids": ids, "label": label}])
    return folder


def config_for(data, out, **changes):
    return RunConfig(
        data,
        str(out),
        **{
            "model": "dnn",
            "model_args": {"embedding_dim": 3, "hidden_units": (4,)},
            "optimizer": "adamar",
            "optimizer_args": {"alpha": 1e-3},
            "learning_rate": 0.05,
            "batch_size": 32,
            "epochs": 3,
            "progress": False,
            **changes,
        },
    )


ALL = ("magnitude_pruning(sparsity=0.5,begin=1,end=2)", "embedding_norms(edges=[1,10])", "sparsity")


@pytest.mark.slow
def test_a_run_keeps_what_callbacks_measure_and_goes_on_alike(data, tmp_path):
    whole = train(config_for(data, tmp_path / "whole", callbacks=ALL))
    measured = [epoch.measured for epoch in whole.epochs]
    assert [each["zero_rows/embedding/table"] for each in measured] == [0.0, 0.5, 0.5]
    norms = {name for name in measured[0] if name.startswith("embedding_norm/embedding/table/")}
    assert {name.split("/")[3] for name in norms} >= {"1-9", "10+"}
    assert measured[0]["rademacher_bound"] > 0
    assert load_history(str(tmp_path / "whole")) == list(whole.epochs)
    assert analysis.zero_rows(load_best(str(tmp_path / "whole")))["embedding/table"] in (0.0, 0.5)
    parts = config_for(data, tmp_path / "parts", callbacks=ALL, epochs=2)
    train(parts)
    again = train(dataclasses.replace(parts, epochs=3, resume=True))
    strip = {"seconds": 0.0, "rows_per_second": 0.0}
    first, second = (
        [dataclasses.replace(epoch, **strip) for epoch in history.epochs]
        for history in (whole, again)
    )
    assert first == second


def test_a_history_without_measurements_is_as_before(tmp_path):
    epochs = [Epoch(1, 0.5, 0.7, 0.6), Epoch(2, 0.4, 0.7, 0.6, measured={"b": 1 / 3, "a/x": 2.0})]
    save_history(str(tmp_path), epochs[:1])
    header = (tmp_path / "history.csv").read_text().splitlines()[0]
    assert header == (
        "epoch,loss,valid_auc,valid_logloss,test_auc,test_logloss,seconds,rows_per_second"
    )
    save_history(str(tmp_path), epochs)
    assert load_history(str(tmp_path)) == epochs


def test_counts_come_from_the_vocabularies_or_from_the_records(data, tmp_path):
    counts = training_counts(data, SCHEMA)
    total = {name: np.zeros(size, int) for name, size in SCHEMA.field_sizes.items()}
    for features, _ in zoo.read_tfrecords(data, "train", batch_size=7):
        for row in features["ids"].numpy():
            total["user"][row[0]] += 1
            for tag in row[1:]:
                if tag >= 0:
                    total["tags"][tag] += 1
    assert {name: each.tolist() for name, each in counts.items()} == {
        name: each.tolist() for name, each in total.items()
    }
    for name, size in SCHEMA.field_sizes.items():
        values = ["<oov>", *map(str, range(1, size))]
        save_vocabulary(tmp_path, name, values, np.arange(size))
    SCHEMA.save(tmp_path)
    assert training_counts(str(tmp_path), SCHEMA)["user"].tolist() == list(range(20))
    (tmp_path / "vocabulary" / "tags.tsv").unlink()
    with pytest.raises(zoo.DataError, match=r"no vocabulary at .*tags\.tsv"):
        training_counts(str(tmp_path), SCHEMA)


def test_facts_of_the_data_are_given_where_they_are_asked_for():
    asked = []

    def counts():
        asked.append("counts")
        return {"user": [1]}

    facts = {"counts": counts, "samples": lambda: 9}
    _, norms = make_callbacks(["meda", " embedding_norms ( samples = 5 ) "], facts)
    assert norms.counts == {"user": [1]} and norms.samples == 5 and asked == ["counts"]


@pytest.mark.parametrize(
    "name,message",
    [
        ("media", "Did you mean 'meda'"),
        ("meda(sed=1)", "callback 'meda' has no argument 'sed'. Did you mean 'seed'"),
        ("magnitude_pruning(sparsity=2)", "`sparsity` must be a number"),
        ("magnitude_pruning(sparsity=0.5", "cannot read the callback"),
        ("magnitude_pruning(0.5)", "cannot read '0.5'"),
    ],
)
def test_callbacks_that_cannot_be_made(name, message):
    with pytest.raises(ValueError, match=message):
        make_callbacks([name])
