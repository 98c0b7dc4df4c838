"""Warnings and advice, and none without a problem."""

import numpy as np
import polars as pl
import pytest
from absl import logging
from kinds import some

import zoo
from launch.advice import smaller_steps
from launch.datasets.raw import RawData, in_memory
from launch.datasets.splitting import random_splits, time_splits
from launch.prepare import prepare
from launch.run.config import RunConfig
from launch.run.history import load_history
from launch.run.training import train
from zoo.data.ledger import Damage, FileAccount

SHARES = {"train": 0.8, "valid": 0.1, "test": 0.1}


def table(rows=60, **columns):
    click = np.arange(rows) % 3 == 0
    user = np.where(click, "a", "b")
    return pl.DataFrame({"click": click.astype(float), "user": user}).with_columns(**columns)


def raw_of(splits, **roles):
    return RawData(zoo.Schema("t", [zoo.Categorical("user")], label="click", **roles), splits)


def of_one_table(rows):
    return {name: in_memory(rows) for name in SHARES}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = str(tmp_path_factory.mktemp("prepared") / "data")
    assert "warning" not in prepare(raw_of(of_one_table(table())), folder)
    return folder


@pytest.fixture
def said(monkeypatch):
    lines = []
    monkeypatch.setattr(logging, "warning", lambda text, *args: lines.append(text % args))
    return lines


def config_for(data, out, **changes):
    given = {"model": "lr", "optimizer": "sgd", "epochs": 1, "progress": False, **changes}
    return RunConfig(data, str(out), **given)


def test_a_run_that_diverges_is_told_so_once_an_epoch(tmp_path, said):
    folder = str(tmp_path / "data")
    same = table(user=pl.lit("a"))  # the same user clicks and does not
    prepare(raw_of(of_one_table(same)), folder)
    config = config_for(folder, tmp_path / "run", learning_rate=1e6, batch_size=10, epochs=2)
    train(config)
    assert all(epoch.loss > 1e4 for epoch in load_history(config.out))
    assert len(said) == 2
    assert "so training diverges: use a smaller learning rate (it is 1e+06) or clip" in said[0]


def test_usual_runs_get_no_warning(data, tmp_path, said):
    train(config_for(data, tmp_path / "run", learning_rate=0.1))
    assert said == []


def test_advice_against_divergence_knows_the_settings(tmp_path):
    for changes, words in (
        ({}, "(it is the optimizer's default)"),
        ({"learning_rate": 2.0}, "(it is 2)"),
        ({"optimizer_args": {"learning_rate": 3.0}}, "(it is 3)"),
        ({"precision": "mixed_float16"}, "or --precision=mixed_bfloat16"),
    ):
        assert words in smaller_steps(config_for("data", tmp_path, **changes))


@pytest.mark.parametrize("value", some([0, 1], fast=[1]))
def test_labels_of_one_kind(tmp_path, said, value):
    one = table(click=pl.lit(float(value)))
    folder = str(tmp_path / "data")
    text = prepare(raw_of({**of_one_table(table()), "train": in_memory(one)}), folder)
    line = f"all 60 labels of split 'train' are {value}: there is nothing to learn; check"
    assert text.splitlines()[-1].startswith(f"warning: {line}")
    train(config_for(folder, tmp_path / "run"))
    assert len(said) == 1 and said[0].startswith(line)


def test_labels_of_one_kind_to_score(tmp_path, said):
    one = table(click=pl.lit(1.0))
    folder = str(tmp_path / "data")
    splits = {"train": in_memory(table()), "valid": in_memory(one), "test": in_memory(one)}
    lines = prepare(raw_of(splits), folder).splitlines()[-2:]
    for line, split in zip(lines, ("valid", "test"), strict=True):
        assert f"labels of split '{split}' are 1: its AUC is undefined (reported as 0.5)" in line
    train(config_for(folder, tmp_path / "run"))
    assert sorted(line[:31] for line in said) == [
        "all 60 labels of split 'test' a", "all 60 labels of split 'valid' "]  # fmt: skip


@pytest.mark.parametrize(
    ("rows", "words", "absent"),
    [
        (
            table(click=pl.lit("yes")),
            r"100\.0000% of the rows are damaged \(180 click is not a number from 0 to 1\).*"
            "is 'click' the label. The schema names it; its values must be numbers from 0 to 1",
            "max_lost",
        ),
        (
            pl.concat([table(), table(20, click=pl.lit(5.0))]),
            r"25\.0000% .*is 'click' the label.* If all is correct, raise --max_lost",
            "encoding",
        ),
        (
            pl.concat([table(6000), table(1, click=pl.lit(5.0))]),
            r"0\.0167% of .*; correct them, or raise --max_lost to skip these rows",
            "is 'click'",
        ),
        (
            table(user=pl.Series([b"\xff"] * 60)),
            "180 invalid UTF-8.*are the files in another encoding. iconv -f LATIN1",
            "max_lost",
        ),
    ],
)
def test_advice_against_damaged_rows(tmp_path, rows, words, absent):
    with pytest.raises(ValueError, match=words) as caught:
        prepare(raw_of(of_one_table(rows)), str(tmp_path / "data"))
    assert absent not in str(caught.value)


def test_advice_against_rows_without_a_time(tmp_path):
    rows = table(day=pl.Series(["1", "2", "3", *["then"] * 57]))
    splits = time_splits(in_memory(rows), "day", SHARES)
    with pytest.raises(ValueError, match=r"57 no time in 'day'.*is 'day' the time.*=random") as at:
        prepare(raw_of(splits, time="day"), str(tmp_path / "data"))
    assert "max_lost" not in str(at.value)


@pytest.mark.parametrize(
    ("splits", "words"),
    [
        (
            lambda: random_splits(in_memory(table(1)), SHARES, 0),
            r"no usable (valid|train) rows \(usable rows: train [01], valid [01], test [01]\); "
            r"with so few rows, use larger shares such as --split=0\.5.*another --seed",
        ),
        (
            lambda: {**of_one_table(table(300)), "test": in_memory(table(0))},
            r"no usable test rows \(usable rows: train 300, valid 300, test 0\); name files with",
        ),
        (lambda: of_one_table(table(0)), "no usable train rows .*the files contain no rows"),
    ],
)
def test_advice_against_an_empty_split(tmp_path, splits, words):
    with pytest.raises(ValueError, match=words):
        prepare(raw_of(splits()), str(tmp_path / "data"))


def test_records_most_of_which_are_lost_are_not_to_be_accepted():
    ledger = zoo.Ledger()
    ledger.add(FileAccount("a.tfrecord", 1, 9, True, [Damage(70, "data checksum")]))
    with pytest.raises(ValueError, match=r"or prepare the data again$"):
        ledger.check()
