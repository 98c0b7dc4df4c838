"""Remote paths: raises a clear error early if TensorFlow cannot read one."""

from __future__ import annotations

import importlib
import os

import tensorflow as tf

from tf_helen.core.folders import SCHEME

_EXTRA = "pip install 'tf-helen[io]'"
# The schemes that tensorflow-io registers; see its documentation.
_OF_TENSORFLOW_IO = ("az", "hdfs", "http", "https", "oss", "s3", "s3e", "s3n", "viewfs")
_READ_ONLY = ("http", "https")


def check_reachable(path: str | os.PathLike[str]) -> None:
    """Raises unless TensorFlow supports the file system of a path; loads tensorflow-io if needed.

    It does not access the network, so it does not check whether the path exists.

    Args:
        path: local, or `scheme://...`.

    Raises:
        ValueError: names the scheme, the supported schemes, and what to install.

    Example:
        >>> check_reachable("data/frappe")
        >>> check_reachable("gs://bucket/data")
        >>> check_reachable("nosuch://bucket/data")
        Traceback (most recent call last):
        ...
        ValueError: nosuch://bucket/data: TensorFlow has no file system for nosuch://, only for ...
    """
    path = os.fspath(path)
    found = SCHEME.match(path)
    if not found or found[1] in _schemes():
        return
    scheme = found[1]
    trouble = _load_tensorflow_io()
    if scheme in _schemes():
        return
    known = ", ".join(f"{name}://" for name in _schemes())
    message = f"{path}: TensorFlow has no file system for {scheme}://, only for {known}. "
    if scheme in _READ_ONLY:
        message += "Download the file first and pass the local path. "
    elif scheme in _OF_TENSORFLOW_IO:
        message += (
            f"{_EXTRA} adds it, with TensorFlow 2.17, the last that tensorflow-io works with "
            f"({trouble}; this is TensorFlow {tf.__version__}). Or copy the data to a local folder "
            "or to gs://. "
        )
    else:
        message += "Check the spelling, or copy the data to a local folder or to gs://. "
    raise ValueError(message.strip())


def _load_tensorflow_io() -> str:
    """Imports tensorflow-io, which registers its file systems; returns the problem, if any."""
    try:
        importlib.import_module("tensorflow_io")
    except ModuleNotFoundError as error:
        if error.name == "tensorflow_io":
            return "it is not installed"
        return f"it is installed but cannot be imported: {error}"
    except Exception as error:  # a build for another TensorFlow can fail in any way
        return f"it is installed but cannot be imported: {type(error).__name__}: {error}"
    return "it is installed, but does not fit this TensorFlow"


def _schemes() -> list[str]:
    return sorted(name for name in tf.io.gfile.get_registered_schemes() if name)
