"""mind5k: impressions in the order of time, whose history shares the vocabulary of the news."""

import numpy as np
import pytest

from launch import datasets
from launch.datasets.raw import Options
from launch.prepare import prepare
from zoo import Schema, read_tfrecords
from zoo.data.files import DataError
from zoo.data.vocabulary import load_vocabulary

HEADER = (
    "label,time,impression,user,news,category,subcategory,hour,weekday,history_len,"
    "hist1,hist2,hist3\n"
)


def rows(first: int, impressions: int) -> str:
    """Impressions of two items each, a minute apart."""
    lines = [
        f"{item},{1000 + 60 * number},{number},u{number % 3},n{number + item},,,0,5,2,n{number},,"
        for number in range(first, first + impressions)
        for item in (0, 1)
    ]
    return HEADER + "\n".join(lines) + "\n"


@pytest.fixture
def source(tmp_path, write):
    files = {"train.csv.gz": rows(0, 4), "valid.csv": rows(4, 1), "test.csv": rows(5, 1)}
    return write(tmp_path / "raw", files)


def test_columns_have_their_roles(source, load):
    found = load("mind5k", source)
    schema = found.raw.schema
    assert found.heights() == [8, 2, 2]
    assert (schema.group, schema.time, schema.time_ordered) == ("impression", "time", True)
    names = [field.name for field in schema.categorical]
    assert not {"label", "time", "impression"} & set(names) and len(names) == 10
    shares = {field.name: field.shares for field in schema.categorical if field.shares}
    assert shares == {"hist1": "news", "hist2": "news", "hist3": "news"}


def test_the_prepared_rows_are_in_the_order_of_the_files(tmp_path, source):
    out = str(tmp_path / "out")
    prepare(datasets.get("mind5k")(Options(source=str(source))), out, shards=2)
    schema = Schema.load(out)
    assert schema.time_ordered
    ((features, label),) = read_tfrecords(out, "train", batch_size=8, group=True)
    values, _ = load_vocabulary(out, "news")
    assert [values[i] for i in features["ids"][:, 1].numpy()] == [
        f"n{number + item}" for number in range(4) for item in (0, 1)
    ]
    assert label[:, 0].numpy().tolist() == [0, 1] * 4
    group = features["group"][:, 0].numpy()
    assert (np.diff(group) != 0).tolist() == [False, True] * 3 + [False]


def test_rows_that_are_not_in_the_order_of_time_are_refused(tmp_path, write):
    header, *lines = rows(0, 4).splitlines(keepends=True)
    files = {"train.csv": header + "".join(lines[::-1]), "valid.csv": rows(4, 1)}
    source = write(tmp_path / "raw", {**files, "test.csv": rows(5, 1)})
    raw = datasets.get("mind5k")(Options(source=str(source)))
    with pytest.raises(DataError, match=r"train rows.*'time': 1120\.0 comes after 1180\.0; sort"):
        prepare(raw, str(tmp_path / "out"))


def test_a_missing_column_is_named(tmp_path, write):
    text = "label,time,user\n1,2,3\n"
    source = write(tmp_path, {"train.csv": text, "valid.csv": text, "test.csv": text})
    with pytest.raises(DataError, match=r"no column 'impression', which mind5k has"):
        datasets.get("mind5k")(Options(source=str(source)))


def test_the_shared_data_are_what_the_page_says(shared_dir, load):
    found = load("mind5k", shared_dir / "data" / "mind5k")
    assert found.heights() == [149_087, 21_507, 18_765]
    times = [found[split]["time"].cast(int) for split in ("train", "valid", "test")]
    assert all(column.is_sorted() for column in times)
    assert times[0][-1] < times[1][0] and times[1][-1] < times[2][0]
    assert [found[split]["impression"].n_unique() for split in found.tables] == [4000, 500, 500]
    assert found["train"]["user"].n_unique() == 3_755
