"""The preparation command: what it writes, counts, repeats byte for byte and refuses."""

import gzip
import os
import subprocess
import sys
import zipfile
from collections import Counter
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from launch import datasets
from launch.datasets import movielens_1m, synthetic
from launch.datasets.raw import Field, Options, RawData
from launch.prepare import prepare
from zoo import Ledger, Numeric, Schema, load_counts, read_tfrecords
from zoo.vocabulary import load_vocabulary

ROOT = Path(__file__).resolve().parents[2]


def run(*arguments: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-m", "launch.prepare", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
        timeout=120,
    )


def contents(folder: Path) -> dict[str, bytes]:
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def rows_of(folder: Path, split: str) -> tuple[np.ndarray, np.ndarray]:
    batches = list(read_tfrecords(folder, split).as_numpy_iterator())
    ids = np.concatenate([features["ids"] for features, _ in batches])
    return ids, np.concatenate([label for _, label in batches])[:, 0]


def tiny() -> RawData:
    train = pl.DataFrame(
        {
            "label": [1, 0, 1, 0],
            "user": ["b", "a", "b", None],
            "tags": [["x", "y", "z"], ["x"], [], None],
            "price": [1.0, 3.0, None, float("inf")],
        }
    )
    valid = train.with_columns(pl.Series("user", ["b", "new", "new\tline", "a"]))
    fields = (Field("user"), Field("tags", length=2, pooling="sum"))
    return RawData("tiny", {"train": train, "valid": valid}, fields, ("price",))


def test_ids_numbers_and_counts_of_a_small_table(tmp_path):
    summary = prepare(tiny(), tmp_path / "out")
    schema = Schema.load(tmp_path / "out")
    assert schema.field_sizes == {"user": 4, "tags": 3}
    assert schema.numeric == (Numeric("price", mean=2.0, std=1.0),)
    assert load_vocabulary(tmp_path / "out", "user")[0] == ["<oov>", "b", "", "a"]
    counts = {name: c.tolist() for name, c in load_counts(tmp_path / "out", schema).items()}
    assert counts == {"user": [0, 2, 1, 1], "tags": [0, 2, 1]}
    ids, labels = rows_of(tmp_path / "out", "train")
    assert ids.tolist() == [[1, 1, 2], [3, 1, -1], [1, -1, -1], [2, -1, -1]]
    assert labels.tolist() == [1, 0, 1, 0]
    assert rows_of(tmp_path / "out", "valid")[0][:, 0].tolist() == [1, 0, 0, 3]
    features, _ = next(iter(read_tfrecords(tmp_path / "out", "train")))
    assert features["numeric"].numpy().tolist() == [[1.0], [3.0], [2.0], [2.0]]
    assert "changed 4 missing values of price" in summary  # 2 in each split
    assert "changed 2 values beyond the first 2 of tags" in summary
    assert "changed 1 values of user with a tab" in summary
    assert " 50.00%" in summary and "2 fields in all" in summary


def test_min_count_moves_rare_values_to_id_0(tmp_path):
    prepare(tiny(), tmp_path / "out", min_count=2)
    schema = Schema.load(tmp_path / "out")
    assert schema.field_sizes == {"user": 2, "tags": 2}
    assert load_counts(tmp_path / "out", schema)["user"].tolist() == [2, 2]


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


