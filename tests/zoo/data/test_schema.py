"""Schemas: allowed values, files, and errors."""

import json
import re
from pathlib import Path

import pytest

from zoo import Categorical, Numeric, Schema, SchemaError, SchemaMismatchError


def make_schema() -> Schema:
    return Schema(
        "tiny",
        [Categorical("user", 10), Categorical("tags", 5, length=3, pooling="sum")],
        [Numeric("price", mean=2.5, std=0.5)],
        label="click",
    )


def test_sizes_lengths_and_width():
    schema = make_schema()
    assert schema.field_sizes == {"user": 10, "tags": 5}
    assert schema.field_lengths == {"user": 1, "tags": 3}
    assert schema.ids_width == 4


def test_save_and_load_give_an_equal_schema(tmp_path):
    schema = make_schema()
    path = Path(schema.save(tmp_path / "new" / "folder"))
    assert Schema.load(tmp_path / "new" / "folder") == schema
    assert json.loads(path.read_text())["version"] == 2
    assert [p.name for p in (tmp_path / "new" / "folder").iterdir()] == ["schema.json"]


def test_schema_is_frozen_and_hashable():
    assert hash(make_schema()) == hash(make_schema())
    with pytest.raises(AttributeError):
        make_schema().name = "other"


def sharing(encoding: str, size: int | None = None, length: int = 1) -> Schema:
    item = Categorical("item", size, encoding=encoding, missing="bucket")
    history = Categorical("history", size, length, encoding=encoding, shares="item")
    return Schema("s", [item, history])


def test_a_history_may_share_a_vocabulary_with_a_missing_bucket():
    assert sharing("vocabulary", length=3).categorical[1].missing == "oov"


def buckets(boundaries) -> Categorical:
    return Categorical("a", encoding="buckets", boundaries=boundaries)


WIDE = [Categorical(f"f{place}", 2, length=100_000) for place in range(11)]
MANY = [Numeric("x")] * 100_001


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Schema("s", []), ["no feature"]),
        (lambda: Schema(None, [Categorical("a", 2)]), ["name None", "use a string"]),
        (lambda: Schema("s", [Categorical("a", 2), Categorical("a", 3)]), ["'a'", "twice"]),
        (lambda: Schema("s", [Categorical("a", 2)], [Numeric("a")]), ["'a'", "twice"]),
        (lambda: Schema("s", [Categorical("label", 2)]), ["'label'", "twice"]),
        (lambda: Schema("s", [Categorical("a", 2)], version=9), ["version 9", "update"]),
        (lambda: sharing("hash", size=9, length=3), ["'history'", "missing='oov', not 'bucket'"]),
        (lambda: sharing("vocabulary"), ["missing='oov', not 'bucket'"]),
        (lambda: Categorical("a", 0), ["'a'", "size=0"]),
        (lambda: Categorical("a", 2**31), ["size=2147483648"]),
        (lambda: Categorical("a", 2.0), ["size=2.0"]),
        (lambda: Categorical("a", 2, length=0), ["length=0"]),
        (lambda: Categorical("a", 2, pooling="max"), ["'max'", "mean, sum"]),
        (lambda: Categorical("../a", 2), ["'../a'"]),
        (lambda: Categorical("a", 2, length=10**9), ["length=1000000000", "1 to 100000"]),
        (lambda: Categorical("a", 10**5000), ["size=", "1 to 2147483647"]),
        (lambda: Categorical("a" * 1001, 2), ["1,001 characters", "at most 1,000"]),
        (lambda: Categorical("é", 2), ["'é'", "letters (A to Z, a to z)"]),
        (lambda: Categorical("a\n", 2), ["'a\\n'"]),
        (lambda: buckets([10**400]), ["boundaries=[1000", "float64"]),
        (lambda: Categorical("a", 10**9, encoding="buckets"), ["size=1000000000", "1,000,002"]),
        (lambda: buckets("123"), ["boundaries='123'"]),
        (lambda: buckets(range(1_000_001)), ["1,000,001 boundaries", "at most 1,000,000"]),
        (lambda: Numeric("x", mean=10**400), ["mean=1000", "finite number"]),
        (lambda: Numeric("x", std=10**400), ["std=1000"]),
        (lambda: Schema("s", WIDE), ["1,100,000 ids per record", "at most 1,000,000"]),
        (lambda: Schema("s", [], MANY), ["100,001 columns", "at most 100,000"]),
        (lambda: Numeric("x", std=0.0), ["std=0.0", "above 0"]),
        (lambda: Numeric("x", mean=float("nan")), ["mean=nan"]),
    ],
)
def test_bad_values_are_named(make, words):
    with pytest.raises(SchemaError) as caught:
        make()
    for word in words:
        assert word in str(caught.value)
    assert len(str(caught.value)) < 500


