"""The settings of a run that a file holds: what cannot be read is one error."""

import pytest

from launch.run.config import FILE_NAME, RunConfig
from zoo import DataError


@pytest.mark.parametrize("text", ["", "[]", "[" * 100_000, '{"a":' * 100_000, "1" * 5000])
def test_a_damaged_file_is_one_error(tmp_path, text):
    (tmp_path / FILE_NAME).write_text(text)
    with pytest.raises(DataError, match=rf"{FILE_NAME} is damaged"):
        RunConfig("data", str(tmp_path), resume=True).check_folder()