def test_a_failure_leaves_nothing_behind(tmp_path):
    raw = tiny()
    bad = raw.splits["valid"].with_columns(label=pl.lit(3))
    with pytest.raises(ValueError, match="0 to 1"):
        prepare(RawData("t", {**raw.splits, "valid": bad}, raw.fields), tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_synthetic_is_decided_by_its_seed():
    first, again, other = (synthetic.load(Options(rows=400, seed=s)) for s in (3, 3, 4))
    for split in ("train", "valid", "test"):
        assert first.splits[split].equals(again.splits[split])
        assert not first.splits[split].equals(other.splits[split])
    assert [first.splits[s].height for s in first.splits] == [400, 50, 50]
    assert len(first.fields) == 16
    with pytest.raises(ValueError, match="--rows=3"):
        synthetic.load(Options(rows=3))


def test_synthetic_has_a_long_tail_and_a_signal():
    train = synthetic.load(Options(rows=50_000)).splits["train"]
    counts = train["user_campaign"].value_counts()["count"]
    assert (counts <= 2).mean() > 0.8
    by_item = train.group_by("item").agg(pl.len(), pl.col("label").mean())
    frequent = by_item.filter(pl.col("len") >= 100)["label"]
    assert frequent.std() > 0.08  # with no signal it would be about 0.03


@pytest.fixture(scope="module")
def movielens_zip(tmp_path_factory) -> Path:
    users = [f"{u}::{'FM'[u % 2]}::{18 + u}::{u % 3}::9000{u}" for u in range(1, 5)]
    movies = ["1::Amélie (2001)::Comedy|Romance", "2::Se7en (1995)::Thriller", "3::Up: a::Drama"]
    start = 978_300_000  # a Sunday, 22:00 UTC
    ratings = [f"{1 + i % 4}::{1 + i % 2}::{1 + i % 5}::{start + 3600 * i}" for i in range(20)]
    ratings += ["1::2::5", "9::1::5::978300000", "1::2::x::978300000", "1::2::9::978300000"]
    movies += ["4::no genres"]
    path = tmp_path_factory.mktemp("movielens") / "ml-1m.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name, lines in (("users", users), ("movies", movies), ("ratings", ratings[::-1])):
            text = "\r\n".join(lines) + "\n"
            archive.writestr(f"ml-1m/{name}.dat", text.encode("latin-1"))
    return path


def test_movielens_1m_from_a_zip_or_its_folder(tmp_path, movielens_zip):
    raw = movielens_1m.load(Options(source=str(movielens_zip)))
    assert [raw.splits[s].height for s in ("train", "valid", "test")] == [16, 2, 2]
    rows = pl.concat(raw.splits.values())
    assert rows["label"].to_list() == [float(1 + i % 5 >= 4) for i in range(20)]  # by time
    assert rows["genres"].to_list()[:2] == [["Comedy", "Romance"], ["Thriller"]]
    assert rows["hour"].to_list() == [(22 + i) % 24 for i in range(20)]
    assert rows["weekday"].to_list() == [7] * 2 + [1] * 18
    assert rows.row(2, named=True)["zip"] == "90003"
    assert dict(raw.dropped) == {
        "ratings: malformed or repeated lines": 1,
        "ratings: not a number": 2,
        "ratings: user or film not described": 1,
        "movies: malformed or repeated lines": 1,
    }
    with zipfile.ZipFile(movielens_zip) as archive:
        archive.extractall(tmp_path)
    for folder in (tmp_path, tmp_path / "ml-1m"):
        again = movielens_1m.load(Options(source=str(folder)))
        assert all(again.splits[s].equals(raw.splits[s]) for s in raw.splits)
    summary = prepare(raw, tmp_path / "out")
    assert "dropped 2 rows: ratings: not a number" in summary
    assert Schema.load(tmp_path / "out").field_lengths["genres"] == 6


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda path: None, "does not exist"),
        (lambda path: path.write_bytes(b"no zip"), "not MovieLens-1M's zip"),
        (lambda path: zipfile.ZipFile(path, "w").close(), "ratings.dat"),
        (lambda path: path.mkdir(), "holds no ratings.dat"),
    ],
)
def test_movielens_1m_names_a_bad_source(tmp_path, make, words):
    make(tmp_path / "source")
    with pytest.raises(ValueError, match=words):
        movielens_1m.load(Options(source=str(tmp_path / "source")))


