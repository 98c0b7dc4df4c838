"""The preparation command: files, counts, identical bytes when repeated, and errors."""

import gzip
import json
import os
import sys
from collections import Counter
from pathlib import Path

import commands
import numpy as np
import polars as pl
import pytest
from kinds import some

from launch import datasets
from launch.datasets import own_table
from launch.datasets.raw import Options, Published, RawData, RowAccount, in_memory
from launch.preparation import passes
from launch.preparation.beam_passes import BeamEngine
from launch.preparation.memory import parse_memory
from launch.preparation.workspace import Workspace
from launch.prepare import prepare
from zoo import Categorical, DataError, Ledger, Numeric, Schema, load_counts, read_tfrecords
from zoo.data.vocabulary import load_vocabulary

ROOT = Path(__file__).resolve().parents[2]


def contents(folder: Path) -> dict[str, bytes]:
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def rows_of(folder: Path, split: str) -> tuple[np.ndarray, np.ndarray]:
    batches = list(read_tfrecords(folder, split).as_numpy_iterator())
    ids = np.concatenate([batch[0]["ids"] for batch in batches])
    return ids, np.concatenate([batch[1] for batch in batches])[:, 0]


def tiny(schema: Schema | None = None, **splits: pl.DataFrame) -> RawData:
    train = pl.DataFrame(
        {
            "label": [1, 0, 1, 0],
            "user": ["b", "a", "b", None],
            "tags": [["x", "y", "z"], ["x"], [], None],
            "price": [1.0, 3.0, None, float("inf")],
        }
    )
    valid = train.with_columns(pl.Series("user", ["b", "new", "new\tline", "a"]))
    fields = [Categorical("user", missing="bucket"), Categorical("tags", length=2, pooling="sum")]
    schema = schema or Schema("tiny", fields, [Numeric("price")])
    splits = {"train": train, "valid": valid, **splits}
    return RawData(schema, {name: in_memory(table) for name, table in splits.items()})


def test_ids_numbers_and_counts_of_a_small_table(tmp_path):
    summary = prepare(tiny(), tmp_path / "out")
    schema = Schema.load(tmp_path / "out")
    assert schema.field_sizes == {"user": 4, "tags": 3}
    assert schema.numeric == (Numeric("price", mean=2.0, std=1.0),)
    assert load_vocabulary(tmp_path / "out", "user")[0] == ["<oov>", "", "b", "a"]
    counts = {name: c.tolist() for name, c in load_counts(tmp_path / "out", schema).items()}
    assert counts == {"user": [0, 1, 2, 1], "tags": [0, 2, 1]}
    ids, labels = rows_of(tmp_path / "out", "train")
    assert ids.tolist() == [[2, 1, 2], [3, 1, -1], [2, -1, -1], [1, -1, -1]]
    assert labels.tolist() == [1, 0, 1, 0]
    assert rows_of(tmp_path / "out", "valid")[0][:, 0].tolist() == [2, 0, 0, 3]
    features, _ = next(iter(read_tfrecords(tmp_path / "out", "train")))
    assert features["numeric"].numpy().tolist() == [[1.0], [3.0], [2.0], [2.0]]
    assert "changed 2 values of price missing" in summary  # one in each split
    assert "changed 2 values of price that are not finite numbers" in summary
    assert "changed 2 values beyond the first 2 of tags" in summary
    assert "changed 1 values of user with a tab" in summary
    assert " 50.00%" in summary and "2 fields in all" in summary
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["features"] == 4 and report["fields"] == {"user": 2, "tags": 2}
    assert report["changed_values"]["values of price missing"] == 2


