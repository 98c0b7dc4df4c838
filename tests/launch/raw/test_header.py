"""The first line of a CSV file."""

import pytest

from launch.raw.header import looks_like_data, parse_separator
from zoo.data.files import DataError


@pytest.mark.parametrize(
    ("names", "data"),
    [
        (["click", "user"], False),
        (["", "click"], False),  # as pandas writes its index
        (["0", "1", "2"], False),
        (["1", "0", "68fd1e64"], True),
        (["click", "0.5"], True),
        (["nan", "click"], False),
        (["a1", "1a"], False),
    ],
)
def test_what_looks_like_data(names, data):
    assert looks_like_data(names) == data


def test_separators():
    assert [parse_separator(text) for text in (None, ";", "tab", "\\t", "\t")] == [
        None, ";", "\t", "\t", "\t",
    ]  # fmt: skip
    for text in ("", ";;", '"', "é", "\n"):
        with pytest.raises(DataError, match="use one character"):
            parse_separator(text)
