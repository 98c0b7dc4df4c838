"""Frappe and MovieLens with crossed fields: folders of train, valid and test files."""

import pytest

from launch import datasets
from launch.datasets.raw import Options
from zoo.data.files import DataError


def three(train: str, other: str = "label,a,b\n1,x,y\n") -> dict[str, str]:
    return {"train.csv.gz": train, "valid.csv.gz": other, "test.csv": other}


def test_rows_are_taken_as_they_are_and_ragged_ones_counted(tmp_path, write, load):
    text = 'label,a,b\n1,x,\n0,y\n2,x,z\n0,x,z,w\n0,"x,1",z\n'
    for name in ("frappe", "movielens_crossed"):
        found = load(name, write(tmp_path, three(text)))
        assert found["train"].rows() == [("1", "x", ""), ("2", "x", "z"), ("0", "x,1", "z")]
        assert dict(found.account.damaged) == {"wrong number of columns": 2}
        assert [field.name for field in found.raw.schema.categorical] == ["a", "b"]
        assert found.raw.schema.group is None


def test_line_ends_of_the_published_files_are_no_part_of_a_value(tmp_path, write, load):
    text = "label,user,city\r\n1,ann,rome\r\n"
    assert load("frappe", write(tmp_path, three(text, text)))["test"].rows() == [
        ("1", "ann", "rome")
    ]


def test_the_user_is_the_group_and_the_minimum_count_can_be_chosen(tmp_path, write, load):
    text = "label,item,user\n1,x,y\n"
    raw = load("frappe", write(tmp_path, three(text, text)), min_count=4).raw
    assert raw.schema.group == "user"
    assert {field.min_count for field in raw.schema.categorical} == {4}
    assert {len(raw.files), len(raw.splits)} == {3}


@pytest.mark.parametrize(
    ("train", "words"),
    [
        ("label,a,b,a\n1,x,y,z\n", r"train\.csv\.gz.*'a' occurs twice"),
        ("label,a\n1,x\n", r"columns label, a, b, .*train\.csv\.gz has label, a;"),
    ],
)
def test_a_header_that_cannot_be_used_is_named(tmp_path, write, train, words):
    source = str(write(tmp_path, three(train)))
    with pytest.raises(DataError, match=words):
        datasets.get("frappe")(Options(source=source))


def test_missing_files_are_named(tmp_path, write):
    source = str(write(tmp_path, three("label,a,b\n1,x,y\n")))
    (tmp_path / "test.csv").unlink()
    with pytest.raises(DataError, match=r"test\.csv\.gz is missing"):
        datasets.get("frappe")(Options(source=source))
    with pytest.raises(DataError, match="/no/such/folder"):
        datasets.get("frappe")(Options(source="/no/such/folder"))
    with pytest.raises(DataError, match=r"no --source; name a folder with train\.csv, valid\.csv"):
        datasets.get("movielens_crossed")(Options())


@pytest.mark.parametrize(("name", "features"), [("frappe", 5_379), ("movielens_crossed", 759_241)])
def test_the_shared_data_are_what_the_page_says(shared_dir, load, name, features):
    found = load(name, shared_dir / "data" / name)
    columns = [field.name for field in found.raw.schema.categorical]
    assert sum(found["train"][column].n_unique() for column in columns) == features
    published = found.raw.published
    if published:
        assert features == published.features
        for split, table in found.tables.items():
            assert table.height == published.rows[split]
            assert (table["label"] == "1").mean() == pytest.approx(published.positives[split])
