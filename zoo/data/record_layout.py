"""The features of a row's `tf.train.Example`, in each of the layouts with one record per row."""

from __future__ import annotations

from dataclasses import dataclass

from zoo.data.columns import SchemaError
from zoo.data.files import DataError
from zoo.data.schema import Schema

BLOCKS = "blocks"  # many rows per record, see `zoo.data.block_layout`
LAYOUTS = (BLOCKS, "packed", "columns")
DEFAULT_LAYOUT = BLOCKS
TIME = "row_time"  # that of the time
GROUP = "group_id"  # the group's feature in "columns": the group's own name may be a field


@dataclass(frozen=True)
class Feature:
    """One feature of a record, and the part of a row that it contains.

    Args:
        key: its name in the Example.
        part: "ids", "numeric", "label", "weight", "group" or "time".
        start: first column of that part.
        stop: column after the last one.
        ragged: True if padding (-1) is omitted. Defaults to False.

    Example:
        >>> Feature("user", "ids", 0, 1).kind
        'int64_list'
    """

    key: str
    part: str
    start: int
    stop: int
    ragged: bool = False

    @property
    def kind(self) -> str:
        """The kind of list: "int64_list" or "float_list"."""
        return "int64_list" if self.part in ("ids", "group", "time") else "float_list"

    @property
    def width(self) -> int:
        """Number of values; the maximum if it is ragged."""
        return self.stop - self.start


def record_layout(schema: Schema, layout: str) -> tuple[Feature, ...]:
    """Lists the features of a record with one row.

    - `packed`: `ids`, `numeric`, `label`, `weight`, `group` and `time`, one list each, as far as
    they exist.
    - `columns`: one per column, under its name; the group under `group_id`, the time under
      `row_time`. A multi-valued field
      contains no padding; the reader pads it at the end. An absent field, as TFX writes it, has no
      values.

    Args:
        schema: columns of the rows.
        layout: "packed" or "columns".

    Returns:
        The features, in the order in which they are written.

    Raises:
        DataError: if the layout is unknown.
        SchemaError: if a column has the name that the layout reserves for the group or the time.

    Example:
        >>> from zoo.data.schema import Categorical
        >>> schema = Schema("tiny", [Categorical("user", 10), Categorical("tags", 5, length=3)])
        >>> [feature.key for feature in record_layout(schema, "columns")]
        ['user', 'tags', 'label']
    """
    check_layout(layout)
    features = []
    if layout == "packed":
        for part, width in (("ids", schema.ids_width), ("numeric", len(schema.numeric))):
            features += [Feature(part, part, 0, width)] if width else []
    else:
        start = 0
        for field in schema.categorical:
            stop = start + field.length
            features.append(Feature(field.name, "ids", start, stop, ragged=field.length > 1))
            start = stop
        features += [Feature(c.name, "numeric", i, i + 1) for i, c in enumerate(schema.numeric)]
    columns = layout == "columns"
    features.append(Feature(schema.label if columns else "label", "label", 0, 1))
    if schema.weight is not None:
        features.append(Feature(schema.weight if columns else "weight", "weight", 0, 1))
    stored = {"group": schema.group is not None, "time": schema.keep_time}
    for part, key in (("group", GROUP), ("time", TIME)):
        if not stored[part]:
            continue
        if columns and any(feature.key == key for feature in features):
            raise SchemaError(
                f"layout='columns' stores the {part} under {key!r}, which is also a column of "
                f"schema {schema.name!r}; rename the column or use layout='packed'"
            )
        features.append(Feature(key if columns else part, part, 0, 1))
    return tuple(features)


def check_layout(layout: str) -> None:
    """Raises `DataError` unless a layout is known.

    Args:
        layout: the value received.

    Raises:
        DataError: names the layouts.

    Example:
        >>> check_layout("packed")
    """
    if layout not in LAYOUTS:
        raise DataError(f"layout={layout!r}; use one of {', '.join(LAYOUTS)}")
