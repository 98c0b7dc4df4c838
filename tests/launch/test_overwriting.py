"""`prepare --overwrite`: if it is killed, the old or the new folder is complete."""

import os

import polars as pl
import pytest
from killed import at_every_change
from kinds import some

from launch.datasets.raw import RawData, in_memory
from launch.prepare import prepare
from zoo import Categorical, Schema, load_counts, read_tfrecords
from zoo.data import folders
from zoo.data.checksums import verify_files
from zoo.data.files import write_text


def raw_of(values):
    table = pl.DataFrame({"label": [1.0, 0.0, 1.0], "user": values})
    splits = {name: in_memory(table) for name in ("train", "valid")}
    return RawData(Schema("tiny", [Categorical("user")]), splits)


OLD, NEW = raw_of(["a", "b", "a"]), raw_of(["a", "b", "c"])


def users_of(folder):
    """The number of users of a folder, all of whose files fit together."""
    assert verify_files(folder) == 2
    schema = Schema.load(folder)
    assert len(load_counts(folder, schema)["user"]) == schema.field_sizes["user"]
    for split in ("train", "valid"):
        assert sum(len(label) for _, label in read_tfrecords(folder, split)) == 3
    return schema.field_sizes["user"] - 1


@pytest.mark.parametrize("by_exchange", some([True, False], fast=[True]))
@pytest.mark.slow
def test_killed_at_any_change(tmp_path, monkeypatch, by_exchange):
    out = str(tmp_path / "data")
    if not by_exchange:
        monkeypatch.setattr(folders, "exchange", lambda one, other: False)
    seen = []
    for _ in at_every_change(
        monkeypatch,
        lambda: prepare(NEW, out, overwrite=True),
        lambda: prepare(OLD, out, overwrite=True),  # which is never refused
    ):
        if by_exchange or os.path.exists(out):
            seen.append(users_of(out))
    assert set(seen) == {2, 3}
    assert users_of(out) == 3
    assert os.listdir(tmp_path) == ["data"]


def test_half_a_folder_that_an_older_version_left_is_replaced(tmp_path):
    # It had removed the manifest and some more when it was killed; the newer folder was ready.
    out = str(tmp_path / "data")
    prepare(NEW, str(tmp_path / ".data.partial"))
    write_text(f"{out}/schema.json", "{}")
    with pytest.raises(ValueError, match="not empty"):
        prepare(NEW, out)
    prepare(NEW, str(tmp_path / ".data.partial"), overwrite=True)
    prepare(NEW, out, overwrite=True)
    assert users_of(out) == 3
    assert os.listdir(tmp_path) == ["data"]


def test_a_folder_of_something_else_is_kept(tmp_path):
    write_text(str(tmp_path / "data/thesis.txt"), "mine")
    with pytest.raises(ValueError, match=r"holds files but no manifest\.json"):
        prepare(NEW, str(tmp_path / "data"), overwrite=True)
    assert (tmp_path / "data/thesis.txt").exists()


@pytest.mark.parametrize("text", ["", "[]", "3", "{}", '{"fingerprint": "x"}', "[" * 100_000])
def test_a_damaged_account_of_work_done_is_thrown_away(tmp_path, text):
    write_text(str(tmp_path / ".data.partial/progress.json"), text)
    prepare(NEW, str(tmp_path / "data"))
    assert users_of(str(tmp_path / "data")) == 3
    assert os.listdir(tmp_path) == ["data"]
