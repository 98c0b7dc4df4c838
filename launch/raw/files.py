"""Raw input files, local or on a file system that pyarrow or fsspec supports."""

from __future__ import annotations

import fnmatch
import os
import posixpath
import re
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import pyarrow as pa
import tensorflow as tf
from pyarrow import fs

from tf_helen.stores.fsspec_store import Place, place_of
from tf_helen.stores.retries import attempted
from tf_helen.stores.schemes import is_native
from tf_helen.stores.streams import StoreReader
from zoo.data.files import DataError

_COMPRESSION = {".gz": "gzip", ".bz2": "bz2", ".zst": "zstd", ".lz4": "lz4"}
_REMOTE = re.compile(r"([A-Za-z][A-Za-z0-9+.\-]*)://")
_NATIVE = ("file", "s3", "gs", "gcs", "hdfs", "viewfs", "abfs", "abfss")  # read by pyarrow itself
_OF_STORES = ("s3",)  # read as the other files of a store, if the package for it is there
_WILD = re.compile(r"[*?\[]")
_SEARCHED = 1 << 16  # bytes read at once to find a line end
_IGNORED = (".", "_")  # hidden files, and files of Hadoop's tools such as _SUCCESS


class RawFile:
    """A raw input file that is read once from its beginning.

    Files named `.gz`, `.bz2`, `.zst` or `.lz4` are decompressed.

    Args:
        path: string or path, local (`~` is the home folder) or `scheme://...`.

    Attributes:
        path: string, the given path.
        size: int, bytes on disk (compressed); 0 if the file system does not report it.
        stream: `pyarrow.NativeFile`, the content; available within a `with` block only.

    Raises:
        DataError: if there is no such file, or the package for its file system is missing.

    Example:
        >>> import tempfile
        >>> path = os.path.join(tempfile.mkdtemp(), "rows.csv")
        >>> _ = open(path, "w").write("a,b")
        >>> with RawFile(path) as file:
        ...     file.stream.read(), file.position(), file.size
        (b'a,b', 3, 3)
    """

    def __init__(self, path: str | os.PathLike[str]):
        self.path = os.fspath(path)
        self._system, self._inner = _file_system(self.path)
        info = _info(self._system, self._inner, self.path)
        if info.type is fs.FileType.NotFound:
            raise DataError(f"no file {self.path}; check the path")
        if info.type is fs.FileType.Directory:
            raise DataError(f"{self.path} is a folder; name a file")
        self.size = info.size or 0
        self.stream: pa.NativeFile | None = None
        self._raw: pa.NativeFile | None = None
        self._is_read = False

    def __enter__(self) -> RawFile:
        self._raw = self._opened(self._system.open_input_file)
        kind = _COMPRESSION.get(os.path.splitext(self._inner)[1].lower())
        self.stream = pa.CompressedInputStream(self._raw, kind) if kind else self._raw
        return self

    def __exit__(self, *exception: object) -> None:
        # Not closed here: a thread of pyarrow's CSV reader may still read ahead, and would read the
        # next file that gets the same descriptor. The file is closed with its last reference.
        self.stream, self._raw, self._is_read = None, None, True

    def position(self) -> int:
        """Returns how far the file has been read.

        Returns:
            Int, bytes on disk (compressed), from 0 to `size`; `size` after the `with` block.
        """
        if self._raw is None:
            return self.size if self._is_read else 0
        return self._raw.tell()

    def lines(self, start: int, stop: int) -> pa.NativeFile | None:
        """Returns the lines that begin in a range of bytes, within the `with` block.

        Args:
            start: int, first byte of the range.
            stop: int, byte after the last.

        Returns:
            `pyarrow.NativeFile`, `None` if no line begins there. Consecutive ranges have each line
            once. The file must not be compressed.
        """
        begin, end = self._line_at(start), self._line_at(stop)
        return self._raw.get_stream(begin, end - begin) if begin < end else None

    def _line_at(self, place: int) -> int:
        """Returns the first byte, from `place` on, at which a line begins."""
        if place <= 0:
            return 0
        place -= 1  # a line begins after a line end
        while place < self.size and (chunk := self._raw.read_at(_SEARCHED, place)):
            found = chunk.find(b"\n")
            if found >= 0:
                return place + found + 1
            place += len(chunk)
        return self.size

    def open_random(self) -> pa.NativeFile:
        """Opens the file for random access, without decompression, as Parquet needs.

        Returns:
            `pyarrow.NativeFile`, to be closed after use.

        Raises:
            DataError: if the file cannot be opened.
        """
        return self._opened(self._system.open_input_file)

    def _opened(self, opener: Any) -> pa.NativeFile:
        try:
            return opener(self._inner)
        except (OSError, pa.ArrowException) as error:
            raise DataError(f"{self.path} cannot be opened: {error}") from None
        except tf.errors.OpError as error:
            raise DataError(error.message) from None


