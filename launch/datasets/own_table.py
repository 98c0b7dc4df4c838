"""CSV, TSV or Parquet files that a schema file describes."""

from __future__ import annotations

import dataclasses
import posixpath
from collections.abc import Mapping

import polars as pl
from absl import logging

from launch.datasets.raw import Options, RawData, RowAccount, Rows
from launch.datasets.splitting import random_splits, time_splits
from launch.datasets.table_types import used_columns
from launch.datasets.tables import is_table, table_rows
from launch.preparation.fields import WITH_VOCABULARY
from launch.raw.files import list_raw
from launch.schema_inference.infer import infer_schema
from tf_helen.stores import gfile
from zoo.data.files import DataError, join, write_text
from zoo.data.schema import Schema
from zoo.data.schema_text import schema_to_text

_SPLITS = {
    "train": "train",
    "valid": "valid",
    "validation": "valid",
    "val": "valid",
    "test": "test",
}
_SAMPLE = 200_000  # rows that are read to propose a schema
SHARES = {"train": 0.8, "valid": 0.1, "test": 0.1}
ENCODING = (
    "If the files are Latin-1, iconv -f LATIN1 -t UTF-8 FILE > NEW converts them; if the number of "
    "columns is wrong, check the separator, --separator"
)


def load(
    schema: str,
    options: Options,
    shares: Mapping[str, float] | None = None,
    split_by: str | None = None,
    separator: str | None = None,
    survey: bool = True,
) -> RawData:
    """Reads tables that a schema file describes.

    Files or folders whose names begin with train, valid (validation, val) and test are these
    splits. Otherwise all files are one table, which is split by `shares`; so are train files alone
    if `shares` are given.

    Args:
        schema: string, schema file (`.json`).
        options: `Options`; `source` is a file, folder or pattern, and `min_count`, if not `None`,
            replaces that of every field with a vocabulary.
        shares: dict from split to its share of the rows, in order of time if split by time.
            Defaults to `None`: 0.8, 0.1 and 0.1 for train, valid and test.
        split_by: "random" or "time". Defaults to `None`: "time" if the schema has a time column,
            else "random".
        separator: string, separator of the columns of CSV files. Defaults to `None`: that of the
            file name.
        survey: boolean, whether to read the times that divide the rows; `False` if Beam does it.
            Defaults to `True`.

    Returns:
        `RawData`.

    Raises:
        ValueError: if the schema or the files are missing or invalid.

    Example:
        >>> load("clicks.json", Options(source="clicks.csv"), {"train": 1.0})  # doctest: +SKIP
    """
    if not schema.endswith(".json") or not gfile.exists(join(schema)):
        raise DataError(
            f"no schema at {schema}; name a .json file, or propose one: python -m "
            f"launch.prepare --infer --source={options.source} --schema=FILE.json"
        )
    found = Schema.load(schema)
    if options.min_count is not None:
        found = dataclasses.replace(
            found,
            categorical=tuple(
                dataclasses.replace(field, min_count=options.min_count)
                if field.encoding in WITH_VOCABULARY
                else field
                for field in found.categorical
            ),
        )
    files = _tables(options.source)
    named = _by_split(files, options.source)

    def read(group: list[str]) -> Rows:
        return table_rows(group, separator=separator, needed=used_columns(found))

    alone = set(named) == {"train"}
    if named and split_by is None and not (alone and shares):
        if None in named:
            raise DataError(
                f"{options.source} holds train files and others ({', '.join(named[None][:5])}); "
                "rename every file after its split, or pass --split_by"
            )
        if shares:
            raise DataError(
                f"--split has no effect: the files of {options.source} are named after the splits "
                f"{', '.join(filter(None, named))}; remove it, or pass --split_by=random to join "
                "and divide all rows"
            )
        if alone:
            logging.warning(
                "%s is named after the split train, so all its rows are training rows, and "
                "training also needs the split valid; to divide the rows, pass --split=0.8,0.1,0.1",
                options.source,
            )
        splits = {split: read(group) for split, group in named.items() if split is not None}
        return RawData(found, splits, tuple(files), separator=separator)
    shares, rows = shares or SHARES, read(files)
    if split_by is None:
        split_by = "random" if found.time is None else "time"
    if split_by == "time":
        if found.time is None:
            raise DataError(f"{schema} names no time column; add one or use --split_by=random")
        splits = time_splits(rows, found.time, shares, survey)
    else:
        splits = random_splits(rows, shares, options.seed)
    return RawData(found, splits, tuple(files), separator=separator)


