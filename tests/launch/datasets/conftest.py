"""Helpers for the tests of the data sets: reading a data set completely, and twice."""

import gzip
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from launch import datasets
from launch.datasets.raw import Options, RawData, RowAccount, Rows, stream


class Loaded:
    """A data set that was read whole.

    Args:
        raw: what the loader gave.

    Attributes:
        tables: all rows of each split.
        account: what one pass over all splits met.
    """

    def __init__(self, raw: RawData):
        self.raw = raw
        self.account = RowAccount()
        parts: dict[str, list[pl.DataFrame]] = {split: [] for split in raw.splits}
        for split, frame in stream(raw, self.account):
            parts[split].append(frame)
        self.tables = {split: pl.concat(frames) for split, frames in parts.items()}

    def __getitem__(self, split: str) -> pl.DataFrame:
        return self.tables[split]

    def heights(self) -> list[int]:
        """Rows of train, valid and test."""
        return [self.tables[split].height for split in ("train", "valid", "test")]


def read(rows: Rows) -> pl.DataFrame:
    """All rows of one split."""
    return pl.concat(list(rows(RowAccount())))


@pytest.fixture
def load() -> Callable[..., Loaded]:
    """Loads a data set by name; checks that passes agree and that all columns are there."""

    def loaded(name: str, source: Path | str | None, **options) -> Loaded:
        given = None if source is None else str(source)
        raw = datasets.get(name)(Options(source=given, **options))
        whole = Loaded(raw)
        schema = raw.schema
        columns = [column.name for column in (*schema.categorical, *schema.numeric)]
        for extra in (schema.label, schema.group, schema.time):
            columns += [] if extra is None else [extra]
        for split, rows in raw.splits.items():
            assert read(rows).equals(whole[split]) and read(rows).equals(whole[split])
            assert set(columns) <= set(whole[split].columns), split
        return whole

    return loaded


@pytest.fixture
def write() -> Callable[..., Path]:
    """Writes text files into a folder: `write(folder, {"train.csv": "..."})`; `.gz` compresses."""

    def written(folder: Path, files: dict[str, str | bytes]) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            content = text.encode() if isinstance(text, str) else text
            (folder / name).write_bytes(gzip.compress(content) if name.endswith("gz") else content)
        return folder

    return written
