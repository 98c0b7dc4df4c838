"""Schemes of paths: which file system reads them, and a clear error early if none does."""

from __future__ import annotations

import functools
import importlib
import os
import re

import tensorflow as tf

SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.\-]*)://")
# The schemes that tensorflow-io registers; see its documentation.
_OF_TENSORFLOW_IO = ("az", "hdfs", "http", "https", "oss", "s3", "s3e", "s3n", "viewfs")
_READ_ONLY = ("http", "https")
_NO_TENSORFLOW_IO = (2, 18)  # the first TensorFlow that tensorflow-io does not work with
_PACKAGES = {"s3": "s3fs", "s3a": "s3fs"}  # those of the extra s3


def check_reachable(path: str | os.PathLike[str]) -> None:
    """Raises unless there is a file system for the scheme of a path.

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
        ValueError: nosuch://bucket/data: there is no file system for nosuch://; TensorFlow has ...
    """
    is_native(path)


def is_native(path: str | os.PathLike[str]) -> bool:
    """Returns whether TensorFlow reads a path itself; loads tensorflow-io if needed.

    Args:
        path: local, or `scheme://...`.

    Returns:
        Boolean; `False` if fsspec has a file system for the scheme and TensorFlow has none.

    Raises:
        ValueError: if neither has one.

    Example:
        >>> is_native("data"), is_native("gs://bucket/data")
        (True, True)
    """
    path = os.fspath(path)
    found = SCHEME.match(path)
    if not found or found[1] in _registered():
        return True
    scheme = found[1]
    trouble = _load_tensorflow_io() if scheme in _OF_TENSORFLOW_IO else ""
    if scheme in _registered():
        return True
    problem = "fsspec reads no folders of it" if scheme in _READ_ONLY else _trouble(scheme)
    if not problem:
        return False
    known = ", ".join(f"{name}://" for name in _registered())
    message = f"{path}: there is no file system for {scheme}://; TensorFlow has {known}, and "
    if scheme in _READ_ONLY:
        message += f"{problem}. Download the file first and pass the local path"
    elif scheme in _PACKAGES:
        message += f"fsspec needs {_PACKAGES[scheme]}: pip install 'tf-helen[s3]' ({problem})"
    else:
        message += f"fsspec has others ({problem}). Check the spelling, or install the package"
    if trouble and scheme not in _READ_ONLY:
        message += (
            f". pip install 'tf-helen[io]' adds it too, with TensorFlow 2.17, the last that "
            f"tensorflow-io works with ({trouble}; this is TensorFlow {tf.__version__})"
        )
    raise ValueError(message)


@functools.cache
def _trouble(scheme: str) -> str:
    """Returns why fsspec cannot read a scheme, or an empty string."""
    try:
        import fsspec
    except ImportError:
        return "fsspec is not installed"
    try:
        fsspec.get_filesystem_class(scheme)
    except (ImportError, ValueError) as error:
        return str(error)
    return ""


def _load_tensorflow_io() -> str:
    """Imports tensorflow-io, which registers its file systems; returns the problem, if any."""
    if tuple(int(part) for part in tf.__version__.split(".")[:2]) >= _NO_TENSORFLOW_IO:
        return "it is not loaded"
    try:
        importlib.import_module("tensorflow_io")
    except ModuleNotFoundError as error:
        if error.name == "tensorflow_io":
            return "it is not installed"
        return f"it is installed but cannot be imported: {error}"
    except Exception as error:  # a build for another TensorFlow can fail in any way
        return f"it is installed but cannot be imported: {type(error).__name__}: {error}"
    return "it is installed, but does not fit this TensorFlow"


def _registered() -> list[str]:
    return sorted(name for name in tf.io.gfile.get_registered_schemes() if name)