def propose(
    source: str | None,
    schema: str | None,
    label: str | None = None,
    overwrite: bool = False,
    separator: str | None = None,
) -> str:
    """Writes a proposed schema for tables, for review and editing.

    Args:
        source: string, file, folder or pattern; the first 200,000 rows are read.
        schema: string, schema file (`.json`) to write.
        label: string, name of the label column. Defaults to `None`: found by its name or values.
        overwrite: boolean, whether to replace an existing file. Defaults to `False`.
        separator: string, separator of the columns of CSV files. Defaults to `None`: that of the
            file name.

    Returns:
        String to print: the proposal and its reason for each column.

    Raises:
        ValueError: if the files are missing, the schema file exists, or no label can be found.

    Example:
        >>> print(propose("clicks.csv", "clicks.json"))  # doctest: +SKIP
    """
    if not schema or not schema.endswith(".json"):
        raise DataError(f"--schema={schema}; name the .json file to write")
    if gfile.exists(schema) and not overwrite:
        raise DataError(f"--schema={schema} exists; name another file or add --overwrite")
    files = _tables(source)
    groups = _by_split(files, source)
    sample, rows, account = [], 0, RowAccount()
    for frame in table_rows(groups.get("train") or files, separator=separator)(account):
        sample.append(frame)
        rows += frame.height
        if rows >= _SAMPLE:
            break
    damaged = account.describe()
    if not rows and damaged:
        raise DataError(f"{source} has no readable row: {damaged}. {ENCODING}")
    if not rows:
        raise DataError(f"{source} holds no rows; name files with rows")
    table = pl.concat(sample, how="vertical_relaxed").head(_SAMPLE)
    name = posixpath.basename(schema).removesuffix(".json")
    proposed, notes = infer_schema(table, name, label)
    write_text(schema, schema_to_text(proposed))
    if damaged:
        notes.append(f"rows that were left out: {damaged}")
    source_text = f"--schema={schema} --source={source} --out=DIRECTORY"
    if separator is not None:
        source_text += f" --separator={'tab' if separator == chr(9) else repr(separator)}"
    notes.append(
        f"written to {schema}; read and edit it, then: python -m launch.prepare {source_text}"
    )
    return "\n".join(notes)


def parse_shares(text: str) -> dict[str, float]:
    """Reads the shares of train, valid and test.

    Args:
        text: string, two (train, valid) or three (train, valid, test) positive numbers that add up
            to 1, separated by commas.

    Returns:
        Dict from split to share.

    Raises:
        ValueError: on any other text.

    Example:
        >>> parse_shares("0.8,0.1,0.1")
        {'train': 0.8, 'valid': 0.1, 'test': 0.1}
    """
    try:
        values = [float(part) for part in text.split(",")]
    except ValueError:
        values = []
    if len(values) not in (2, 3) or min(values) <= 0 or abs(sum(values) - 1) > 1e-6:
        raise DataError(
            f"--split={text}; use two or three numbers above 0 that add up to 1, such as "
            "0.8,0.1,0.1"
        )
    return dict(zip(("train", "valid", "test"), values, strict=False))


def _tables(source: str | None) -> list[str]:
    if not source:
        raise DataError("pass --source=FILE, a folder of files, or a pattern")
    names = list_raw(source)
    if not any(map(is_table, names)):
        deeper = [f"{source.rstrip('/')}/{split}*/*" for split in ("train", "val", "test")]
        names = [name for pattern in deeper for name in _or_none(pattern)] or names
    tables = [name for name in names if is_table(name)]
    if not tables:
        raise DataError(
            f"{source} holds no .csv, .tsv, .txt or .parquet file (compressed or not); found "
            f"{', '.join(names[:5])}"
        )
    return tables


def _or_none(pattern: str) -> list[str]:
    try:
        return list_raw(pattern)
    except DataError:
        return []


def _by_split(files: list[str], source: str) -> dict[str | None, list[str]]:
    """Returns the files by split, `None` for others; empty if there are no train files."""
    found: dict[str | None, list[str]] = {}
    for path in files:
        found.setdefault(_split_of(path, source), []).append(path)
    return found if "train" in found else {}


def _split_of(path: str, source: str) -> str | None:
    """Returns the split in the name of a file, or of its folder within the source."""
    folder = source.rstrip("/") + "/"
    below = path.removeprefix(folder) if path.startswith(folder) else posixpath.basename(path)
    for part in reversed(below.split("/")):
        word = part.replace("-", ".").replace("_", ".").split(".")[0].lower()
        if word in _SPLITS:
            return _SPLITS[word]
    return None
