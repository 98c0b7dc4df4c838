"""Names the lines of the rows that a preparation skips."""

from __future__ import annotations

from collections.abc import Sequence

from launch.datasets.damaged_rows import damaged_rows, places_of
from launch.datasets.table_types import used_columns
from launch.datasets.tables import column_names, is_parquet, is_table
from launch.preparation.rows import damaged_labels
from zoo.data.files import DataError
from zoo.data.schema import Schema

_MOST = 10


def damaged_lines(
    files: Sequence[str], schema: Schema, separator: str | None = None, most: int = _MOST
) -> list[str]:
    """Returns where the first damaged rows of tables are.

    The files are read once more, up to these rows.

    Args:
        files: sequence of strings, the raw files. Parquet files have no lines, and files that lack
            the columns of the schema, because the data set computes them, are left out.
        schema: `Schema`, the columns.
        separator: string, separator of the columns of CSV files. Defaults to `None`: that of the
            file name.
        most: int, number of rows. Defaults to 10.

    Returns:
        List of strings, such as "clicks.csv, line 7: label is not a number from 0 to 1".

    Example:
        >>> damaged_lines(["clicks.parquet"], Schema("tiny", [zoo.Categorical("user")]))
        []
    """
    found: list[str] = []
    for path in files:
        if len(found) >= most or not _has_columns(path, schema, separator):
            continue
        rows = damaged_rows(
            path,
            separator,
            reasons=lambda frame: damaged_labels(frame, schema),
            most=most - len(found),
            needed=used_columns(schema),
        )
        places = places_of(path, list(rows), separator)
        reasons = rows.values()
        found += [f"{path}, {at}: {why}" for at, why in zip(places, reasons, strict=True)]
    return found


def _has_columns(path: str, schema: Schema, separator: str | None) -> bool:
    if not is_table(path) or is_parquet(path):
        return False
    roles = [role for role in (schema.label, schema.weight) if role is not None]
    wanted = {*roles, *(column.name for column in schema.columns)}
    try:
        return wanted <= set(column_names(path, separator))
    except DataError:  # without a header, values of the first row may be equal
        return False