def test_every_encoding_weight_and_group_reach_the_records(tmp_path):
    table = pl.DataFrame(
        {
            "click": [True, False, True],
            "w": ["0.5", "2", "1"],
            "who": ["ann", "bob", "ann"],
            "h": ["x", "", "z"],
            "n": ["20", "-1", "?"],
            "b": ["0", "1.5", "9"],
            "log": ["0", "100", ""],
        }
    )
    schema = Schema(
        "all",
        [
            Categorical("who"),
            Categorical("h", 10, encoding="hash"),
            Categorical("n", encoding="log_square"),
            Categorical("b", encoding="buckets", boundaries=(1, 2)),
        ],
        [Numeric("log", transform="log")],
        label="click",
        weight="w",
        group="who",
    )
    raw = tiny(schema, train=table, valid=table)
    for layout in ("packed", "columns", "blocks"):
        out = tmp_path / layout
        prepare(raw, out, layout=layout)
        features, label, weight = next(iter(read_tfrecords(out, "train", group=True)))
        assert label.numpy()[:, 0].tolist() == [1, 0, 1]
        assert weight.numpy().ravel().tolist() == [0.5, 2, 1]
        group = features["group"].numpy().ravel().tolist()
        assert group[0] == group[2] != group[1]
        ids = features["ids"].numpy()
        assert ids[:, 0].tolist() == [1, 2, 1]
        assert ids[1, 1] == 0 and (ids[[0, 2], 1] > 0).all()
        assert ids[:, 2].tolist() == [2, 1, 0]  # "-1" stands before "8" among equals
        assert ids[:, 3].tolist() == [1, 2, 3]
        mean = Schema.load(out).numeric[0].missing_value
        assert features["numeric"].numpy().tolist() == [[0.0], [100.0], [np.float32(mean)]]
        assert load_counts(out, Schema.load(out))["b"].tolist() == [0, 1, 1, 1]


