"""The definition of how raw text becomes ids, as TensorFlow operations that a model can serve.

1. Several values (`length` above 1) are split at the field's separator; empty pieces are dropped,
   the first `length` values are kept, and the rest of the row is -1.
2. Tabs and line ends in a value become spaces, because they separate entries of the vocabulary
   file.
3. `vocabulary`: the line of the value in `vocabulary/<field>.tsv`, else 0. `hash`: `1 +
   FarmHash64(text) mod (size - 1)`; with a missing bucket `2 + FarmHash64(text) mod (size - 2)`.
4. `log_square` and `buckets` take numbers: text that matches `NUMBER`, with optional white space
   around it, is read as float64; values below 2^-126 in magnitude become 0. Any other text, and
   numbers that overflow, are missing. `log_square` looks up the decimal text of `floor(log(x)^2)`
   if x > 2, else of `trunc(x)`, where x < -2^53 counts as -2^53; `buckets` gives `1 +` the number
   of boundaries `<= x`.
5. A missing value is the empty string. Its id is 0; with `missing="bucket"` it is 1, which is its
   line in a vocabulary.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
import tensorflow as tf

from tf_helen.stores import gfile
from tf_helen.stores.local_copies import local_file
from zoo.data.columns import Categorical, Numeric
from zoo.data.files import DataError
from zoo.data.identity import check_identity, vocabulary_checksum
from zoo.data.schema import Schema
from zoo.data.subnormals import flush, flush_array
from zoo.data.vocabulary import vocabulary_path

# The form of a number, the same in RE2 (TensorFlow), Rust (polars) and Python.
NUMBER = r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?"
_SPACE = r"[\p{Z}\t\n\v\f\r\x{85}]"  # Unicode's White_Space
_LOWEST = -(2.0**53)
_LONGEST = 31  # characters of a number; TensorFlow 2.17 and 2.18 fail on longer ones
NEEDS_A_VOCABULARY = ("vocabulary", "log_square")
# Fields per operation: few operations for a small batch, and several at once for a large one.
_TOGETHER = 8
Tables: TypeAlias = Mapping[str, tf.lookup.StaticHashTable]


class _Vocabulary(tf.lookup.TextFileInitializer):
    """Fills a table from a vocabulary file after comparing its checksum.

    The comparison is part of the graph, so a SavedModel repeats it wherever it is loaded.
    """

    def __init__(self, path: str, field: str):
        self._field = field
        self._fingerprint = int(_fingerprint(path))
        super().__init__(
            path,
            key_dtype=tf.string,
            key_index=0,
            value_dtype=tf.int64,
            value_index=tf.lookup.TextFileIndex.LINE_NUMBER,
            delimiter="\t",
        )

    @property
    def _shared_name(self) -> str:
        # TensorFlow names a table after its path, and reuses a table in memory that has the same
        # name, even if the file has changed since.
        return f"{super()._shared_name}_{self._fingerprint}"

    def initialize(self, table):
        path = tf.convert_to_tensor(self._filename)
        unchanged = tf.debugging.Assert(
            _fingerprint(path) == self._fingerprint,
            [
                f"the vocabulary of field {self._field} is not the file that the model was "
                "exported with. Export the model again. The file:",
                path,
            ],
        )
        with tf.control_dependencies([unchanged] if unchanged is not None else []):
            return super().initialize(table)


def _fingerprint(path: str | tf.Tensor) -> tf.Tensor:
    return tf.strings.to_hash_bucket_fast(tf.io.read_file(path), 2**63 - 1)


def lookup_table(
    directory: str | os.PathLike[str], field: Categorical, checksum: str | None = None
) -> tf.lookup.StaticHashTable | None:
    """Creates the table that looks up the values of a field in its vocabulary file.

    Args:
        directory: string, prepared data folder.
        field: `zoo.Categorical` whose size is known.
        checksum: string, SHA-256 of the vocabulary file in hexadecimal. Defaults to `None`: any
            file.

    Returns:
        The table, from strings to int64 ids; `None` for `hash` and `buckets`, which need no table.
        In a SavedModel it raises an error if the vocabulary file has changed.

    Raises:
        DataError: if the vocabulary is missing, or its size or checksum differs from the expected
            one.

    Example:
        >>> lookup_table("data/frappe", Categorical("user", 9, encoding="hash")) is None
        True
    """
    if field.encoding not in NEEDS_A_VOCABULARY:
        return None
    path = vocabulary_path(directory, field.name)
    if not gfile.exists(path):
        raise DataError(f"no vocabulary at {path}; pass the data folder that the run used")
    if checksum is not None:
        check_identity(
            {"vocabularies": {field.name: checksum}},
            {"vocabularies": {field.name: vocabulary_checksum(directory, field.name)}},
            directory,
            "the model",
        )
    initializer = _Vocabulary(local_file(path), field.name)
    table = tf.lookup.StaticHashTable(initializer, default_value=0)
    if int(table.size()) != field.size:
        raise DataError(
            f"{path} has {int(table.size())} ids, and the model's field {field.name!r} has "
            f"{field.size}; pass the data folder that the run used"
        )
    return table


def ids_from_text(
    field: Categorical, text: tf.Tensor, table: tf.lookup.StaticHashTable | None = None
) -> tf.Tensor:
    """Encodes raw values of a field.

    Args:
        field: `zoo.Categorical` whose size is known.
        text: strings `[B]`; several values are joined by the field's separator; "" is missing.
        table: the result of `lookup_table` for the field.

    Returns:
        int32 ids `[B, length]`, padded with -1 if `length` is above 1.

    Raises:
        ValueError: if the field needs a table or boundaries and has none.

    Example:
        >>> age = Categorical("age", encoding="buckets", boundaries=(18, 65))
        >>> ids_from_text(age, tf.constant(["", "17.5", "18", "99"])).numpy().tolist()
        [[0], [1], [2], [3]]
    """
    _check(field, table)
    if field.length == 1:
        return _ids(field, text, table)[:, None]
    values = tf.strings.split(text, field.separator)
    values = tf.ragged.boolean_mask(values, values != "")
    ids = values.with_flat_values(_ids(field, values.flat_values, table))
    return ids.to_tensor(default_value=-1, shape=[None, field.length])


def ids_of_columns(
    fields: Sequence[Categorical],
    texts: Sequence[tf.Tensor],
    tables: Tables,
) -> tf.Tensor:
    """Encodes raw values of several fields; fields of the same encoding share their operations.

    The ids are those of `ids_from_text`. A served request of one row takes as long as the number of
    its operations.

    Args:
        fields: sequence of `zoo.Categorical` whose sizes are known.
        texts: their values, strings `[B]`, as for `ids_from_text`.
        tables: dict from field name to the result of `lookup_table`, for fields that need one.

    Returns:
        int32 ids `[B, sum of lengths]`, in the order of the fields.

    Raises:
        ValueError: if a field needs a table or boundaries and has none.

    Example:
        >>> fields = [Categorical(name, 1000, encoding="hash") for name in ("user", "ip")]
        >>> ids_of_columns(fields, [tf.constant(["ann"]), tf.constant([""])], {}).numpy().tolist()
        [[931, 0]]
    """
    alike: dict[str, list[int]] = {}
    several = []
    for place, field in enumerate(fields):
        _check(field, tables.get(field.name))
        if field.length > 1:
            several.append(place)
        else:
            alike.setdefault(field.encoding, []).append(place)
    groups = [
        places[start : start + _TOGETHER]
        for places in alike.values()
        for start in range(0, len(places), _TOGETHER)
    ]
    order = [place for group in groups for place in group]
    parts = []
    if order:
        text = _one_line(tf.stack([texts[place] for place in order], axis=1))
        columns = tf.split(text, [len(group) for group in groups], axis=1)
        for group, column in zip(groups, columns, strict=True):
            some = [fields[place] for place in group]
            parts.append(_ENCODERS[some[0].encoding](some, column, tables))
    for place in several:
        field = fields[place]
        parts.append(ids_from_text(field, texts[place], tables.get(field.name)))
    ids = parts[0] if len(parts) == 1 else tf.concat(parts, axis=1)
    ends = np.cumsum([field.length for field in fields])
    found = [c for p in (*order, *several) for c in range(ends[p] - fields[p].length, ends[p])]
    return ids if found == sorted(found) else tf.gather(ids, np.argsort(found), axis=1)


def _check(field: Categorical, table: tf.lookup.StaticHashTable | None) -> None:
    if table is None and field.encoding in NEEDS_A_VOCABULARY:
        raise ValueError(f"field {field.name!r} needs a table; pass the result of `lookup_table`")
    if field.encoding == "buckets" and not field.boundaries:
        raise ValueError(f"field {field.name!r} has no boundaries; prepare the data first")


def encoded_columns(
    schema: Schema,
    raw: Mapping[str, tf.Tensor],
    tables: Tables,
) -> dict[str, tf.Tensor]:
    """Encodes the raw columns of a schema.

    Args:
        schema: the columns.
        raw: dict by column: strings `[B]` for fields, numbers `[B]` for numeric columns.
        tables: the result of `lookup_table` by field; fields without a table may be absent.

    Returns:
        `{"ids": int32 [B, W], "numeric": float32 [B, N]}`, with the kinds of columns of the schema.
    """
    features = {}
    if schema.categorical:
        texts = [raw[field.name] for field in schema.categorical]
        features["ids"] = ids_of_columns(schema.categorical, texts, tables)
    if schema.numeric:
        numbers = [raw[column.name] for column in schema.numeric]
        features["numeric"] = present_numbers(schema.numeric, tf.stack(numbers, axis=1))
    return features


def present_numbers(columns: Sequence[Numeric], values: tf.Tensor) -> tf.Tensor:
    """Returns numbers `[B, N]`, with the missing value of a column where one is not finite.

    Args:
        columns: the columns.
        values: float32 `[B, N]`.
    """
    missing = tf.constant([column.missing_value for column in columns], tf.float32)
    return tf.where(tf.math.is_finite(values), values, missing)


def numbers_from_text(text: tf.Tensor) -> tf.Tensor:
    """Reads numbers from text that matches `NUMBER`.

    Args:
        text: strings `[n]`.

    Returns:
        float64 `[n]`, NaN where the text is not a number.

    Example:
        >>> numbers_from_text(tf.constant([" 1.5", "x"])).numpy().tolist()
        [1.5, nan]
    """
    numbers, present = _numbers(text)
    return tf.where(present, numbers, tf.constant(float("nan"), numbers.dtype))


def hash_ids(field: Categorical, values: Sequence[str] | np.ndarray) -> np.ndarray:
    """Encodes single values of a field with `encoding="hash"`.

    Args:
        field: `zoo.Categorical`; its length is ignored.
        values: n strings; "" is missing.

    Returns:
        int32 ids `[n]`.

    Raises:
        ValueError: if the field has another encoding.

    Example:
        >>> user = Categorical("user", 1000, encoding="hash", missing="bucket")
        >>> hash_ids(user, ["", "ann", "bob"]).tolist()
        [1, 794, 611]
    """
    if field.encoding != "hash":
        raise ValueError(f"field {field.name!r} has encoding={field.encoding!r}, not 'hash'")
    return _ids(field, tf.constant(values, tf.string, [len(values)]), None).numpy()


def _ids(field: Categorical, text: tf.Tensor, table: tf.lookup.StaticHashTable | None) -> tf.Tensor:
    """Returns int32 ids `[n]` of single values `[n]`."""
    tables = {} if table is None else {field.name: table}
    return _ENCODERS[field.encoding]([field], _one_line(text[:, None]), tables)[:, 0]


def _one_line(text: tf.Tensor) -> tf.Tensor:
    """Replaces tabs and line ends by spaces."""
    # Few texts have any. To match all texts at once is far faster than to search each. Invalid
    # UTF-8 does not match, and is searched.
    is_clean = tf.strings.regex_full_match(tf.strings.reduce_join(text), r"[^\t\n\r]*")
    return tf.cond(is_clean, lambda: text, lambda: tf.strings.regex_replace(text, r"[\t\n\r]", " "))


# Encoders of fields of one encoding: texts [n, fields] without tabs and line ends to int32 ids.


def _hashed(fields: Sequence[Categorical], text: tf.Tensor, tables: Any) -> tf.Tensor:
    del tables
    first = np.array([2 if field.missing == "bucket" else 1 for field in fields])
    sizes = np.array([field.size for field in fields]) - first
    if len(set(sizes.tolist())) == 1:
        hashes = tf.strings.to_hash_bucket_fast(text, int(sizes[0]))
    else:  # the same hash, before the division
        prints = tf.bitcast(tf.fingerprint(tf.reshape(text, [-1])), tf.uint64)
        prints = tf.reshape(prints, tf.shape(text))
        hashes = tf.cast(prints % tf.constant(sizes, tf.uint64), tf.int64)
    missing = tf.constant(first - 1, tf.int64)
    return tf.cast(tf.where(text == "", missing, first + hashes), tf.int32)


def _looked_up(fields: Sequence[Categorical], text: tf.Tensor, tables: Tables) -> tf.Tensor:
    columns = tf.unstack(text, axis=1, num=len(fields))
    pairs = zip(fields, columns, strict=True)
    found = [tables[field.name].lookup(column) for field, column in pairs]
    return tf.cast(tf.stack(found, axis=1), tf.int32)


def _bucketed(fields: Sequence[Categorical], text: tf.Tensor, tables: Any) -> tf.Tensor:
    del tables
    numbers, present = _numbers(text)
    places = []
    for field, column in zip(fields, tf.unstack(numbers, axis=1, num=len(fields)), strict=True):
        bounds = tf.constant(flush_array(field.boundaries), tf.float64)
        places.append(tf.searchsorted(bounds, column, side="right"))
    return tf.where(present, 1 + tf.stack(places, axis=1), 0)


def _log_square(fields: Sequence[Categorical], text: tf.Tensor, tables: Tables) -> tf.Tensor:
    numbers, present = _numbers(text)
    large = tf.floor(tf.square(tf.math.log(tf.maximum(numbers, 2.0))))
    # A cast to integers truncates; beyond int64 its result is undefined.
    whole = tf.where(numbers > 2.0, large, tf.maximum(numbers, _LOWEST))
    text = tf.where(present, tf.strings.as_string(tf.cast(whole, tf.int64)), "")
    return _looked_up(fields, text, tables)


_ENCODERS: dict[str, Callable[[Sequence[Categorical], tf.Tensor, Tables], tf.Tensor]] = {
    "hash": _hashed,
    "vocabulary": _looked_up,
    "buckets": _bucketed,
    "log_square": _log_square,
}


def _numbers(text: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns float64 numbers of the same shape, 0 for missing ones, and which are present."""
    text = tf.strings.regex_replace(text, f"^{_SPACE}+|{_SPACE}+$", "")
    is_number = tf.strings.regex_full_match(text, NUMBER)
    text = tf.where(is_number, text, "0")
    is_long = tf.strings.length(text) > _LONGEST
    text = tf.cond(
        tf.reduce_any(is_long), lambda: tf.where(is_long, _shortened(text), text), lambda: text
    )
    numbers = tf.strings.to_number(text, tf.float64)
    present = is_number & tf.math.is_finite(numbers)
    return flush(tf.where(present, numbers, tf.zeros_like(numbers))), present


