"""Vocabulary files: the id of each value and its number of occurrences in the training split.

`vocabulary/<field>.tsv` beside the schema; line i is id i, `value<TAB>count`; line 0 is `<oov>`,
with the occurrences of all values without their own id. `tf.lookup.TextFileInitializer` reads this
layout, so a served model uses the same file.
"""

import hashlib
import os
from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from tf_helen.core.folders import is_remote
from tf_helen.stores import gfile
from zoo.data.files import DataError, complete_or_absent, join, write_text
from zoo.data.safe_paths import inside
from zoo.data.schema import Schema

OOV = "<oov>"
_LONGEST = 200  # characters; 255 are allowed, and a temporary name needs some
_LONGEST_PLAIN = 251  # characters of a field name that is used unchanged
_SHORT = 100
_AT_ONCE = 1 << 22  # bytes read at once
_DEVICES = {
    "con",
    "prn",
    "aux",
    "nul",
    *(f"{port}{n}" for port in ("com", "lpt") for n in range(10)),
}


def vocabulary_path(directory: str | os.PathLike[str], field: str) -> str:
    """Returns the path of a field's vocabulary file.

    Args:
        directory: data folder.
        field: field name.

    Returns:
        Its path. The file is named after the field; if that is not a valid file name, its name is
        the beginning of the field's name and a checksum.

    Raises:
        DataError: if the path leads out of the folder through a symbolic link.

    Example:
        >>> vocabulary_path("data", "user")
        'data/vocabulary/user.tsv'
    """
    name = vocabulary_file(field)
    if name != f"{field}.tsv" and len(field) <= _LONGEST_PLAIN:  # the name in version 0.1
        plain = join(directory, "vocabulary", f"{field}.tsv")
        if gfile.exists(plain):
            name = f"{field}.tsv"
    return inside(directory, f"vocabulary/{name}", "schema.json")


def vocabulary_file(field: str) -> str:
    """Returns the name of a field's vocabulary file.

    Args:
        field: field name.

    Returns:
        The field's name with the ending `.tsv`. For a name of more than 200 characters, or one that
        Windows reserves for a device, such as `con`: its beginning and a checksum.

    Example:
        >>> vocabulary_file("user"), vocabulary_file("con")
        ('user.tsv', 'con-1143da2bc54c495c.tsv')
    """
    if len(field) <= _LONGEST and field.partition(".")[0].lower() not in _DEVICES:
        return f"{field}.tsv"
    return f"{field[:_SHORT]}-{hashlib.sha256(field.encode()).hexdigest()[:16]}.tsv"


def check_file_names(directory: str | os.PathLike[str], schema: Schema) -> None:
    """Raises if two fields differ in case only and the folder's file system ignores case.

    Args:
        directory: folder for the vocabularies; it need not exist.
        schema: columns of the data set.

    Raises:
        DataError: names the fields.

    Example:
        >>> import tempfile
        >>> check_file_names(tempfile.mkdtemp(), Schema("tiny", [Categorical("user", 10)]))
    """
    alike: dict[str, list[str]] = {}
    for field in schema.categorical:
        alike.setdefault(vocabulary_file(field.name).lower(), []).append(field.name)
    clash = next((names for names in alike.values() if len(names) > 1), None)
    if clash is None or is_remote(join(directory)):
        return
    probe = join(directory, "vocabulary", ".capitals")
    write_text(probe, "")
    try:
        one_for_both = gfile.exists(join(directory, "vocabulary", ".CAPITALS"))
    finally:
        gfile.remove(probe)
    if one_for_both:
        raise DataError(
            f"the columns {', '.join(map(repr, clash))} differ in case only, and the file system "
            f"of {os.fspath(directory)} ignores case in file names; rename a column, or use a "
            "folder on another file system"
        )


def save_vocabulary(
    directory: str | os.PathLike[str], field: str, values: list[str], counts: np.ndarray
) -> str:
    """Writes the vocabulary file of a field, completely or not at all.

    Args:
        directory: data folder.
        field: field name.
        values: the values by id, `<oov>` first.
        counts: [len(values)] occurrences in the training split.

    Returns:
        Path of the file.

    Raises:
        DataError: if the numbers of values and counts differ.

    Example:
        >>> import tempfile
        >>> _ = save_vocabulary(tempfile.mkdtemp(), "user", ["<oov>", "ann"], np.array([0, 3]))
    """
    return write_vocabulary(directory, field, [(values, counts)])


