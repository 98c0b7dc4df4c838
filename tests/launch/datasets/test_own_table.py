"""Tables of users: splits, separators, encodings, and files without a header."""

import logging

import polars as pl
import pytest

from launch.datasets import own_table
from launch.datasets.raw import Options, RowAccount, stream
from zoo import Categorical, Schema
from zoo.data.files import DataError

SCHEMA = Schema("clicks", [Categorical("user")], label="click")
ROWS = "click,user\n" + "1,ann\n0,bob\n0,eve\n" * 100


def load(tmp_path, source, **options):
    schema = SCHEMA.save(tmp_path / "described")
    return own_table.load(schema, Options(source=str(source)), **options)


def rows_by_split(raw):
    account, found = RowAccount(), {}
    for split, frame in stream(raw, account):
        found[split] = found.get(split, 0) + frame.height
    return found, account


def messages(caplog) -> str:
    return " ".join(record.getMessage() for record in caplog.records)


@pytest.fixture
def warned(caplog):
    caplog.set_level(logging.WARNING)
    return caplog


def test_a_table_named_train_is_divided_if_shares_are_given(tmp_path, warned):
    (tmp_path / "train.csv").write_text(ROWS)
    raw = load(tmp_path, tmp_path / "train.csv", shares={"train": 0.5, "valid": 0.5})
    found, _ = rows_by_split(raw)
    assert set(found) == {"train", "valid"} and sum(found.values()) == 300
    assert 100 < found["valid"] < 200 and not messages(warned)


def test_without_shares_it_is_the_training_split_and_that_is_said(tmp_path, warned):
    (tmp_path / "train.csv").write_text(ROWS)
    raw = load(tmp_path, tmp_path / "train.csv")
    assert rows_by_split(raw)[0] == {"train": 300}
    assert "named after the split train" in messages(warned)
    assert "--split=0.8,0.1,0.1" in messages(warned)


def test_shares_beside_named_splits_are_an_error(tmp_path):
    (tmp_path / "d").mkdir()
    for name in ("train", "valid"):
        (tmp_path / "d" / f"{name}.csv").write_text(ROWS)
    shares = {"train": 0.5, "valid": 0.5}
    with pytest.raises(DataError, match=r"--split has no effect: .* train, valid; remove it, or"):
        load(tmp_path, tmp_path / "d", shares=shares)
    raw = load(tmp_path, tmp_path / "d", shares=shares, split_by="random")
    assert sum(rows_by_split(raw)[0].values()) == 600


@pytest.mark.parametrize(
    ("name", "separator", "flag"),
    [("a.csv", ";", "';'"), ("a.csv", "\t", "tab"), ("a.txt", ",", "','"), ("a.csv", "|", "'|'")],
)
def test_another_separator_is_named(tmp_path, name, separator, flag):
    path = tmp_path / name
    rows = [f"{i % 2}{separator}user{i % 7}{separator}0,5" for i in range(50)]
    if separator == ",":
        rows = [row.replace("0,5", "0.5") for row in rows]
    path.write_text("\n".join([separator.join(["click", "user", "price"]), *rows]))
    schema = tmp_path / "schema.json"
    for use in (
        lambda: own_table.propose(str(path), str(schema)),
        lambda: rows_by_split(load(tmp_path, path)),
    ):
        with pytest.raises(DataError, match=rf"{name} has one column.*pass --separator={flag}"):
            use()
    text = own_table.propose(str(path), str(schema), separator=separator)
    assert "click: the label" in text and "--separator=" in text
    found, account = rows_by_split(load(tmp_path, path, separator=separator))
    assert sum(found.values()) == 50 and not account.total_damaged


def test_a_proposal_from_latin_1_names_the_byte(tmp_path):
    path = tmp_path / "a.csv"
    path.write_bytes(b"click,city\n" + "1,Malmö\n0,Århus\n".encode("latin-1") * 20)
    with pytest.raises(DataError, match=r"40 invalid UTF-8 .*byte 0xf6 in column 'city'.*iconv"):
        own_table.propose(str(path), str(tmp_path / "schema.json"))
    with path.open("ab") as file:
        file.write(b"1,Oslo\n0,Rome\n1,Oslo\n0,Rome\n")
    text = own_table.propose(str(path), str(tmp_path / "schema.json"))
    assert "rows that were left out: 40 invalid UTF-8" in text


def test_bad_bytes_of_columns_that_are_not_used_lose_no_row(tmp_path):
    path = tmp_path / "a.csv"
    path.write_bytes(b"click,user,note\n1,ann,\xff\xfe\n0,bob,fine\n1,\xe9ve,fine\n")
    found, account = rows_by_split(load(tmp_path, path))
    assert sum(found.values()) == 2
    assert account.damaged == {"invalid UTF-8": 1}
    assert account.examples["invalid UTF-8"].startswith("byte 0xe9 in column 'user', 'éve'")


def test_a_first_line_of_data_is_said(tmp_path, warned):
    (tmp_path / "a.csv").write_text("1,ann,0.5\n0,bob,0.25\n")
    list(own_table.table_rows([str(tmp_path / "a.csv")])(RowAccount()))
    assert "'1, ann, 0.5', is read as the names of the columns" in messages(warned)
    assert "insert a line with the names" in messages(warned)
    (tmp_path / "b.csv").write_text("1,1,0.5\n0,2,0.25\n")
    with pytest.raises(DataError, match=r"'1' occurs twice .*no header, insert a line"):
        list(own_table.table_rows([str(tmp_path / "b.csv")])(RowAccount()))


def test_names_of_pandas_are_names(tmp_path, warned):
    frame = pl.DataFrame({"0": [1, 0], "1": [5, 6], "click": [1, 0]})
    frame.write_csv(tmp_path / "a.csv")
    list(own_table.table_rows([str(tmp_path / "a.csv")])(RowAccount()))
    assert not messages(warned)
