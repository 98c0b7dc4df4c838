"""Checksums of a prepared data folder; equal contents have equal checksums.

Two folders of equal sizes may map different values to the same id or hold different rows. Commands
that continue from a trained model compare these checksums.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from typing import Any

from tf_helen.stores import gfile
from zoo.data.files import DataError, join
from zoo.data.manifest import find_split, load_manifest
from zoo.data.schema import Schema
from zoo.data.vocabulary import vocabulary_path

_CHUNK = 1 << 20  # bytes per read
SPLITS = ("train", "valid", "test")  # what a run reads


def data_identity(
    directory: str | os.PathLike[str], splits: Sequence[str] = SPLITS
) -> dict[str, Any]:
    """Computes the checksums of a prepared data folder.

    Args:
        directory: data folder.
        splits: splits to include, if they exist.

    Returns:
        Dict of SHA-256 checksums in hexadecimal: "roles" (which columns are the label, the weight,
        the group and the time in records), "columns" (of each column of the schema, in order),
        "vocabularies" (of each vocabulary file) and "splits" (of the record files, from the
        manifest; files without a checksum are read).

    Raises:
        DataError: if a record file is missing.
        SchemaError: if the schema is missing or malformed.

    Example:
        >>> import tempfile
        >>> from zoo.data.schema import Categorical
        >>> folder = tempfile.mkdtemp()
        >>> _ = Schema("tiny", [Categorical("user", 10)]).save(folder)
        >>> list(data_identity(folder)["columns"])
        ['user']
    """
    schema = Schema.load(directory)
    roles = [schema.label, schema.weight, schema.group]
    if schema.keep_time:
        roles.append(schema.time)
    fields = [field.name for field in schema.categorical]
    vocabularies = {name: vocabulary_checksum(directory, name) for name in fields}
    return {
        "roles": _digest(roles),
        "columns": {column.name: _digest(dataclasses.asdict(column)) for column in schema.columns},
        "vocabularies": {name: found for name, found in vocabularies.items() if found},
        "splits": _split_checksums(directory, splits),
    }


def identity_checksum(directory: str | os.PathLike[str], splits: Sequence[str] = SPLITS) -> str:
    """Returns one checksum of a prepared data folder; for the arguments see `data_identity`.

    Returns:
        SHA-256 in hexadecimal.

    Example:
        >>> import tempfile
        >>> from zoo.data.schema import Categorical
        >>> folder = tempfile.mkdtemp()
        >>> _ = Schema("tiny", [Categorical("user", 10)]).save(folder)
        >>> len(identity_checksum(folder))
        64
    """
    return _digest(data_identity(directory, splits))


def check_identity(
    expected: Mapping[str, Any],
    found: Mapping[str, Any],
    directory: str | os.PathLike[str],
    owner: str,
) -> None:
    """Raises `DataError` unless two folders have the same content.

    Args:
        expected: result of `data_identity` for the original folder.
        found: result of `data_identity` for another folder; missing parts are not compared.
        directory: the other folder, for the message.
        owner: what was made with the original folder, for the message, such as "the run in out/a".

    Raises:
        DataError: names the first field or split that differs.

    Example:
        >>> found = {"vocabularies": {"user": "ab"}}
        >>> check_identity(found, found, "data/frappe", "the run in out/frappe")
    """
    directory = os.fspath(directory)
    for part, text in _DIFFERS.items():
        if part not in found or part not in expected:
            continue
        before, now = expected[part], found[part]
        if part == "roles":
            differing = [] if before == now else [""]
        else:
            differing = [name for name in {**before, **now} if before.get(name) != now.get(name)]
            if part == "columns" and not differing and list(before) != list(now):
                differing = [next(a for a, b in zip(before, now, strict=True) if a != b)]
        if differing:
            what = text.format(repr(differing[0]))
            raise DataError(
                f"{what} in {directory}, not what {owner} was made with; pass the data folder that "
                "it was made with, or a copy of it, or train a new run"
            )


def vocabulary_checksum(directory: str | os.PathLike[str], field: str) -> str | None:
    """Returns the SHA-256 of the vocabulary file of a field.

    Args:
        directory: data folder.
        field: field name.

    Returns:
        String in hexadecimal; `None` if the file does not exist.

    Example:
        >>> import tempfile
        >>> vocabulary_checksum(tempfile.mkdtemp(), "user") is None
        True
    """
    path = vocabulary_path(directory, field)
    return _file_digest(path) if gfile.exists(path) else None


_DIFFERS = {
    "columns": "column {} has other settings",
    "roles": "the schema names another label, weight, group or time",
    "vocabularies": "field {} has another vocabulary",
    "splits": "split {} has other rows",
}


def _split_checksums(directory: str | os.PathLike[str], splits: Sequence[str]) -> dict[str, str]:
    known = load_manifest(directory)
    result = {}
    for name in splits:
        if known and name not in known:
            continue
        try:
            split = find_split(directory, name)
        except DataError:
            if known:
                raise
            continue  # a folder without a manifest may lack it
        sums = split.sha256 or [_file_digest(join(directory, file)) for file in split.files]
        result[name] = _digest(list(sums))
    return result


def _file_digest(path: str) -> str:
    digest = hashlib.sha256()
    with gfile.GFile(path, "rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