def write_vocabulary(
    directory: str | os.PathLike[str],
    field: str,
    parts: Iterable[tuple[Sequence[str], np.ndarray]],
) -> str:
    """Writes the vocabulary file of a field in parts, completely or not at all.

    Args:
        directory: data folder.
        field: field name.
        parts: values by id, `<oov>` first, with their counts, part after part.

    Returns:
        Path of the file.

    Raises:
        DataError: if the numbers of values and counts differ.

    Example:
        >>> import tempfile
        >>> parts = [(["<oov>"], np.array([0])), (["ann"], np.array([3]))]
        >>> _ = write_vocabulary(tempfile.mkdtemp(), "user", parts)
    """
    path = vocabulary_path(directory, field)
    with complete_or_absent(path) as temporary, gfile.GFile(temporary, "wb") as file:
        first = True
        for values, counts in parts:
            if len(values) != len(counts) or (first and list(values[:1]) != [OOV]):
                raise DataError(
                    f"field {field!r}: {len(values)} values (first {values[:1]}) and "
                    f"{len(counts)} counts; pass as many counts as values, {OOV!r} first"
                )
            lines = zip(values, counts.tolist(), strict=True)
            file.write("".join([f"{value}\t{count}\n" for value, count in lines]).encode())
            first = False
        if first:
            raise DataError(f"field {field!r} has no values; pass {OOV!r} first")
    return path


def load_vocabulary(directory: str | os.PathLike[str], field: str) -> tuple[list[str], np.ndarray]:
    """Reads the vocabulary file of a field.

    Args:
        directory: data folder.
        field: field name.

    Returns:
        The values by id, `<oov>` first, and their int64 counts.

    Raises:
        DataError: if the file is missing or malformed.

    Example:
        >>> import tempfile
        >>> folder = tempfile.mkdtemp()
        >>> _ = save_vocabulary(folder, "user", ["<oov>", "ann"], np.array([0, 3]))
        >>> load_vocabulary(folder, "user")
        (['<oov>', 'ann'], array([0, 3]))
    """
    parts = list(read_vocabulary(directory, field))
    values = [value for part, _ in parts for value in part]
    return values, np.concatenate([counts for _, counts in parts])


def read_vocabulary(
    directory: str | os.PathLike[str], field: str
) -> Iterator[tuple[list[str], np.ndarray]]:
    """Reads the vocabulary file of a field in parts.

    Args:
        directory: data folder.
        field: field name.

    Yields:
        Values by id, `<oov>` first, and their int64 counts, part after part.

    Raises:
        DataError: if the file is missing or malformed.

    Example:
        >>> import tempfile
        >>> folder = tempfile.mkdtemp()
        >>> _ = save_vocabulary(folder, "user", ["<oov>", "ann"], np.array([0, 3]))
        >>> next(read_vocabulary(folder, "user"))
        (['<oov>', 'ann'], array([0, 3]))
    """
    path = vocabulary_path(directory, field)
    if not gfile.exists(path):
        raise DataError(
            f"no vocabulary at {path}; prepare the data first: "
            "python -m launch.prepare --dataset=NAME --out=DIRECTORY"
        )
    first = 0
    for text in _texts(path):
        values, counts = [], []
        # Not splitlines(): it would also split at characters such as U+2028 within a value.
        for number, line in enumerate(text.split("\n"), start=first):
            value, tab, count = line.partition("\t")
            if not tab or not count.isdecimal() or (number == 0) != (value == OOV):
                raise DataError(
                    f"{path}, line {number + 1}: {line[:80]!r} is not 'value<TAB>count' with "
                    f"{OOV!r} on line 1 only; prepare the data again"
                )
            values.append(value)
            counts.append(int(count))
        first += len(values)
        yield values, np.array(counts, np.int64)
    if not first:
        raise DataError(f"{path} is empty; prepare the data again")


def _texts(path: str) -> Iterator[str]:
    """Yields whole lines of a file, some megabytes at a time, without the last line end."""
    rest = b""
    with gfile.GFile(path, "rb") as file:
        while chunk := file.read(_AT_ONCE):
            lines, end, last = chunk.rpartition(b"\n")
            if not end:
                rest += chunk
                continue
            yield _decoded(rest + lines, path)
            rest = last
    if rest:
        yield _decoded(rest, path)


def _decoded(lines: bytes, path: str) -> str:
    try:
        return lines.decode("utf-8")
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8 text ({error}); prepare the data again") from None


def load_counts(directory: str | os.PathLike[str], schema: Schema) -> dict[str, np.ndarray]:
    """Reads how often each id occurs in the training split, for `Helen(frequency=...)`.

    Args:
        directory: data folder.
        schema: `Schema` of the data.

    Returns:
        Dict from field name to int64 counts [size].

    Raises:
        DataError: if a vocabulary is missing or malformed, or its size differs from the field's.

    Example:
        >>> load_counts("data/frappe", schema)["user"]  # doctest: +SKIP
    """
    result = {}
    for field, size in schema.field_sizes.items():
        _, counts = load_vocabulary(directory, field)
        if len(counts) != size:
            raise DataError(
                f"{vocabulary_path(directory, field)} has {len(counts)} ids, the schema says "
                f"{size}; prepare the data again"
            )
        result[field] = counts
    return result
