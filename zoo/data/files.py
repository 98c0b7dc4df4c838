"""File helpers; a file gets its name only when it is complete."""

import json
import os
import posixpath
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tf_helen.stores import gfile
from tf_helen.stores.schemes import check_reachable

MOST_JSON = 1 << 26  # bytes; a schema of 100,000 columns takes a quarter of it


class DataError(ValueError):
    """Data files are missing, unusable or do not match their manifest."""


def join(directory: str | os.PathLike[str], *parts: str) -> str:
    """Joins path parts with "/", which local and remote (`gs://`, `s3://`) file systems accept.

    Every file name of this package passes through it, so an unsupported file system is detected
    here.

    Args:
        directory: folder to start from.
        *parts: names below it.

    Returns:
        The joined path.

    Raises:
        ValueError: if TensorFlow does not support the file system of the folder.

    Example:
        >>> join("data/frappe", "vocabulary", "user.tsv")
        'data/frappe/vocabulary/user.tsv'
    """
    check_reachable(directory)
    return posixpath.join(os.fspath(directory), *parts)


@contextmanager
def complete_or_absent(path: str) -> Iterator[str]:
    """Yields a temporary name in the folder of `path`; renames it to `path` if the block succeeds.

    A crash or an error inside the block leaves `path` unchanged.

    Args:
        path: final name of the file; missing parent folders are created.

    Yields:
        The temporary name to write to.

    Raises:
        tf.errors.OpError: if the file system refuses the rename.

    Example:
        >>> import tempfile
        >>> target = join(tempfile.mkdtemp(), "note.txt")
        >>> with complete_or_absent(target) as temporary:
        ...     _ = open(temporary, "w").write("done")
        >>> open(target).read()
        'done'
    """
    folder, name = posixpath.split(join(path))
    if folder:
        gfile.makedirs(folder)
    temporary = posixpath.join(folder, f".{name}.{os.getpid()}.tmp")
    try:
        yield temporary
        gfile.rename(temporary, path, overwrite=True)
    finally:
        if gfile.exists(temporary):
            gfile.remove(temporary)


def write_bytes(path: str, content: bytes) -> None:
    """Writes a file completely or not at all.

    Args:
        path: file to write.
        content: its whole content.

    Raises:
        tf.errors.OpError: if the file system refuses.

    Example:
        >>> import tempfile
        >>> write_bytes(join(tempfile.mkdtemp(), "a.bin"), b"hello")
    """
    with complete_or_absent(path) as temporary, gfile.GFile(temporary, "wb") as file:
        file.write(content)


def write_text(path: str, text: str) -> None:
    """Writes a UTF-8 text file completely or not at all.

    Args:
        path: file to write.
        text: its whole content.

    Raises:
        tf.errors.OpError: if the file system refuses.

    Example:
        >>> import tempfile
        >>> write_text(join(tempfile.mkdtemp(), "a.txt"), "hello")
    """
    write_bytes(path, text.encode("utf-8"))


def write_json(path: str, content: Any) -> None:
    """Writes indented JSON completely or not at all.

    Args:
        path: file to write.
        content: anything that `json.dumps` accepts.

    Raises:
        tf.errors.OpError: if the file system refuses.

    Example:
        >>> import tempfile
        >>> write_json(join(tempfile.mkdtemp(), "a.json"), {"rows": 3})
    """
    write_text(path, json.dumps(content, indent=2, ensure_ascii=False) + "\n")


def read_text(path: str) -> str:
    """Reads a whole UTF-8 text file, local or remote.

    Args:
        path: file to read.

    Returns:
        Its text, line ends untouched.

    Raises:
        tf.errors.NotFoundError: if the file does not exist.
        UnicodeDecodeError: if it is not UTF-8.

    Example:
        >>> import tempfile
        >>> path = join(tempfile.mkdtemp(), "a.txt")
        >>> write_text(path, "one")
        >>> read_text(path)
        'one'
    """
    with gfile.GFile(path, "rb") as file:
        return file.read().decode("utf-8")


def read_json(path: str, most: int = MOST_JSON) -> Any:
    """Reads a JSON file; any error in its text is a `DataError` that names the file.

    Args:
        path: file to read.
        most: maximum size in bytes.

    Returns:
        The decoded content.

    Raises:
        tf.errors.NotFoundError: if the file does not exist.
        DataError: if the file is too large, not UTF-8, not JSON, or nested too deeply.

    Example:
        >>> import tempfile
        >>> path = join(tempfile.mkdtemp(), "a.json")
        >>> write_json(path, {"rows": 3})
        >>> read_json(path)
        {'rows': 3}
    """
    size = gfile.stat(path).length
    if size > most:
        raise DataError(
            f"{path} has {size:,} bytes, at most {most:,} are read; is it the right file?"
        )
    try:
        return json.loads(read_text(path))
    except RecursionError:
        raise DataError(f"{path} is not valid JSON (nested too deeply)") from None
    except ValueError as error:  # including UnicodeDecodeError, and integers of 5,000 digits
        raise DataError(f"{path} is not valid JSON ({error})") from None
