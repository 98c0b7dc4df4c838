"""Raw rows of a stream as arrays by column, as a served model takes them.

A column of text is text as it is; numbers become the text that `launch.prepare` gives them; lists
are joined by the separator of the field. Missing values (`None`, NaN, an absent column) are "".
Numbers are read like the numbers of files.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from zoo.data.files import DataError
from zoo.data.schema import Schema
from zoo.data.subnormals import flush_array
from zoo.serving.encoding import numbers_from_text

_INTEGERS = (f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64))
_NUMBERS = {"float", "double", *_INTEGERS}  # types of Arrow
_SHOWN = 60  # characters of a value in a message


class Part(NamedTuple):
    """Consecutive rows of a source without those that are damaged.

    Attributes:
        columns: dict from column to array [n]: bytes of fields, float32 of numbers, label, weight.
        numbers: int64 [n], number of each row within the item or items.
        after: states of the source after each row of the items; None for a record batch.
        before: position before the items.
        end: position after the items.
        damages: the reason for each damaged row, by its number.
        lost: number of damaged rows before the items.
    """

    columns: dict[str, np.ndarray]
    numbers: np.ndarray
    after: Sequence[Any] | None
    before: Any
    end: Any
    damages: dict[int, str]
    lost: int


class RowReader:
    """Reads raw rows by a schema.

    Args:
        schema: columns of the rows.

    Example:
        >>> from zoo.data.schema import Categorical
        >>> reader = RowReader(Schema("tiny", [Categorical("user", 10)]))
        >>> columns, damages = reader.read([{"user": 7.0, "label": 1}, {"user": "ann"}])
        >>> columns["user"].tolist(), damages
        ([b'7.0', b'ann'], {1: "the column 'label' is missing"})
    """

    def __init__(self, schema: Schema):
        self._schema = schema
        self._targets = [schema.label, *([schema.weight] if schema.weight is not None else [])]

    def read(self, rows: Sequence[Any] | Any) -> tuple[dict[str, np.ndarray], dict[int, str]]:
        """Reads rows.

        Args:
            rows: sequence of dicts, or a `pyarrow.RecordBatch`.

        Returns:
            Arrays [n] by column, with any value in damaged rows; and the reason for each damaged
            row.

        Raises:
            DataError: if a record batch lacks a column.
        """
        damages: dict[int, str] = {}
        count, values = self._values(rows, damages)
        columns = {}
        for field in self._schema.categorical:
            found = self._checked(values[field.name], field.name, damages)
            columns[field.name] = np.array(list(found(lambda v, f=field: text_of(v, f.separator))),
                                           object)  # fmt: skip
        for column in self._schema.numeric:
            columns[column.name] = _float32(values[column.name], column.name, damages)
        for name in self._targets:
            columns[name] = _float32(values[name], name, damages)
            for row in np.flatnonzero(~self._fits(name, columns[name])).tolist():
                damages.setdefault(row, self._problem(name, values[name][row]))
        assert all(len(each) == count for each in columns.values())
        return columns, damages

    def _values(self, rows: Any, damages: dict[int, str]) -> tuple[int, dict[str, Any]]:
        names = [column.name for column in self._schema.columns] + self._targets
        found: dict[str, Any]
        if not hasattr(rows, "schema"):
            plain = []
            for number, row in enumerate(rows):
                if not isinstance(row, Mapping):
                    kind = type(row).__name__
                    damages[number] = f"a row is a {kind}, not a dict: {_shown(row)}"
                plain.append(row if isinstance(row, Mapping) else {})
            return len(plain), {name: [row.get(name) for row in plain] for name in names}
        absent = [name for name in names if name not in rows.schema.names]
        if absent:
            raise DataError(
                f"a record batch lacks the columns {', '.join(map(repr, absent))}; it has "
                f"{', '.join(map(repr, rows.schema.names))}"
            )
        fields = {field.name for field in self._schema.categorical}
        found = {name: _of_arrow(rows.column(name), is_text=name in fields) for name in names}
        return rows.num_rows, found

    def _checked(self, values: list, name: str, damages: dict[int, str]) -> Any:
        def converted(function: Any) -> Iterator[bytes]:
            for row, value in enumerate(values):
                try:
                    yield function(value)
                except (ValueError, TypeError) as error:
                    damages.setdefault(row, f"the column {name!r} is {_shown(value)} ({error})")
                    yield b""

        return converted

    def _fits(self, name: str, values: np.ndarray) -> np.ndarray:
        if name == self._schema.label:
            return (values >= 0) & (values <= 1)  # false for NaN
        return np.isfinite(values) & (values >= 0)

    def _problem(self, name: str, value: Any) -> str:
        if value is None:
            return f"the column {name!r} is missing"
        allowed = "0 to 1" if name == self._schema.label else "finite numbers of 0 or more"
        return f"the column {name!r} is {_shown(value)}, allowed are {allowed}"


def text_of(value: Any, separator: str = "|") -> bytes:
    """Returns the text of a value that a served model takes, in UTF-8.

    Args:
        value: string, UTF-8 bytes, number, boolean, `None`, or a list of them.
        separator: string that joins the values of a list. Defaults to "|".

    Raises:
        ValueError: if bytes are not UTF-8, or a string has characters that UTF-8 has not.
        TypeError: if the value has another type.

    Example:
        >>> text_of(1e-5), text_of(True), text_of(["a", None, 3]), text_of(float("nan"))
        (b'0.00001', b'true', b'a|3', b'')
    """
    if value is None:
        return b""
    if isinstance(value, str):
        return value.encode()
    if isinstance(value, bytes):
        value.decode()
        return value
    if isinstance(value, bool | np.bool_):
        return b"true" if value else b"false"
    if isinstance(value, int | np.integer):
        return str(int(value)).encode()
    if isinstance(value, float | np.floating):
        return _text_of_float(value).encode()
    if isinstance(value, list | tuple | np.ndarray):
        known = (each for each in value if each is not None and each == each)
        return separator.encode().join(text_of(each) for each in known)
    raise TypeError(f"a {type(value).__name__} is no value of a field")


def _text_of_float(value: float | np.floating) -> str:
    """Returns the shortest text of a number, in the form that polars writes."""
    if not math.isfinite(value):
        return "" if math.isnan(value) else str(float(value))
    single = isinstance(value, np.float32 | np.float16)
    number = np.float32(value) if single else np.float64(value)
    mantissa, _, exponent = np.format_float_scientific(number, trim="-").partition("e")
    lowest, highest = (-6, 12) if single else (-5, 15)  # powers of ten that are written out
    power = int(exponent)
    if not lowest <= power <= highest:
        return f"{mantissa}e{power:+d}"
    sign = "-" if mantissa.startswith("-") else ""
    digits = mantissa.lstrip("-").replace(".", "")
    if power < 0:
        return f"{sign}0.{'0' * (-power - 1)}{digits}"
    return f"{sign}{digits[: power + 1].ljust(power + 1, '0')}.{digits[power + 1 :] or '0'}"


def _of_arrow(column: Any, is_text: bool) -> list | np.ndarray:
    """Returns the values of an Arrow array; float32 keeps its precision, for its text."""
    if not is_text and str(column.type) in _NUMBERS:
        return column.to_numpy(zero_copy_only=False)
    values = column.to_pylist()
    if str(column.type) in ("float", "halffloat"):
        return [None if value is None else np.float32(value) for value in values]
    return values


def _float32(values: list | np.ndarray, name: str, damages: dict[int, str]) -> np.ndarray:
    """Returns numbers; absent ones are NaN."""
    numbers, texts = np.full(len(values), np.nan), {}
    if isinstance(values, np.ndarray) and values.dtype.kind in "iuf":
        numbers, values = values.astype(np.float64), []
    for row, value in enumerate(values):
        if value is None:
            continue
        if isinstance(value, str | bytes):
            texts[row] = value
        elif isinstance(value, bool | np.bool_ | int | np.integer | float | np.floating):
            try:
                numbers[row] = float(value)
            except OverflowError:
                numbers[row] = np.inf
        else:
            damages.setdefault(row, f"the column {name!r} is {_shown(value)}, not a number")
    if texts:
        found = numbers_from_text(tf.constant(list(texts.values()), tf.string))
        numbers[list(texts)] = found.numpy()
    with np.errstate(over="ignore"):
        plain = flush_array(numbers).astype(np.float32)
    plain[~np.isfinite(plain)] = np.nan
    return plain


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
