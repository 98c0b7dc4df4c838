"""Vocabulary files: the id of each value and its number of occurrences in the training split.

`vocabulary/<field>.tsv` beside the schema; line i is id i, `value<TAB>count`; line 0 is `<oov>`,
with the occurrences of all values without their own id. `tf.lookup.TextFileInitializer` reads this
layout, so a served model uses the same file.
"""

import hashlib
import os

import numpy as np
import tensorflow as tf

from tf_helen.core.folders import is_remote
from zoo.data.files import DataError, join, read_text, write_text
from zoo.data.safe_paths import inside
from zoo.data.schema import Schema

OOV = "<oov>"
_LONGEST = 200  # characters; 255 are allowed, and a temporary name needs some
_LONGEST_PLAIN = 251  # characters of a field name that is used unchanged
_SHORT = 100
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
        if tf.io.gfile.exists(plain):
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
        one_for_both = tf.io.gfile.exists(join(directory, "vocabulary", ".CAPITALS"))
    finally:
        tf.io.gfile.remove(probe)
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
    if len(values) != len(counts) or list(values[:1]) != [OOV]:
        raise DataError(
            f"field {field!r}: {len(values)} values (first {values[:1]}) and {len(counts)} counts; "
            f"pass as many counts as values, {OOV!r} first"
        )
    path = vocabulary_path(directory, field)
    lines = [f"{value}\t{count}\n" for value, count in zip(values, counts.tolist(), strict=True)]
    write_text(path, "".join(lines))
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
    path = vocabulary_path(directory, field)
    if not tf.io.gfile.exists(path):
        raise DataError(
            f"no vocabulary at {path}; prepare the data first: "
            "python -m launch.prepare --dataset=NAME --out=DIRECTORY"
        )
    values, counts = [], []
    # Not splitlines(): it would also split at characters such as U+2028 within a value.
    try:
        lines = read_text(path).split("\n")
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8 text ({error}); prepare the data again") from None
    if lines[-1] == "":
        lines.pop()
    for number, line in enumerate(lines):
        value, tab, count = line.partition("\t")
        if not tab or not count.isdecimal() or (number == 0) != (value == OOV):
            raise DataError(
                f"{path}, line {number + 1}: {line[:80]!r} is not 'value<TAB>count' with {OOV!r} "
                "on line 1 only; prepare the data again"
            )
        values.append(value)
        counts.append(int(count))
    if not values:
        raise DataError(f"{path} is empty; prepare the data again")
    return values, np.array(counts, np.int64)


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
