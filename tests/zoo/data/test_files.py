"""Folders that are removed, and files that are read whole."""

import pytest

from tf_helen.core.folders import remove_folder
from zoo.data.files import DataError, read_json


@pytest.mark.parametrize("linked", [False, True])
def test_what_a_link_in_a_folder_leads_to_is_kept(tmp_path, linked):
    folder, outside = tmp_path / "data", tmp_path / "outside"
    (folder / "sub").mkdir(parents=True)
    outside.mkdir()
    (outside / "mine").write_text("precious")
    (folder / "sub" / "link").symlink_to(outside)
    (folder / "link").symlink_to(outside)
    (folder / "file").write_text("x")
    (tmp_path / "name").symlink_to(folder)
    remove_folder(str(tmp_path / "name" if linked else folder))
    assert (outside / "mine").read_text() == "precious"
    assert [path.name for path in folder.iterdir()] == [] if linked else not folder.exists()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"[" * 100_000, "nested too deeply"),
        (b"1" * 5000, "not valid JSON"),
        (b"\xff", "not valid JSON"),
        (b"", "not valid JSON"),
        (b" " * 101, "has 101 bytes, at most 100 are read"),
    ],
)
def test_what_is_no_json_is_one_error(tmp_path, content, words):
    path = tmp_path / "a.json"
    path.write_bytes(content)
    with pytest.raises(DataError, match=rf"a\.json .*{words}"):
        read_json(str(path), 100 if b" " in content else 1 << 20)