def _shortened(text: tf.Tensor) -> tf.Tensor:
    """Returns numbers as texts of at most `_LONGEST` characters, cut to 24 significant digits."""
    sign = tf.strings.regex_replace(text, r"^([+-]?).*$", r"\1")
    whole = tf.strings.regex_replace(text, r"^[+-]?([0-9]*).*$", r"\1")
    fraction = tf.strings.regex_replace(text, r"^[+-]?[0-9]*\.?([0-9]*).*$", r"\1")
    exponent = tf.strings.regex_replace(text, r"^[^eE]*[eE]?", "")
    # Without leading zeros; one of more than 9 digits is as good as one of 9.
    exponent = tf.strings.regex_replace(exponent, r"^[+]?(-?)0*([0-9]{0,9}).*$", r"\10\2")
    digits = whole + fraction
    kept = tf.strings.regex_replace(digits, "^0+", "")
    # The number is 0.kept * 10^power.
    power = tf.strings.length(whole) + tf.strings.length(kept) - tf.strings.length(digits)
    power = tf.cast(power, tf.int64) + tf.strings.to_number(exponent, tf.int64)
    power = tf.strings.as_string(tf.clip_by_value(power, -999, 999))
    kept = tf.where(kept == "", "0", tf.strings.substr(kept, 0, 24))
    return tf.strings.join([sign, ".", kept, "e", power])
