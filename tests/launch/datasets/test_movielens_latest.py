"""MovieLens tags: two tags that the user did not give, splits by chance, BARS's files."""

import zipfile

import polars as pl
import pytest

from launch import datasets
from launch.datasets.raw import Options
from zoo.data.files import DataError


def tags_csv() -> str:
    lines = [f'{user},{user % 7},"tag {tag}, {tag}",{tag}' for user in range(90)
             for tag in range(user % 5, 12, 1 + user % 3)]  # fmt: skip
    # Somebody gives tags that the others did not, or nothing would be left to draw.
    lines += [f"200,3,tag {tag},9" for tag in range(12, 30)]
    lines += ['0,0,"tag 0, 0",77', "3,3,,5", "4,4,cut"]
    return "userId,movieId,tag,timestamp\n" + "\n".join(lines) + "\n"


def everything(found) -> pl.DataFrame:
    return pl.concat(found.tables.values())


def test_each_tag_comes_with_two_that_were_not_given(tmp_path, write, load):
    found = load("movielens_latest", write(tmp_path, {"tags.csv": tags_csv()}))
    rows = everything(found)
    given = rows.filter(pl.col("label") == 1)
    assert given.select("user_id", "item_id", "tag_id").is_unique().all()
    expected = sum(len(range(user % 5, 12, 1 + user % 3)) for user in range(90))
    expected += 18
    assert given.height == expected and rows.height == 3 * expected
    keys = ["user_id", "item_id", "tag_id"]
    negative = rows.filter(pl.col("label") == 0)
    assert negative.join(given, on=keys, how="semi").is_empty()
    assert set(negative["tag_id"]) <= set(given["tag_id"])
    per_pair = [t.group_by("user_id", "item_id").len().sort("user_id", "item_id")
                for t in (given, negative)]  # fmt: skip
    assert (per_pair[0]["len"] * 2).to_list() == per_pair[1]["len"].to_list()
    assert dict(found.account.damaged) == {
        "wrong number of columns": 1, "an empty user, film or tag": 1
    }  # fmt: skip
    assert dict(found.account.left_out) == {"tag given again": 1}
    shares = [height / rows.height for height in found.heights()]
    assert shares == pytest.approx([0.7, 0.2, 0.1], abs=0.06)
    assert found.raw.schema.group == "user_id"


def test_negatives_are_uniform_over_the_tags_not_given(tmp_path, write, load):
    lines = [f"{user},1,t{tag:02},5" for user in range(400) for tag in range(10)]
    lines += [f"999,1,t{tag:02},5" for tag in range(10, 20)]
    text = "userId,movieId,tag,timestamp\n" + "\n".join(lines) + "\n"
    rows = everything(load("movielens_latest", write(tmp_path, {"tags.csv": text})))
    drawn = rows.filter((pl.col("label") == 0) & (pl.col("user_id") != "999"))
    counts = drawn["tag_id"].value_counts().sort("tag_id")
    assert counts["tag_id"].to_list() == [f"t{tag:02}" for tag in range(10, 20)]
    expected = 400 * 10 * 2 / 10
    assert ((counts["count"] - expected).abs() < 5 * expected**0.5).all()


def test_a_zip_its_folder_and_its_file_are_the_same(tmp_path, write, load, monkeypatch):
    monkeypatch.setenv("TF_HELEN_CACHE", str(tmp_path / "cache"))
    folder = write(tmp_path / "ml-20m", {"tags.csv": tags_csv(), "movies.csv": "a\n"})
    with zipfile.ZipFile(tmp_path / "ml-20m.zip", "w") as archive:
        archive.write(folder / "tags.csv", "ml-20m/tags.csv")
    sources = (folder, folder / "tags.csv", tmp_path / "ml-20m.zip")
    first, *others = (everything(load("movielens_latest", s, seed=3)) for s in sources)
    assert all(first.equals(other) for other in others)
    assert not first.equals(everything(load("movielens_latest", folder, seed=4)))


def test_published_splits(tmp_path, write, load):
    text = "label,user_id,item_id,tag_id\n1,51798,2473,37583\n0,5,6,7\n"
    files = dict.fromkeys(("train.csv", "valid.csv", "test.csv"), text)
    found = load("movielens_latest", write(tmp_path, files))
    assert found["test"].rows() == [("1", "51798", "2473", "37583"), ("0", "5", "6", "7")]


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({"tags.csv": "userId,movieId\n1,2\n"}, "no column 'tag'"),
        ({"tags.csv": "userId,movieId,tag,timestamp\n"}, "holds no tag"),
        ({"ratings.csv": "userId\n"}, r"train\.csv\.gz is missing"),
    ],
)
def test_what_is_missing_is_named(tmp_path, write, files, words):
    with pytest.raises(DataError, match=words):
        datasets.get("movielens_latest")(Options(source=str(write(tmp_path, files))))