def is_compressed(path: str) -> bool:
    """Returns whether `RawFile` decompresses a file, according to its name.

    Example:
        >>> is_compressed("rows.csv.gz")
        True
    """
    return os.path.splitext(path.partition("?")[0])[1].lower() in _COMPRESSION


def open_random(path: str | os.PathLike[str]) -> pa.NativeFile:
    """Opens a file for random access, as Parquet needs.

    Args:
        path: string or path, local or `scheme://...`.

    Returns:
        `pyarrow.NativeFile`, to be closed after use.

    Raises:
        DataError: as `RawFile`.

    Example:
        >>> with open_random(__file__) as file:
        ...     file.read_at(3, 0)
        b'\"\"\"'
    """
    return RawFile(path).open_random()


def list_raw(path: str | os.PathLike[str]) -> list[str]:
    """Lists the files that a path, a folder or a pattern names.

    Args:
        path: string or path, local or `scheme://...`: a file; a folder, whose files are listed
            except hidden ones and those whose names start with "_"; or a pattern with `*`, `[...]`
            and, in local paths, `?` (in others, `?` starts options of the file system).

    Returns:
        List of paths that `RawFile` opens, sorted.

    Raises:
        DataError: if no file is found, or the package for the file system is missing.

    Example:
        >>> import tempfile
        >>> folder = tempfile.mkdtemp()
        >>> for name in ("b.csv", "a.csv", "_SUCCESS"):
        ...     _ = open(os.path.join(folder, name), "w").write("x")
        >>> [os.path.basename(path) for path in list_raw(folder)]
        ['a.csv', 'b.csv']
    """
    given = os.fspath(path)
    fixed, wild, options = _split_pattern(given)
    system, inner = _file_system(fixed + options)
    info = _info(system, inner, given)
    if not wild and info.type is fs.FileType.File:
        return [given]
    if not wild and info.type is fs.FileType.NotFound:
        raise DataError(f"no file {given}; check the path")
    inner = inner.rstrip("/") or "/"
    found = [inner]
    for part in wild or ["*"]:
        found = [match for folder in found for match in _matches(system, folder, part, given)]
    found = [match for match in found if _info(system, match, given).type is fs.FileType.File]
    if not found:
        raise DataError(
            f"no file matches {given}; name a file, a folder of files, or a pattern such as "
            "logs/*/part-*.csv.gz"
        )
    native = _scheme(given) in _NATIVE  # pyarrow takes a URI, in which spaces are escaped
    rests = [match[len(inner) :].lstrip("/") for match in sorted(found)]
    return [
        posixpath.join(fixed, quote(rest) if native else rest) + options if rest else given
        for rest in rests
    ]


def _split_pattern(path: str) -> tuple[str, list[str], str]:
    """Returns the path before the first wildcard, the parts after it, and `?key=value` options."""
    scheme = _REMOTE.match(path)
    options = ""
    if scheme:
        path, mark, options = path.partition("?")
        options = mark + options
    elif os.path.exists(os.path.expanduser(path)):
        return path, [], ""  # a file may be named a[1].csv
    start = scheme.end() if scheme else 0
    parts = path[start:].split("/")
    wild = next((i for i, part in enumerate(parts) if _WILD.search(part)), len(parts))
    fixed = path[:start] + "/".join(parts[:wild])
    if not fixed or (path.startswith("/") and wild == 1):
        fixed = "/" if path.startswith("/") else "."
    return fixed, parts[wild:], options


