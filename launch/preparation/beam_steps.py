"""What the pipelines of Apache Beam share: a step over the parts, and tables as files."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from typing import Any

import apache_beam as beam
import polars as pl
from apache_beam.internal import pickler

from launch.preparation.exchange import write_table
from tf_helen.stores import gfile
from zoo.data.files import DataError, join

TABLE = "table"  # output of a step for tables and files


def pickled(parts: Sequence[Any]) -> list[tuple[int, bytes]]:
    """Numbers and pickles the parts of a data set; Beam's own coders do not pickle functions.

    Args:
        parts: sequence of `Part` or `PlacedPart`.

    Returns:
        List of (number of the part, bytes), elements for a `Step`.
    """
    return [(number, pickler.dumps(part)) for number, part in enumerate(parts)]


class Step(beam.DoFn):
    """Applies a function to a part; bad input becomes a result, so that it is not tried again."""

    def process(self, element: tuple[int, bytes]) -> Iterator[Any]:
        """Yields the results of a part."""
        number, content = element
        try:
            yield from self.results(number, pickler.loads(content))
        except DataError as error:
            yield number, error

    def results(self, number: int, part: Any) -> Iterator[Any]:
        """Yields the results of an unpickled part."""
        raise NotImplementedError


def write_tables(table: pl.DataFrame, folder: str) -> str:
    """Writes a table under a new name: Beam may try a step again.

    Args:
        table: polars `DataFrame`.
        folder: string, an existing folder.

    Returns:
        The path, which `launch.preparation.exchange.read_tables` reads.
    """
    path = join(folder, f"{uuid.uuid4().hex}.tables")
    with gfile.GFile(path, "wb") as file:
        write_table(file, table)
    return path
