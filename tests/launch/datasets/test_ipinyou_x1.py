"""iPinYou: the fields of make-ipinyou-data's logs, and BARS's files."""

import pytest

from launch import datasets
from launch.datasets.ipinyou_x1 import FIELDS
from launch.datasets.raw import Options
from zoo.data.files import DataError

LOG = (
    *("click", "weekday", "hour", "bidid", "timestamp", "logtype", "ipinyouid", "useragent", "IP"),
    *("region", "city", "adexchange", "domain", "url", "urlid", "slotid", "slotwidth"),
    *("slotheight", "slotvisibility", "slotformat", "slotprice", "creative", "bidprice"),
    *("payprice", "keypage", "advertiser", "usertag"),
)


def line(**values: str) -> str:
    given = {"click": "0", "timestamp": "20130612000102847", "slotprice": "5", **values}
    return "\t".join(given.get(name, name[:2]) for name in LOG)


def test_logs_have_sixteen_fields(tmp_path, write, load):
    agents = [
        "Mozilla (Windows NT) Chrome/2 Safari",
        "iPhone; iOS Mac",
        "Linux; Android SogouIE",
        "",
    ]
    prices = ["0", "1", "10", "11", "50", "51", "100", "101", "x", '"']
    lines = [line(useragent=agent, click="1") for agent in agents]
    lines += [line(slotprice=price) for price in prices] + ["too\tshort"]
    text = "\t".join(LOG) + "\n" + "\n".join(lines) + "\n"
    source = write(
        tmp_path, {"train.log.txt": text, "test.log.txt": text, "train.yzx.txt": "0 1:1"}
    )
    found = load("ipinyou_x1", source)
    train = found["train"]
    assert train["useragent"].to_list()[:4] == [
        "windows_chrome", "ios_other", "android_sogou", "other_other"
    ]  # fmt: skip
    assert train["slotprice"].to_list()[4:] == [
        "0", "1-10", "1-10", "11-50", "11-50", "51-100", "51-100", "101+", None, None
    ]  # fmt: skip
    assert train["click"].to_list() == ["1"] * 4 + ["0"] * 10
    assert found.heights() == [14, 14, 14] and found["valid"].equals(found["test"])
    assert found.account.damaged["wrong number of columns"] == 3  # one in each split
    schema = found.raw.schema
    assert [field.name for field in schema.categorical] == list(FIELDS) and len(FIELDS) == 16
    assert (schema.label, schema.time) == ("click", "timestamp")


def test_published_files_are_taken_as_they_are(tmp_path, write, load):
    names = [f"f{number}" for number in range(16)]
    text = ",".join(["click", *names]) + "\n1" + ",7" * 16 + "\n"
    found = load("ipinyou_x1", write(tmp_path, {"train.csv": text, "test.csv": text}))
    assert [field.name for field in found.raw.schema.categorical] == names
    assert found.raw.schema.label == "click" and found.heights() == [1, 1, 1]


def test_other_columns_are_refused(tmp_path, write):
    write(tmp_path, {"train.csv": "click,a\n1,2\n", "test.csv": "click,a\n1,2\n"})
    with pytest.raises(DataError, match="has 2 columns; iPinYou_x1 has the label and 16"):
        datasets.get("ipinyou_x1")(Options(source=str(tmp_path)))
    write(tmp_path, {"train.log.txt": "click\tIP\n", "test.log.txt": "click\tIP\n"})
    (tmp_path / "train.csv").unlink()
    with pytest.raises(DataError, match="no column 'timestamp'"):
        datasets.get("ipinyou_x1")(Options(source=str(tmp_path)))