def _matches(system: fs.FileSystem, folder: str, part: str, path: str) -> list[str]:
    if not _WILD.search(part):
        return [posixpath.join(folder, part)]
    try:
        entries = system.get_file_info(fs.FileSelector(folder, allow_not_found=True))
    except NotADirectoryError:
        return []
    except (OSError, pa.ArrowException) as error:
        raise DataError(f"{path} cannot be listed: {error}") from None
    except tf.errors.OpError as error:
        raise DataError(error.message) from None
    return [
        entry.path
        for entry in entries
        if fnmatch.fnmatchcase(entry.base_name, part)
        and (part.startswith(_IGNORED) or not entry.base_name.startswith(_IGNORED))
    ]


def _info(system: fs.FileSystem, inner: str, path: str) -> fs.FileInfo:
    try:
        return system.get_file_info(inner)
    except (OSError, pa.ArrowException) as error:
        raise DataError(f"{path} cannot be reached: {error}") from None
    except tf.errors.OpError as error:
        raise DataError(error.message) from None


def _scheme(path: str) -> str:
    found = _REMOTE.match(path)
    return found[1].lower() if found else ""


def _file_system(path: str) -> tuple[fs.FileSystem, str]:
    """Returns the file system of a path, and the path on it."""
    scheme = _scheme(path)
    if not scheme:
        return fs.LocalFileSystem(), os.path.expanduser(path)
    if scheme not in _NATIVE or (scheme in _OF_STORES and not is_native(path)):
        return _from_store(path)
    try:
        return fs.FileSystem.from_uri(path.replace(" ", "%20"))
    except (OSError, pa.ArrowException, ImportError) as error:
        raise DataError(
            f"{path} cannot be reached by pyarrow's {scheme}:// file system: {error}. Check the "
            "address and credentials, or download the file first"
        ) from None


class _OfStore(fs.FSSpecHandler):
    """A store as a file system of pyarrow, which repeats requests that fail."""

    def __init__(self, place: Place):
        super().__init__(place.store.system)
        self._store, self._scheme = place.store, _scheme(place.path)

    def open_input_file(self, path: str) -> pa.NativeFile:
        return pa.PythonFile(StoreReader(self._place(path)), mode="r")

    def get_file_info(self, paths: list[str]) -> list[fs.FileInfo]:
        return self._attempted(paths[0], super().get_file_info, paths)

    def get_file_info_selector(self, selector: fs.FileSelector) -> list[fs.FileInfo]:
        try:
            return self._attempted(selector.base_dir, super().get_file_info_selector, selector)
        except tf.errors.FailedPreconditionError as error:
            raise NotADirectoryError(error.message) from None

    def _place(self, path: str) -> Place:
        return Place(self._store, f"{self._scheme}://{path.lstrip('/')}", path)

    def _attempted(self, path: str, function: Callable, argument: Any) -> list[fs.FileInfo]:
        def once() -> list[fs.FileInfo]:
            self._store.system.invalidate_cache()
            return function(argument)

        return attempted(self._place(path).path, once)


def _from_store(path: str) -> tuple[fs.FileSystem, str]:
    try:
        place = place_of(path)
    except ValueError as error:
        raise DataError(f"{error}. pyarrow reads {', '.join(_NATIVE)}") from None
    except tf.errors.OpError as error:
        raise DataError(error.message) from None
    if place is None:  # a scheme of TensorFlow only, such as ram://
        raise DataError(
            f"{path}: no file system for {_scheme(path)}:// in raw data; pyarrow reads "
            f"{', '.join(_NATIVE)}, and fsspec others. Download the file first"
        )
    return fs.PyFileSystem(_OfStore(place)), place.inner
