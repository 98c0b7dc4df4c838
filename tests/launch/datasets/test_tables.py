"""Tables as streams: rows, counts, and errors for files that are not tables."""

import gzip

import polars as pl
import pyarrow as pa
import pytest
from pyarrow import parquet

from launch.datasets.raw import RowAccount
from launch.datasets.tables import column_names, is_table, table_rows
from zoo.data.files import DataError


def read(*paths, **options):
    account = RowAccount()
    frames = list(table_rows([str(path) for path in paths], **options)(account))
    return (pl.concat(frames) if frames else pl.DataFrame()), account


def test_csv_text_stays_text_and_bad_rows_are_counted(tmp_path):
    path = tmp_path / "rows.csv"
    path.write_bytes(b'\xef\xbb\xbflabel,user\n1,ann\n0,b\xff\n1,x,y\n0,"q,z"\n01,\n7\n')
    table, account = read(path)
    assert table.rows() == [("1", "ann"), ("0", "q,z"), ("01", "")]
    assert account.damaged == {"wrong number of columns": 2, "invalid UTF-8": 1}
    assert account.bytes_read == path.stat().st_size


def test_a_column_without_a_name_is_text_too(tmp_path):
    (tmp_path / "rows.csv").write_text(",label\n0,1\n1,0\n")  # as pandas writes its index
    table, _ = read(tmp_path / "rows.csv")
    assert table.rows() == [("0", "1"), ("1", "0")]


def test_bad_rows_of_every_block_are_counted_once(tmp_path, monkeypatch):
    monkeypatch.setattr("launch.datasets.tables._BLOCK", 256)
    lines = [b"%d,user%d" % (i, i) for i in range(500)]
    lines[7] = b"7"
    lines[450] = b"450,x,y"
    lines[300] = b"300,\xfe"
    (tmp_path / "rows.csv").write_bytes(b"label,user\n" + b"\n".join(lines))
    table, account = read(tmp_path / "rows.csv")
    assert account.damaged == {"wrong number of columns": 2, "invalid UTF-8": 1}
    assert table["label"].cast(pl.Int64).to_list() == [
        i for i in range(500) if i not in (7, 300, 450)
    ]


def test_tabs_go_without_quotes_and_names_may_be_given(tmp_path):
    (tmp_path / "a.txt").write_text('1\tit"s\n0\t"x\n')
    (tmp_path / "b.tsv.gz").write_bytes(gzip.compress(b"1\tlast\n"))
    table, _ = read(tmp_path / "a.txt", tmp_path / "b.tsv.gz", names=["label", "word"])
    assert table.rows() == [("1", 'it"s'), ("0", '"x'), ("1", "last")]


def test_line_ends_within_quotes_may_lie_at_the_end_of_a_block(tmp_path, monkeypatch):
    monkeypatch.setattr("launch.datasets.tables._BLOCK", 64)
    rows = [(str(i), f"a\nb{i % 3},c" if i % 2 else "plain") for i in range(200)]
    pl.DataFrame(rows, ["label", "user"], orient="row").write_csv(tmp_path / "rows.csv")
    table, account = read(tmp_path / "rows.csv")
    assert table.rows() == rows and not account.damaged


def test_a_quotation_mark_without_end_is_counted_by_the_lines_it_takes(tmp_path, monkeypatch):
    (tmp_path / "rows.csv").write_text('user,label\nann,1\n"bob,0\n' + "eve,1\n" * 50)
    table, account = read(tmp_path / "rows.csv")
    assert table.height + account.total_damaged == 52
    monkeypatch.setattr("launch.datasets.tables._BLOCK", 64)
    with pytest.raises(DataError, match=r"rows\.csv cannot be read.*quotation mark"):
        read(tmp_path / "rows.csv")


def test_dictionaries_and_arrays_of_parquet_become_plain(tmp_path):
    table = {
        "label": pa.array(["1", "0", "1"]).dictionary_encode(),
        "pair": pa.array([[1, 2], [3, 4], None], pa.list_(pa.int64(), 2)),
        "tags": pa.array([["a"], [], None], pa.list_(pa.dictionary(pa.int8(), pa.string()))),
    }
    parquet.write_table(pa.table(table), tmp_path / "rows.parquet")
    found, account = read(tmp_path / "rows.parquet")
    assert found.rows() == [("1", [1, 2], ["a"]), ("0", [3, 4], []), ("1", None, None)]
    assert not account.damaged


def test_files_of_a_table_have_types_with_the_same_texts(tmp_path):
    tables = {"a": [None, None], "b": [1, 2], "c": pl.Series([3, 4], dtype=pl.UInt8)}
    for name, users in tables.items():
        pl.DataFrame({"user": users}).write_parquet(tmp_path / f"{name}.parquet")
    files = [str(tmp_path / f"{name}.parquet") for name in tables]
    assert sum(frame.height for frame in table_rows(files)(RowAccount())) == 6
    pl.DataFrame({"user": [1.0]}).write_parquet(tmp_path / "d.parquet")
    with pytest.raises(DataError, match=r"d\.parquet: the column 'user' has the type Float64"):
        read(*files[1:2], tmp_path / "d.parquet")


def test_parquet_keeps_its_types(tmp_path):
    table = pl.DataFrame({"label": [1, None, 0], "tags": [["a"], None, []]})
    table.write_parquet(tmp_path / "rows.parquet")
    found, account = read(tmp_path / "rows.parquet")
    assert found.equals(table)
    assert account.bytes_read == (tmp_path / "rows.parquet").stat().st_size
    assert column_names(str(tmp_path / "rows.parquet")) == ["label", "tags"]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # of Arrow
@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.csv", b"", "cannot be read as a table: Empty"),
        ("a.csv", b"label,us\xe9r\n1,a\n", r"a\.csv cannot be read as a table: 'utf-8'"),
        ("a.csv", b"label,user\n1,\xff,a\n", "also contains invalid UTF-8"),
        ("a.csv", b"x,y,x\n1,2,3\n", "'x' occurs twice"),
        ("a.csv.gz", gzip.compress(b"x\n" + b"1\n" * 999, mtime=0)[:-9], "cannot be read as"),
        ("a.parquet", b"PAR1 not", "cannot be read as a table"),
        ("absent.csv", None, "no file"),
    ],
)
def test_a_file_that_is_no_table_is_named(tmp_path, name, content, words):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=words) as caught:
        read(tmp_path / name)
    assert name in str(caught.value)


def test_files_with_other_columns_are_refused(tmp_path):
    (tmp_path / "a.csv").write_text("x,y\n1,2\n")
    (tmp_path / "b.csv").write_text("x,z\n1,2\n")
    with pytest.raises(ValueError, match=r"b\.csv has the columns x, z, .*a\.csv has x, y"):
        read(tmp_path / "a.csv", tmp_path / "b.csv")


def test_endings_tell_tables():
    names = ["a.csv", "b.TSV.GZ", "c.parquet", "d.txt.zst", "e.json", "csv", "f.csv.zip"]
    assert [is_table(name) for name in names] == [True, True, True, True, False, False, False]
