"""Raw files are found, opened and decompressed alike on every file system."""

import bz2
import gzip
import random
import sys

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyarrow import csv

from launch.raw.files import RawFile, list_raw, open_random
from zoo.data.files import DataError

TEXT = b"a,b\n" + b"".join(b"%d,%d\n" % (i, i * i) for i in range(200_000))


@pytest.fixture(params=["local", "file", "memory"])
def folder(request, tmp_path):
    """A folder on each kind of file system: this code's own, pyarrow's, fsspec's."""
    if request.param == "memory":
        fsspec.filesystem("memory").store.clear()
        return "memory://bucket/data"
    return {"local": str(tmp_path), "file": tmp_path.as_uri()}[request.param]


def put(folder, name, content):
    path = f"{folder}/{name}"
    with fsspec.open(path, "wb", auto_mkdir=True) as file:
        file.write(content)
    return path


def zstd(content):
    return pa.compress(content, "zstd", asbytes=True)


def two_members(content):
    return gzip.compress(content[:1000], 1) + gzip.compress(content[1000:], 1)


@pytest.mark.parametrize(
    ("name", "compress"),
    [
        ("a.csv", bytes),
        ("a.CSV.GZ", two_members),
        ("a.csv.bz2", lambda content: bz2.compress(content, 1)),
        ("a.csv.zst", zstd),
    ],
)
def test_content_is_decompressed_and_the_place_is_told_in_bytes_on_disk(folder, name, compress):
    content = compress(TEXT)
    path = put(folder, name, content)
    with RawFile(path) as file:
        assert (file.path, file.size, file.position()) == (path, len(content), 0)
        places = [file.position() for _ in iter(lambda: file.stream.read(100_000), b"")]
    assert places == sorted(places)
    assert places[-1] == len(content) == file.position()
    assert len(content) < 100_000 or places[0] < len(content)
    with RawFile(path) as file, csv.open_csv(file.stream) as reader:
        table = reader.read_all()
    assert table.num_rows == 200_000
    assert table["b"][-1].as_py() == 199_999**2


def test_parquet_is_read_at_any_place(folder):
    sink = pa.BufferOutputStream()
    table = pa.table({"x": [1, None, 3]})
    pq.write_table(table, sink)
    path = put(folder, "a.parquet", sink.getvalue().to_pybytes())
    with open_random(path) as file:
        assert pq.ParquetFile(file).read().equals(table)


def test_files_of_a_folder_and_of_patterns_come_in_order(folder):
    for name in ("day=2/b 1.csv", "day=1/c.csv", "day=1/a.csv", "day=1/.a.crc", "day=1/_SUCCESS"):
        put(folder, name, name.encode())

    def names(path):
        found = []
        for one in list_raw(path):
            with RawFile(one) as file:
                found.append(file.stream.read().decode())
        return found

    assert names(f"{folder}/day=1") == ["day=1/a.csv", "day=1/c.csv"]
    assert names(f"{folder}/day=1/") == ["day=1/a.csv", "day=1/c.csv"]
    assert names(f"{folder}/*/*.csv") == ["day=1/a.csv", "day=1/c.csv", "day=2/b 1.csv"]
    assert names(f"{folder}/*/[ab]*.csv") == ["day=1/a.csv", "day=2/b 1.csv"]
    assert names(f"{folder}/*/a.csv") == ["day=1/a.csv"]
    assert names(f"{folder}/day=2/b 1.csv") == ["day=2/b 1.csv"]
    assert list_raw(f"{folder}/day=1/a.csv") == [f"{folder}/day=1/a.csv"]
    for nothing in ("", "/none*", "/*/none.csv", "/day=1/a.csv/*"):
        with pytest.raises(DataError, match="no file matches"):
            list_raw(f"{folder}{nothing}")
    with pytest.raises(DataError, match=r"no file .*none\.csv; check the path"):
        list_raw(f"{folder}/none.csv")


def test_home_and_relative_paths(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    for name in ("a[1].csv", "b.csv"):
        put(tmp_path, name, b"x")
    assert list_raw("~/a[1].csv") == ["~/a[1].csv"]
    assert list_raw("~/*.csv") == ["~/a[1].csv", "~/b.csv"]
    assert list_raw("?.csv") == ["./b.csv"]
    assert list_raw(".") == ["./a[1].csv", "./b.csv"]
    assert RawFile("~/b.csv").size == RawFile("b.csv").size == 1


def test_what_cannot_be_read_is_said_in_one_line(folder, tmp_path, monkeypatch):
    put(folder, "day/a.csv", b"x")
    with pytest.raises(DataError, match=r"no file .*none\.csv; check the path"):
        RawFile(f"{folder}/none.csv")
    with pytest.raises(DataError, match="day is a folder; name a file"):
        RawFile(f"{folder}/day")
    with pytest.raises(DataError, match=r"no file system for nosuch://.*pyarrow reads"):
        RawFile("nosuch://bucket/a.csv")
    monkeypatch.setitem(sys.modules, "dropboxdrivefs", None)
    with pytest.raises(DataError, match=r"no file system for dropbox://.*install the package"):
        list_raw("dropbox://folder/*.csv")


def test_a_truncated_archive_is_an_error(folder):
    path = put(folder, "a.csv.gz", gzip.compress(random.Random(0).randbytes(10_000))[:5_000])
    with RawFile(path) as file, pytest.raises(OSError, match="Truncated"):
        file.stream.read()
