"""Amazon: histories, the distribution of the negatives, train and test, malformed lines."""

import json

import polars as pl
import pytest

from launch import datasets
from launch.datasets.amazon_electronics import LENGTH
from launch.datasets.raw import Options
from zoo.data.files import DataError

ITEMS = [f"B{number:03}" for number in range(40)]


def review(user: str, item: str, time: int) -> str:
    return json.dumps(
        {"reviewerID": user, "asin": item, "reviewText": "æ {'asin': 'no'}", "unixReviewTime": time}
    )


def meta(item: str) -> str:
    kind = int(item[1:]) % 3
    # Published as Python's literals, not as JSON.
    return repr(
        {"asin": item, "title": "It's", "categories": [["All"], ["Electronics", f"k{kind}"]]}
    )


def published_form() -> dict[str, str]:
    reviews = [review("ann", ITEMS[place], 100 - place) for place in range(8)]
    reviews += [review("bob", ITEMS[30 - place], place // 2) for place in range(5)]
    reviews += [review("eve", "B005", 1), "{broken", review("ann", "X99", 7), '{"asin": "B001"}']
    lines = [meta(item) for item in ITEMS] + [meta("B900"), "nothing here", "{'asin': 'B001'"]
    return {
        "reviews_Electronics_5.json.gz": "\n".join(reviews),
        "meta_Electronics.json.gz": "\n".join(lines) + "\n\n",
    }


def test_rows_follow_din(tmp_path, write, load):
    found = load("amazon_electronics", write(tmp_path, published_form()))
    ann = [ITEMS[place] for place in reversed(range(8))]
    bob = [ITEMS[30 - place] for place in range(5)]  # ties keep the order of the file
    past = {"ann": ann, "bob": bob}
    assert found.heights() == [2 * (6 + 3), 2 * 2, 2 * 2]
    assert found["valid"].equals(found["test"])
    wanted = {
        "train": {(user, n) for user in past for n in range(1, len(past[user]) - 1)},
        "test": {(user, len(past[user]) - 1) for user in past},
    }
    for split, pairs in wanted.items():
        rows = found[split].rows(named=True)
        assert sorted((row["user_id"], len(row["item_history"])) for row in rows) == sorted(
            [*pairs, *pairs]
        )
        for row in rows:
            items = past[row["user_id"]]
            history = row["item_history"]
            assert history == items[: len(history)]
            assert row["cate_history"] == [f"k{int(item[1:]) % 3}" for item in history]
            assert row["cate_id"] == f"k{int(row['item_id'][1:]) % 3}"
            if row["label"]:
                assert row["item_id"] == items[len(history)]
            else:
                assert row["item_id"] not in items
    assert [found[split]["label"].mean() for split in ("train", "test")] == [0.5, 0.5]
    assert dict(found.account.damaged) == {"malformed review": 2, "malformed item": 1}
    assert dict(found.account.left_out) == {"review of an item without a category": 1}
    schema = found.raw.schema
    assert {field.name: field.length for field in schema.categorical} == {
        "item_id": 1, "cate_id": 1, "item_history": LENGTH, "cate_history": LENGTH
    }  # fmt: skip
    assert (schema.group, schema.time) == ("user_id", "time")


def test_the_seed_decides_negatives_and_order(tmp_path, write, load):
    source = write(tmp_path, published_form())
    one, again, other = (load("amazon_electronics", source, seed=seed) for seed in (1, 1, 2))
    assert one["train"].equals(again["train"])
    assert not one["train"].equals(other["train"])
    positives = [t["train"].filter(pl.col("label") == 1).sort("user_id", "item_id")
                 for t in (one, other)]  # fmt: skip
    assert positives[0].equals(positives[1])


def test_negatives_are_uniform_over_what_was_not_reviewed(tmp_path, write, load):
    # 60 users with the same 20 of 40 items: 19 negatives each from the other 20.
    reviews = [review(f"u{user}", item, time) for user in range(300)
               for time, item in enumerate(ITEMS[:20])]  # fmt: skip
    # Somebody else has the others, or they were no items.
    reviews += [review("else", item, 0) for item in ITEMS[20:]]
    text = {"reviews.json": "\n".join(reviews), "meta.json": "\n".join(map(meta, ITEMS))}
    train = load("amazon_electronics", write(tmp_path, text))["train"]
    drawn = train.filter((pl.col("label") == 0) & (pl.col("user_id") != "else"))
    counts = drawn["item_id"].value_counts().sort("item_id")
    assert counts["item_id"].to_list() == ITEMS[20:]
    expected = 300 * 18 / 20
    assert ((counts["count"] - expected).abs() < 5 * expected**0.5).all()


def test_long_histories_keep_the_newest(tmp_path, write, load):
    items = [f"B{number:03}" for number in range(LENGTH + 30)]
    reviews = [review("ann", item, time) for time, item in enumerate(items[:-5])]
    reviews += [review("bob", item, time) for time, item in enumerate(items[-5:])]
    text = {"reviews.json": "\n".join(reviews), "meta.json": "\n".join(map(meta, items))}
    test = load("amazon_electronics", write(tmp_path, text))["test"]
    history = test.filter(pl.col("user_id") == "ann")["item_history"].to_list()[0]
    assert history == items[:-5][-LENGTH - 1 : -1]


def test_published_splits(tmp_path, write, load):
    header = "label,user_id,item_id,cate_id,item_history,cate_history\n"
    long = "^".join(map(str, range(LENGTH + 2)))
    text = header + f"1,7,3,1,{long},1^2\n0,7,4,1,5,\n"
    found = load("amazon_electronics", write(tmp_path, {"train.csv": text, "test.csv.gz": text}))
    assert found["train"]["item_history"].to_list() == [list(map(str, range(2, LENGTH + 2))), ["5"]]
    assert found["train"]["cate_history"].to_list() == [["1", "2"], None]
    assert found.heights() == [2, 2, 2] and found.raw.schema.time is None


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"meta_Electronics.json.gz": None}, "meta_Electronics"),
        ({"reviews_Electronics_5.json.gz": "no json\n"}, "holds no review"),
        ({"meta_Electronics.json.gz": meta("B777")}, "no user .* reviewed two items"),
    ],
)
def test_what_is_wrong_is_named(tmp_path, write, change, words):
    given = {name: text for name, text in {**published_form(), **change}.items() if text}
    with pytest.raises(DataError, match=words):
        datasets.get("amazon_electronics")(Options(source=str(write(tmp_path, given))))


def test_a_broken_archive_is_named(tmp_path, write):
    source = write(tmp_path, published_form())
    path = source / "reviews_Electronics_5.json.gz"
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(DataError, match=r"reviews_Electronics_5\.json\.gz cannot be read"):
        datasets.get("amazon_electronics")(Options(source=str(source)))
