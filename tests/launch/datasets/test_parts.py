"""Parts of a data set are its stream, however small they are."""

import gzip

import numpy as np
import polars as pl
import pytest
import small_tables
from kinds import some

from launch.datasets.parts import divided, parts_of
from launch.datasets.raw import RawData, RowAccount, in_memory
from launch.datasets.splitting import fold_splits, mapped, random_splits, time_splits
from launch.datasets.tables import table_rows

TSV = small_tables.table(300).write_csv(separator="\t").encode()
FILES = {
    "plain.tsv": TSV,
    "windows.tsv": TSV.replace(b"\n", b"\r\n"),
    "open_end.tsv": TSV[:-1],
    "blank_lines.tsv": b"\xef\xbb\xbf" + TSV.replace(b"\n", b"\n\n\n") + b"\n\n",
    "damaged.tsv": TSV.replace(b"\t0.25\n", b"\n") + b"a\tb\n",
    "packed.tsv.gz": gzip.compress(TSV, mtime=0),
    "quoted.csv": small_tables.table(300).write_csv().encode(),
}


def read(streams) -> tuple[pl.DataFrame, dict[str, int]]:
    account = RowAccount()
    frames = [frame for stream in streams for frame in stream(account)]
    return pl.concat(frames), dict(account.damaged)


@pytest.mark.parametrize("name", some([*FILES, "rows.parquet"], ["damaged.tsv", "rows.parquet"]))
def test_parts_of_a_file_are_the_file(tmp_path, name):
    path = tmp_path / name
    if name == "rows.parquet":
        small_tables.table(300).write_parquet(path, row_group_size=33)
    else:
        path.write_bytes(FILES[name])
    rows = mapped(table_rows([str(path)]), lambda frame: frame.drop("rate"))
    whole = read([rows])
    assert "rate" not in whole[0].columns
    for size in (97, 1000, 1 << 20):
        parts = divided(rows, size)
        several = not name.endswith((".gz", ".csv")) and size < 1 << 20
        assert (len(parts) > 1) == several
        found = read(parts)
        assert found[0].equals(whole[0]) and found[1] == whole[1]


def test_parts_give_each_row_the_split_that_the_stream_gives(tmp_path):
    small_tables.table(300).write_csv(tmp_path / "rows.tsv", separator="\t")
    rows = table_rows([str(tmp_path / "rows.tsv")])
    shares = {"train": 0.7, "test": 0.3}
    folds = np.random.default_rng(0).integers(0, 3, 300).astype(np.uint8)
    for splits in (
        random_splits(rows, shares, seed=1),
        time_splits(rows, "time", shares),
        fold_splits(rows, folds, {"train": (0, 2), "test": (1,)}),
    ):
        expected = {name: read([splits[name]])[0] for name in splits}
        found, first = {name: [] for name in splits}, 0
        for part in parts_of(RawData(small_tables.SCHEMA, splits), 2000):
            count = read([part.rows])[0].height
            for split, frame in part.numbered(first, first + count).stream(RowAccount()):
                found[split].append(frame)
            first += count
        for name in splits:
            assert pl.concat(found[name]).equals(expected[name])


def test_files_with_other_columns_are_refused_before_they_are_read(tmp_path):
    (tmp_path / "a.csv").write_text("label,user\n1,ann\n")
    (tmp_path / "b.csv").write_text("label,item\n1,ann\n")
    with pytest.raises(ValueError, match=r"b\.csv has the columns label, item"):
        divided(table_rows([str(tmp_path / name) for name in ("a.csv", "b.csv")]), 100)
    pl.DataFrame({"x": [1]}).write_parquet(tmp_path / "a.parquet")
    pl.DataFrame({"x": [1.5]}).write_parquet(tmp_path / "b.parquet")
    with pytest.raises(ValueError, match=r"'x' has the type Float64, in .*a.parquet Int64"):
        divided(table_rows([str(tmp_path / name) for name in ("a.parquet", "b.parquet")]), 100)


def test_rows_that_are_not_read_from_tables_are_one_part():
    table = in_memory(pl.DataFrame({"x": [1, 2]}))
    (part,) = parts_of(RawData(small_tables.SCHEMA, {"train": table}), 1)
    assert [(split, frame.height) for split, frame in part.stream(RowAccount())] == [("train", 2)]