def test_an_occupied_folder_is_kept_unless_told_otherwise(tmp_path):
    out = tmp_path / "out"
    prepare(tiny(), out)
    before = contents(out)
    with pytest.raises(ValueError, match=r"not empty.*--overwrite"):
        prepare(tiny(), out)
    assert contents(out) == before
    prepare(tiny(), out, shards=2, overwrite=True)
    assert len(list(out.glob("train-*"))) == 2
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters" / "dear.txt").write_text("mine")
    with pytest.raises(ValueError, match="will not delete"):
        prepare(tiny(), tmp_path / "letters", overwrite=True)
    assert [path.name for path in tmp_path.glob(".*")] == []


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        (lambda t: t.with_columns(label=pl.lit(3)), "no usable valid rows|are damaged"),
        (lambda t: t.drop("user"), "lack the columns user"),
        (lambda t: t.clear(), "no usable valid rows"),
        (lambda t: t.with_columns(user=["a"]), r"'user' has the type List.*length of 2"),
        (lambda t: t.with_columns(tags=pl.struct("user")), "'tags' has the type Struct"),
        (lambda t: t.with_columns(price=pl.date(2024, 1, 1)), "'price' has the type Date"),
    ],
)
def test_a_failure_leaves_nothing_behind(tmp_path, bad, words):
    valid = next(tiny().splits["valid"](RowAccount()))
    with pytest.raises(ValueError, match=words):
        prepare(tiny(valid=bad(valid)), tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_damaged_rows_are_counted_and_too_many_stop(tmp_path):
    labels = pl.Series("label", ["1", "x", "0", "nan"])
    train = next(tiny().splits["train"](RowAccount())).with_columns(labels)
    with pytest.raises(ValueError, match=r"25\.0000% of the rows are damaged.*--max_lost"):
        prepare(tiny(train=train), tmp_path / "out")
    summary = prepare(tiny(train=train), tmp_path / "out", max_lost=0.5)
    assert "skipped 2 damaged rows: label is not a number from 0 to 1" in summary
    assert rows_of(tmp_path / "out", "train")[1].tolist() == [1, 0]


def test_bytes_are_texts_and_damaged_only_where_they_are_used(tmp_path):
    train = next(tiny().splits["train"](RowAccount()))
    train = train.with_columns(user=pl.Series([b"b", b"\xff", b"b", None]), image=b"\xff")
    summary = prepare(tiny(train=train), tmp_path / "out", max_lost=0.5)
    assert "skipped 1 damaged rows: invalid UTF-8" in summary
    assert load_vocabulary(tmp_path / "out", "user")[0] == ["<oov>", "", "b"]


def test_published_numbers_stand_beside_ours(tmp_path):
    published = Published("a paper", {"train": 4, "test": 9}, 5, {"train": 0.5})
    raw = tiny()
    raw = RawData(raw.schema, raw.splits, published=published)
    lines = prepare(raw, tmp_path / "out").splitlines()
    found = {line[:20].strip(): line for line in lines[-5:]}
    assert "DIFFERS" not in found["train rows"] + found["train positives"]
    assert found["test rows"].endswith("none  DIFFERS")
    assert found["features"].split()[-3:] == ["5", "4", "DIFFERS"]


@pytest.fixture
def clicks(tmp_path, monkeypatch) -> pl.DataFrame:
    """A table of 1000 rows; slices are small, so that there are several."""
    monkeypatch.setattr("launch.preparation.rows.SLICE", 64)
    random = np.random.default_rng(0)
    return pl.DataFrame(
        {
            "label": random.integers(0, 2, 1000),
            "user": random.integers(0, 50, 1000),
            "tags": [" ".join(random.choice(list("abcd"), 2)) for _ in range(1000)],
            "price": np.round(random.lognormal(size=1000), 3),
            "time": random.permutation(1000),
        }
    ).with_columns(pl.when(pl.col("price") > 2).then(None).otherwise("price").alias("price"))


SCHEMA = Schema(
    "clicks",
    [Categorical("user", min_count=3), Categorical("tags", length=2, separator=" ")],
    [Numeric("price")],
    group="user",
    time="time",
)


def own(tmp_path: Path, source: Path, **options) -> RawData:
    schema = SCHEMA.save(tmp_path / "described")
    shares, split_by = options.pop("shares", None), options.pop("split_by", None)
    return own_table.load(schema, Options(source=str(source), **options), shares, split_by)


@pytest.mark.parametrize("split_by", ["random", "time"])
def test_parquet_csv_and_tsv_of_a_table_give_the_same_files(tmp_path, clicks, split_by):
    (tmp_path / "csv").mkdir()
    clicks[:300].write_csv(tmp_path / "csv" / "part-0.csv")
    clicks[300:].write_csv(tmp_path / "csv" / "part-1.csv")
    clicks.write_csv(tmp_path / "rows.tsv", separator="\t")
    clicks.write_parquet(tmp_path / "rows.parquet", row_group_size=77)
    (tmp_path / "rows.csv.gz").write_bytes(gzip.compress(clicks.write_csv().encode()))
    found = []
    for name in ("csv", "rows.tsv", "rows.parquet", "rows.csv.gz"):
        raw = own(tmp_path, tmp_path / name, split_by=split_by)
        prepare(raw, tmp_path / "out" / name, shards=3)
        found.append(contents(tmp_path / "out" / name))
    assert found[0] == found[1] == found[2] == found[3]
    report = json.loads(found[0]["report.json"])
    assert sum(report["rows"].values()) == 1000
    if split_by == "time":
        assert report["rows"] == {"train": 800, "valid": 100, "test": 100}
        oldest = clicks.filter(pl.col("time") < 800)["label"].to_list()
        assert rows_of(tmp_path / "out" / "csv", "train")[1].tolist() == oldest


def test_files_named_after_splits_are_those_splits(tmp_path, clicks):
    for name, part in (("train-0", clicks[:500]), ("train-1", clicks[500:800]),
                       ("val", clicks[800:900]), ("test", clicks[900:])):  # fmt: skip
        part.write_csv(tmp_path / f"{name}.csv")
    raw = own(tmp_path, tmp_path, min_count=1)
    prepare(raw, tmp_path / "out")
    assert rows_of(tmp_path / "out", "train")[1].tolist() == clicks["label"][:800].to_list()
    assert rows_of(tmp_path / "out", "test")[1].tolist() == clicks["label"][900:].to_list()
    assert Schema.load(tmp_path / "out").field_sizes["user"] == 51


@pytest.mark.parametrize("stop_after", [1, 4])
@pytest.mark.parametrize("compression", [None, "GZIP"])
def test_an_interrupted_preparation_goes_on(tmp_path, clicks, monkeypatch, stop_after, compression):
    clicks.write_csv(tmp_path / "rows.csv")
    raw = own(tmp_path, tmp_path / "rows.csv")
    options = {"shards": 4, "compression": compression}
    prepare(raw, tmp_path / "whole", **options)
    written = []
    real = passes.write_shards

    def interrupted(*arguments):
        for shard in real(*arguments):
            if len(written) == stop_after:
                raise KeyboardInterrupt
            written.append(shard.file)
            yield shard

    monkeypatch.setattr(passes, "write_shards", interrupted)
    with pytest.raises(KeyboardInterrupt):
        prepare(raw, tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()
    before = list(written)
    stop_after = 99
    for name in ("x.tfrecord", "vocabulary/user.tsv"):  # what a process that is killed leaves
        folder, name = os.path.split(tmp_path / ".out.partial" / name)
        (Path(folder) / f".{name}.7.tmp").write_text("")
    monkeypatch.setattr(passes.TrainingCounts, "add", None)  # counted already
    prepare(raw, tmp_path / "out", **options)
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")
    assert sorted(written[len(before) :]) == sorted(
        {path.name for path in (tmp_path / "out").glob("*tfrecord*")} - set(before)
    )
    assert not list(tmp_path.glob(".*"))


def test_work_under_other_arguments_or_files_is_not_taken(tmp_path, clicks, monkeypatch):
    clicks.write_csv(tmp_path / "rows.csv")
    real = passes.write_shards
    monkeypatch.setattr(passes, "write_shards", lambda *_: (_ for _ in ()).throw(OSError("full")))
    with pytest.raises(OSError, match="full"):
        prepare(own(tmp_path, tmp_path / "rows.csv"), tmp_path / "out")
    assert (tmp_path / ".out.partial").exists()
    monkeypatch.setattr(passes, "write_shards", real)
    clicks[:900].write_csv(tmp_path / "rows.csv")
    prepare(own(tmp_path, tmp_path / "rows.csv"), tmp_path / "out")
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert sum(report["rows"].values()) == 900


def test_a_smaller_limit_of_losses_holds_for_work_gone_on_with(tmp_path, clicks, monkeypatch):
    clicks.with_columns(label=clicks["label"] * 2).write_csv(tmp_path / "rows.csv")
    raw = own(tmp_path, tmp_path / "rows.csv")
    monkeypatch.setattr(passes, "write_shards", lambda *_: (_ for _ in ()).throw(OSError("full")))
    with pytest.raises(OSError, match="full"):
        prepare(raw, tmp_path / "out", max_lost=0.9)
    with pytest.raises(ValueError, match="are damaged"):
        prepare(raw, tmp_path / "out")


def test_what_another_process_finished_meanwhile_stays(tmp_path, monkeypatch):
    first = Workspace(str(tmp_path / "out"), False, "a")
    prepare(tiny(), tmp_path / "out")
    with pytest.raises(ValueError, match="not empty"), first:
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_lock_that_is_removed_while_it_is_taken_is_none(tmp_path, monkeypatch):
    import fcntl

    real, gone = fcntl.flock, []

    def flock(*arguments):
        real(*arguments)
        if not gone:
            gone.append((tmp_path / ".out.lock").unlink())

    monkeypatch.setattr(fcntl, "flock", flock)
    with Workspace(str(tmp_path / "out"), False, "a"):
        assert (tmp_path / ".out.lock").exists()


def test_two_processes_do_not_prepare_the_same_folder(tmp_path):
    import fcntl

    with open(tmp_path / ".out.lock", "w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(ValueError, match="another process prepares"):
            prepare(tiny(), tmp_path / "out")
    prepare(tiny(), tmp_path / "out")


def test_the_command_writes_the_same_bytes_twice(tmp_path):
    options = ["--dataset=synthetic", "--rows=2000", "--shards=2", "--compression=GZIP"]
    for name in ("one", "two"):
        done = commands.run("-m", "launch.prepare", *options, f"--out={tmp_path / name}")
        assert done.returncode == 0, done.stderr
        assert "16 fields in all" in done.stdout and "2,000" in done.stdout
    one = contents(tmp_path / "one")
    assert one == contents(tmp_path / "two")
    assert {"schema.json", "manifest.json", "report.json", "vocabulary/user.tsv"} < one.keys()
    ledger = Ledger()
    read_tfrecords(tmp_path / "one", "train", ledger=ledger)
    assert (ledger.total_read, ledger.total_lost) == (2000, 0)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--dataset=synthetc", "--out=unused"], "Did you mean 'synthetic'"),
        (["--dataset=synthetic", "--out=unused", "--source=x"], "--source=x has no effect"),
        (["--schema=/no/such.json", "--source=x", "--out=unused"], "no schema at /no/such.json"),
        (["--dataset=synthetic", "--rows=9", "--out=README.md/x"], "File exists: 'README.md'"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_1(arguments, words):
    done = commands.run("-m", "launch.prepare", *arguments)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr + done.stdout
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert words in line and done.stdout == ""


@pytest.mark.parametrize("name", some(["frappe", "movielens_crossed"], fast=["frappe"]))
def test_counts_equal_an_independent_count(shared_dir, tmp_path, name):
    source = shared_dir / "data" / name
    for out in ("out", "again"):
        prepare(datasets.get(name)(Options(source=str(source))), tmp_path / out, shards=2)
    assert contents(tmp_path / "out") == contents(tmp_path / "again")
    with gzip.open(source / "train.csv.gz", "rt") as file:
        header = next(file).rstrip("\n").split(",")
        lines = [line.rstrip("\n").split(",") for line in file]
    schema = Schema.load(tmp_path / "out")
    counts = load_counts(tmp_path / "out", schema)
    ids, labels = rows_of(tmp_path / "out", "train")
    assert len(lines) == len(ids)
    assert labels.tolist() == [float(line[0]) for line in lines]
    for place, field in enumerate(header[1:]):
        own = Counter(line[place + 1] for line in lines)
        values, _ = load_vocabulary(tmp_path / "out", field)
        assert dict(zip(values[1:], counts[field][1:].tolist(), strict=True)) == own
        assert counts[field][0] == 0
        assert np.bincount(ids[:, place], minlength=len(values)).tolist() == counts[field].tolist()
        assert [values[i] for i in ids[::997, place]] == [line[place + 1] for line in lines[::997]]


def test_a_runner_without_beam_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "apache_beam", None)
    with pytest.raises(DataError, match=r"--runner=DirectRunner needs Apache Beam.*launch,beam"):
        BeamEngine("DirectRunner")


@pytest.mark.parametrize(
    ("text", "size"), [("4G", 2**32), ("1.5 kb", 1536), ("700MiB", 700 * 2**20), ("12", 12)]
)
def test_sizes_of_memory(text, size):
    assert parse_memory(text) == size


@pytest.mark.parametrize("text", ["", "G", "-1G", "0", "4 giga", "1e9"])
def test_sizes_of_memory_that_are_none(text):
    with pytest.raises(DataError, match=r"--memory=.*such as 500M or 4G"):
        parse_memory(text)
