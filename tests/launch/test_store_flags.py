"""The flags of stores."""

import pytest

from launch.cli import _short
from launch.store_flags import parse_size


@pytest.mark.parametrize(
    ("text", "size"),
    [("1", 1), ("20GB", 20 * 10**9), ("16GiB", 2**34), ("1.5 kib", 1536), ("3M", 3 * 10**6)],
)
def test_sizes(text, size):
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "0", "GB", "-1", "1XB", "1e9"])
def test_wrong_sizes_are_named(text):
    with pytest.raises(ValueError, match=f"--cache_limit={text}; use a number of bytes"):
        parse_size(text)


def test_an_error_in_a_pipeline_is_one_line():
    message = (
        "{{function_node __wrapped__IteratorGetNext}} UnavailableError: s3://b/k: 5 attempts "
        "failed\nTraceback (most recent call last):\n\n  File ..."
    )
    assert _short(message) == "s3://b/k: 5 attempts failed"
