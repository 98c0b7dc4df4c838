"""The table of encodings: what it holds, and errors of damaged exports."""

import json
import shutil

import pytest
import served

from zoo.data.files import DataError
from zoo.serving.encoding_table import encoding_table


def test_it_holds_what_each_encoding_needs(exported):
    table = encoding_table(exported)
    assert table["numbers"] == ["price", "amount"]
    assert table["fields"] == [
        {"name": "user", "encoding": "vocabulary", "length": 1, "missing": "oov",
         "vocabulary": served.USERS},
        {"name": "age", "encoding": "buckets", "length": 1, "missing": "oov",
         "boundaries": [18, 65]},
        {"name": "site.id", "encoding": "hash", "length": 1, "missing": "bucket", "size": 20},
        {"name": "tags", "encoding": "vocabulary", "length": 3, "missing": "oov",
         "separator": "|", "vocabulary": served.TAGS},
    ]  # fmt: skip
    assert json.loads(json.dumps(table)) == table


def test_a_damaged_export_is_one_error(exported, tmp_path):
    folder = tmp_path / "export"
    shutil.copytree(exported, folder)
    (folder / "assets/user.tsv").write_text("<oov>\t1\n")
    with pytest.raises(DataError, match=r"user\.tsv has 1 lines, and the field 'user' 5 ids"):
        encoding_table(str(folder))
    (folder / "assets/user.tsv").unlink()
    with pytest.raises(DataError, match=r"no vocabulary .*export the model again"):
        encoding_table(str(folder))
    (folder / "model_card.json").write_text('{"version": 1}')
    with pytest.raises(ValueError, match=r"model_card\.json"):
        encoding_table(str(folder))
