"""Schemes of paths: TensorFlow, tensorflow-io or fsspec reads them, or an error says why not."""

import sys
from importlib.util import find_spec

import numpy as np
import pytest
import tensorflow as tf

import zoo
from tf_helen.core.folders import is_remote
from tf_helen.stores import schemes
from tf_helen.stores.schemes import check_reachable, is_native
from zoo.data.files import write_text

SCHEMA = zoo.Schema("s", [zoo.Categorical("user", 9)], [zoo.Numeric("x")])
ABSENT = "nosuch://bucket/data"


@pytest.fixture
def tensorflow_io(monkeypatch, tmp_path):
    """Puts a module of that name in the way of the real one; `s3` is not there before it."""
    before = tf.io.gfile.get_registered_schemes()
    registered = [name for name in before if name != "s3"]
    monkeypatch.setattr(tf.io.gfile, "get_registered_schemes", lambda: list(registered))
    monkeypatch.setattr(schemes, "_trouble", lambda scheme: "no s3fs" if scheme == "s3" else "x")
    monkeypatch.setattr(tf, "__version__", "2.17.1")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "tensorflow_io", raising=False)

    def install(code):
        (tmp_path / "tensorflow_io.py").write_text(code)

    yield install
    sys.modules.pop("tensorflow_io", None)


REGISTERS = """
import tensorflow as tf
known = tf.io.gfile.get_registered_schemes()
tf.io.gfile.get_registered_schemes = lambda: [*known, "s3"]
"""


def test_what_tensorflow_has_a_file_system_for_is_native(tmp_path):
    for path in ("data", tmp_path, "file:///tmp/x", "gs://bucket/data", "ram://x", "a/b://c", ""):
        assert is_native(path)
    assert [is_remote(p) for p in ("a", tmp_path, "file://a", "gs://a", "s3://a")] == [
        False, False, False, True, True,
    ]  # fmt: skip


def test_what_fsspec_has_a_file_system_for_is_reachable():
    assert not is_native("memory://bucket/data")


def test_tensorflow_io_is_loaded_when_it_is_needed(tensorflow_io):
    tensorflow_io(REGISTERS)
    check_reachable("gs://bucket/data")
    assert "tensorflow_io" not in sys.modules  # it takes seconds and says a lot
    assert is_native("s3://bucket/data")
    assert "tensorflow_io" in sys.modules


def test_tensorflow_io_is_not_loaded_where_it_does_not_work(tensorflow_io, monkeypatch):
    monkeypatch.setattr(tf, "__version__", "2.18.0")
    monkeypatch.setattr(schemes, "_trouble", lambda scheme: "")
    tensorflow_io(REGISTERS)
    assert not is_native("s3://bucket/data")
    assert "tensorflow_io" not in sys.modules


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("", "it is installed, but does not fit this TensorFlow"),
        (
            "raise SystemError('undefined symbol: _ZN')",
            "cannot be imported: SystemError: undefined",
        ),
        ("import nosuch_dependency", "cannot be imported: No module named 'nosuch_dependency'"),
        ("raise ModuleNotFoundError(name='tensorflow_io')", "it is not installed"),
    ],
)
def test_what_is_missing_is_said(tensorflow_io, code, reason):
    tensorflow_io(code)
    with pytest.raises(
        ValueError, match=r"^s3://bucket/data: .*no file system for s3://"
    ) as caught:
        check_reachable("s3://bucket/data")
    message = str(caught.value)
    assert "file://, gs://, ram://" in message
    assert "needs s3fs: pip install 'tf-helen[s3]' (no s3fs)" in message
    assert reason in message
    assert "pip install 'tf-helen[io]'" in message and tf.__version__ in message
    assert "\n" not in message


@pytest.mark.skipif(bool(find_spec("tensorflow_io")), reason="tensorflow-io reads https://")
def test_other_schemes_have_other_advice():
    with pytest.raises(ValueError, match=r"no file system for https://.*Download the file first"):
        check_reachable("https://example.com/data")
    with pytest.raises(ValueError, match=r"no file system for GS://.*Check the spelling"):
        check_reachable("GS://bucket/data")


@pytest.mark.parametrize(
    "act",
    [
        lambda path: zoo.Schema.load(path),
        lambda path: zoo.Schema.load(f"{path}/schema.json"),
        lambda path: SCHEMA.save(path),
        lambda path: zoo.write_tfrecords(path, SCHEMA, "train", [rows_of(3)]),
        lambda path: zoo.load_counts(path, SCHEMA),
        lambda path: write_text(f"{path}/note", "x"),
    ],
)
def test_every_way_to_name_a_folder_is_checked(act):
    with pytest.raises(ValueError, match=r"nosuch://bucket/data.*no file system for nosuch://"):
        act(ABSENT)


def rows_of(rows):
    return {
        "ids": np.zeros((rows, 1), np.int64),
        "numeric": np.zeros((rows, 1), np.float32),
        "label": np.zeros(rows, np.float32),
    }