def test_movielens_1m_download_is_checked(tmp_path, monkeypatch):
    monkeypatch.setenv("TF_HELEN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(movielens_1m, "URL", (tmp_path / "absent.zip").as_uri())
    with pytest.raises(ValueError, match=r"cannot download .*--source=ml-1m\.zip"):
        movielens_1m.load(Options())
    (tmp_path / "false.zip").write_bytes(b"something else")
    monkeypatch.setattr(movielens_1m, "URL", (tmp_path / "false.zip").as_uri())
    with pytest.raises(ValueError, match="expected c4d9eecfca2ab87c1945afe126590906"):
        movielens_1m.load(Options())
    assert list((tmp_path / "cache").iterdir()) == []


def write_csv_folder(folder: Path, train: str) -> Path:
    folder.mkdir()
    for split, text in (("train", train), ("valid", "label,a,b\n1,x,y\n"), ("test", train)):
        (folder / f"{split}.csv.gz").write_bytes(gzip.compress(text.encode()))
    return folder


def test_bad_csv_rows_are_counted(tmp_path):
    text = 'label,a,b\n1,x,\n0,y\n2,x,z\n0,x,z,w\n0,"x,1",z\n'
    raw = datasets.get("frappe")(Options(source=str(write_csv_folder(tmp_path / "in", text))))
    assert raw.splits["train"].rows() == [(1.0, "x", ""), (0.0, "x,1", "z")]
    assert raw.dropped["train: wrong number of columns"] == 2
    assert raw.dropped["train: label is not 0 or 1"] == 1


def test_csv_labels_are_read_as_numbers(tmp_path):
    text = "label,a\n1.0,x\n0.0,y\n 1,z\n0.5,w\nyes,v\n,u\n"
    folder = write_csv_folder(tmp_path / "in", text)
    (folder / "valid.csv.gz").write_bytes(gzip.compress(text.encode()))
    raw = datasets.get("frappe")(Options(source=str(folder)))
    assert raw.splits["train"].rows() == [(1.0, "x"), (0.0, "y"), (1.0, "z")]
    assert raw.dropped["train: label is not 0 or 1"] == 3


@pytest.mark.parametrize(
    ("train", "words"),
    [
        ("label,a,b,a\n1,x,y,z\n", r"train\.csv\.gz.*'a' stands twice"),
        ("a,b,label\nx,y,1\n", r"train\.csv\.gz: no label is 0 or 1.*'a'.*Received: 'x'"),
    ],
)
def test_a_csv_header_that_cannot_be_used_is_named(tmp_path, train, words):
    folder = write_csv_folder(tmp_path / "in", train)
    with pytest.raises(ValueError, match=words):
        datasets.get("frappe")(Options(source=str(folder)))


def test_a_broken_csv_file_is_named(tmp_path):
    folder = write_csv_folder(tmp_path / "in", "label,a,b\n1,x,y\n")
    good = (folder / "test.csv.gz").read_bytes()
    (folder / "test.csv.gz").write_bytes(good[:-12])
    with pytest.raises(ValueError, match=r"test\.csv\.gz"):
        datasets.get("frappe")(Options(source=str(folder)))
    (folder / "test.csv.gz").unlink()
    with pytest.raises(ValueError, match=r"test\.csv\.gz is missing"):
        datasets.get("frappe")(Options(source=str(folder)))


def test_unknown_names_suggest_the_nearest():
    assert datasets.available() == ["frappe", "movielens_1m", "movielens_crossed", "synthetic"]
    with pytest.raises(ValueError, match="Did you mean 'frappe'"):
        datasets.get("frape")


def test_the_command_writes_the_same_bytes_twice(tmp_path):
    options = ["--dataset=synthetic", "--rows=2000", "--shards=2", "--compression=GZIP"]
    for name in ("one", "two"):
        done = run(*options, f"--out={tmp_path / name}")
        assert done.returncode == 0, done.stderr
        assert "16 fields in all" in done.stdout and "2,000" in done.stdout
    one = contents(tmp_path / "one")
    assert one == contents(tmp_path / "two")
    assert {"schema.json", "manifest.json", "vocabulary/user.tsv"} < one.keys()
    ledger = Ledger()
    read_tfrecords(tmp_path / "one", "train", ledger=ledger)
    assert (ledger.total_read, ledger.total_lost) == (2000, 0)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--dataset=synthetc", "--out=unused"], "Did you mean 'synthetic'"),
        (["--dataset=frappe", "--out=unused", "--source=/no/such/folder"], "/no/such/folder"),
        (["--dataset=synthetic", "--out=unused", "--source=x"], "--source=x has no use"),
        (["--datasets=frappe"], "datasets"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_1(arguments, words):
    done = run(*arguments)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr + done.stdout
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert words in line and done.stdout == ""


def test_frappe_counts_equal_an_independent_count(shared_dir, tmp_path):
    source = shared_dir / "data" / "frappe"
    prepare(datasets.get("frappe")(Options(source=str(source))), tmp_path / "out", shards=2)
    with gzip.open(source / "train.csv.gz", "rt") as file:
        header = next(file).rstrip("\n").split(",")
        lines = [line.rstrip("\n").split(",") for line in file]
    schema = Schema.load(tmp_path / "out")
    counts = load_counts(tmp_path / "out", schema)
    ids, labels = rows_of(tmp_path / "out", "train")
    assert len(lines) == 202_027 == len(ids)
    assert labels.tolist() == [float(line[0]) for line in lines]
    for place, field in enumerate(header[1:]):
        own = Counter(line[place + 1] for line in lines)
        values, _ = load_vocabulary(tmp_path / "out", field)
        assert dict(zip(values[1:], counts[field][1:].tolist(), strict=True)) == own
        assert counts[field][0] == 0
        assert np.bincount(ids[:, place], minlength=len(values)).tolist() == counts[field].tolist()
        assert [values[i] for i in ids[::997, place]] == [line[place + 1] for line in lines[::997]]
