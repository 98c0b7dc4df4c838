"""Tables as streams: what is read, what is counted, and what is said of a file that is none."""

import gzip

import polars as pl
import pytest

from launch.datasets.raw import RowAccount
from launch.datasets.tables import column_names, is_table, table_rows


def read(*paths, **options):
    account = RowAccount()
    frames = list(table_rows([str(path) for path in paths], **options)(account))
    return (pl.concat(frames) if frames else pl.DataFrame()), account


def test_csv_text_stays_text_and_bad_rows_are_counted(tmp_path):
    path = tmp_path / "rows.csv"
    path.write_bytes(b'\xef\xbb\xbflabel,user\n1,ann\n0,b\xff\n1,x,y\n0,"q,z"\n01,\n7\n')
    table, account = read(path)
    assert table.rows() == [("1", "ann"), ("0", "q,z"), ("01", "")]
    assert account.damaged == {"wrong number of columns": 2, "bytes that are no UTF-8": 1}
    assert account.bytes_read == path.stat().st_size


def test_bad_rows_of_every_block_are_counted_once(tmp_path, monkeypatch):
    monkeypatch.setattr("launch.datasets.tables._BLOCK", 256)
    lines = [b"%d,user%d" % (i, i) for i in range(500)]
    lines[7] = b"7"
    lines[450] = b"450,x,y"
    lines[300] = b"300,\xfe"
    (tmp_path / "rows.csv").write_bytes(b"label,user\n" + b"\n".join(lines))
    table, account = read(tmp_path / "rows.csv")
    assert account.damaged == {"wrong number of columns": 2, "bytes that are no UTF-8": 1}
    assert table["label"].cast(pl.Int64).to_list() == [
        i for i in range(500) if i not in (7, 300, 450)
    ]


def test_tabs_go_without_quotes_and_names_may_be_given(tmp_path):
    (tmp_path / "a.txt").write_text('1\tit"s\n0\t"x\n')
    (tmp_path / "b.tsv.gz").write_bytes(gzip.compress(b"1\tlast\n"))
    table, _ = read(tmp_path / "a.txt", tmp_path / "b.tsv.gz", names=["label", "word"])
    assert table.rows() == [("1", 'it"s'), ("0", '"x'), ("1", "last")]


def test_parquet_keeps_its_types(tmp_path):
    table = pl.DataFrame({"label": [1, None, 0], "tags": [["a"], None, []]})
    table.write_parquet(tmp_path / "rows.parquet")
    found, account = read(tmp_path / "rows.parquet")
    assert found.equals(table)
    assert account.bytes_read == (tmp_path / "rows.parquet").stat().st_size
    assert column_names(str(tmp_path / "rows.parquet")) == ["label", "tags"]


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.csv", b"", "cannot be read as a table: Empty"),
        ("a.csv", b"x,y,x\n1,2,3\n", "'x' stands twice"),
        ("a.csv.gz", gzip.compress(b"x\n" + b"1\n" * 999)[:-9], "cannot be read as a table"),
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
