"""Taobao's ads: the join, the day of the split, the histories of BARS's files."""

import pytest

from launch import datasets
from launch.datasets.raw import Options
from launch.datasets.taobao_ad import AD, FIELDS, HISTORIES, LAST_DAY, LENGTH, USER
from zoo.data.files import DataError

SAMPLE = "user,time_stamp,adgroup_id,pid,nonclk,clk\n"
USERS = f"userid,{','.join(USER)} \n"  # the published header ends in a blank
ADS = "adgroup_id,cate_id,campaign_id,customer,brand,price\n"


def files() -> dict[str, str]:
    first = LAST_DAY - 3600
    samples = [
        ("ann", first, "10", 1),
        ("bob", LAST_DAY, "11", 0),
        ("ann", LAST_DAY - 1, "11", 0),
        ("zoe", first, "10", 0),  # no profile
        ("bob", first, "99", 1),  # no such ad
        ("ann", "late", "10", 0),
        ("ann", LAST_DAY + 5, "10", 1),
    ]
    lines = [f"{user},{time},{ad},430548_1007,{1 - clk},{clk}" for user, time, ad, clk in samples]
    return {
        "raw_sample.csv": SAMPLE + "\n".join([*lines, "a,b"]) + "\n",
        "user_profile.csv": USERS + "ann,0,5,2,5,,3,0,3\nbob,1,5,1,2,2,1,0,\nann,9,9,9,9,9,9,9,9\n",
        "ad_feature.csv": ADS + "10,6406,83237,1,95471,170.0\n11,7,8,9,NULL,0.5\n",
    }


def test_the_three_files_are_joined_and_split_by_day(tmp_path, write, load):
    found = load("taobao_ad", write(tmp_path, files()))
    assert found.heights() == [2, 2, 2]
    assert found["valid"].equals(found["test"])
    train = found["train"]
    assert train["userid"].to_list() == ["ann", "ann"] and train["clk"].to_list() == ["1", "0"]
    assert train["time_stamp"].to_list() == [str(LAST_DAY - 3600), str(LAST_DAY - 1)]
    assert train["brand"].to_list() == ["95471", None]
    assert train["price"].to_list() == ["170.0", "0.5"]
    assert (
        train["cms_segid"].to_list() == ["0", "0"] and train["pvalue_level"].to_list() == [""] * 2
    )
    assert found["test"]["userid"].to_list() == ["bob", "ann"]
    assert found["test"]["new_user_class_level"].to_list() == ["", "3"]
    assert dict(found.account.damaged) == {
        "wrong number of columns": 1,
        "no time in 'time_stamp'": 1,
    }
    assert dict(found.account.left_out) == {
        "userid is not described": 1,
        "adgroup_id is not described": 1,
        "userid described again": 1,
    }
    schema = found.raw.schema
    assert [field.name for field in schema.categorical] == list(FIELDS) and len(FIELDS) == 15
    assert {field.min_count for field in schema.categorical} == {10}
    assert (schema.group, schema.time, schema.label) == ("userid", "time_stamp", "clk")


def test_published_files_have_histories(tmp_path, write, load):
    columns = ["clk", *HISTORIES, *FIELDS, "btag", "price"]
    long = "^".join(map(str, range(LENGTH + 7)))
    row = ["1", "4^5", long, "", *["1"] * len(FIELDS), "1", "0.25"]
    text = ",".join(columns) + "\n" + ",".join(row) + "\n"
    found = load("taobao_ad", write(tmp_path, {"train.csv": text, "test.csv": text * 1}))
    assert found.heights() == [1, 1, 1]
    train = found["train"]
    assert train["cate_his"].to_list() == [["4", "5"]]
    assert train["brand_his"].to_list() == [list(map(str, range(7, LENGTH + 7)))]
    assert train["btag_his"].to_list() == [None]
    lengths = {field.name: field.length for field in found.raw.schema.categorical}
    assert all(lengths[name] == LENGTH for name in HISTORIES) and lengths["btag"] == 1
    assert found.raw.schema.numeric[0].transform == "none" and found.raw.schema.time is None


@pytest.mark.parametrize(
    ("name", "change", "words"),
    [
        ("ad_feature.csv", None, r"holds raw_sample but no ad_feature\.csv"),
        ("user_profile.csv", "user,age\n", "no column 'userid'"),
        ("raw_sample.csv", "user,clk\n", "no column 'time_stamp'"),
    ],
)
def test_what_is_missing_is_named(tmp_path, write, name, change, words):
    given = files()
    if change is None:
        del given[name]
    else:
        given[name] = change
    with pytest.raises(DataError, match=words):
        datasets.get("taobao_ad")(Options(source=str(write(tmp_path, given))))


def test_alibabas_columns_are_spelled_as_in_its_files():
    assert AD == ("cate_id", "campaign_id", "customer", "brand")