def test_load_without_a_file_says_what_to_run(tmp_path):
    with pytest.raises(SchemaError, match=r"python -m launch\.prepare"):
        Schema.load(tmp_path / "absent")


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (lambda text: text[:-20], "not valid JSON"),
        (lambda text: text.replace('"version": 2', '"version": 3'), "version 3"),
        (lambda text: text.replace('"label"', '"lable"'), "'lable'"),
        (lambda text: text.replace('"size": 10', '"size": -1'), "size=-1"),
        (lambda text: text.replace('"pooling": "sum"', '"polling": "sum"'), "polling"),
        (lambda text: "[1, 2]", "not a schema"),
        (lambda text: "[" * 100_000, "nested too deeply"),
        (lambda text: '{"a":' * 100_000, "nested too deeply"),
        (lambda text: text.replace('"size": 10', '"size": 1' + "0" * 5000), "not valid JSON"),
        (lambda text: text.replace('"size": 10', '"length": 1000000000'), "length=1000000000"),
        (lambda text: text.replace('"mean": 2.5', '"mean": 1e999'), "mean=inf"),
    ],
)
def test_load_of_a_spoilt_file_names_file_and_trouble(tmp_path, edit, words):
    path = Path(make_schema().save(tmp_path))
    text = path.read_text()
    assert edit(text) != text
    path.write_text(edit(text))
    with pytest.raises(SchemaError, match=re.escape(words)) as caught:
        Schema.load(tmp_path)
    assert "schema.json" in str(caught.value)


def test_check_same_accepts_another_name():
    schema = make_schema()
    schema.check_same(Schema("other", schema.categorical, schema.numeric, "click"), "there")


@pytest.mark.parametrize(
    ("other", "words"),
    [
        (Schema("t", [Categorical("user", 11)], label="click"), ["size=11", "size=10"]),
        (Schema("t", [Categorical("user", 10)], label="click"), ["tags", "none"]),
        (Schema("t", make_schema().categorical, label="click"), ["price", "none"]),
        (Schema("t", make_schema().categorical, [Numeric("price")], "click"), ["mean=0.0"]),
        (Schema("t", make_schema().categorical, make_schema().numeric), ["'label'", "'click'"]),
    ],
)
def test_check_same_names_the_first_difference(other, words):
    with pytest.raises(SchemaMismatchError) as caught:
        make_schema().check_same(other, where="data/there")
    for word in ["data/there", *words]:
        assert word in str(caught.value)


def test_a_file_that_is_no_schema_by_its_size_is_not_read(tmp_path):
    with open(tmp_path / "schema.json", "wb") as file:
        file.truncate(1 << 30)  # a hole: it takes no room on the disk
    with pytest.raises(SchemaError, match=r"1,073,741,824 bytes; a schema has at most 67,108,864"):
        Schema.load(tmp_path)


def test_the_order_of_time_is_kept_in_the_file(tmp_path):
    fields = make_schema().categorical
    schema = Schema("t", fields, time="day", time_ordered=True)
    assert '"time_ordered": true' in Path(schema.save(tmp_path)).read_text()
    assert Schema.load(tmp_path) == schema
    assert not Schema("t", fields, time="day").time_ordered
    for given in ({"time_ordered": True}, {"time": "day", "time_ordered": "yes"}):
        with pytest.raises(SchemaError, match=r"time_ordered=.*only with a time column"):
            Schema("t", fields, **given)
