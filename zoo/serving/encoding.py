"""The definition of how raw text becomes ids, as TensorFlow operations that a model can serve.

1. Several values (`length` above 1) are split at the field's separator; empty pieces are dropped,
   the first `length` values are kept, and the rest of the row is -1.
2. Tabs and line ends in a value become spaces, because they separate entries of the vocabulary
file. 3. `vocabulary`: the line of the value in `vocabulary/<field>.tsv`, else 0. `hash`: `1 +
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
from collections.abc import Mapping, Sequence

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
_NEEDS_A_VOCABULARY = ("vocabulary", "log_square")


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
    if field.encoding not in _NEEDS_A_VOCABULARY:
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
    if table is None and field.encoding in _NEEDS_A_VOCABULARY:
        raise ValueError(f"field {field.name!r} needs a table; pass the result of `lookup_table`")
    if field.encoding == "buckets" and not field.boundaries:
        raise ValueError(f"field {field.name!r} has no boundaries; prepare the data first")
    if field.length == 1:
        return _ids(field, text, table)[:, None]
    values = tf.strings.split(text, field.separator)
    values = tf.ragged.boolean_mask(values, values != "")
    ids = values.with_flat_values(_ids(field, values.flat_values, table))
    return ids.to_tensor(default_value=-1, shape=[None, field.length])


def encoded_columns(
    schema: Schema,
    raw: Mapping[str, tf.Tensor],
    tables: Mapping[str, tf.lookup.StaticHashTable | None],
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
        columns = [
            ids_from_text(field, raw[field.name], tables.get(field.name))
            for field in schema.categorical
        ]
        features["ids"] = tf.concat(columns, axis=1)
    if schema.numeric:
        features["numeric"] = present_numbers(
            schema.numeric, [raw[column.name] for column in schema.numeric]
        )
    return features


def present_numbers(columns: Sequence[Numeric], values: Sequence[tf.Tensor]) -> tf.Tensor:
    """Returns numbers `[B, N]`, with the missing value of a column where one is not finite.

    Args:
        columns: the columns.
        values: float32 `[B]` of each.
    """
    present = tf.stack(list(values), axis=1)
    missing = tf.constant([column.missing_value for column in columns], tf.float32)
    return tf.where(tf.math.is_finite(present), present, missing)


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
    text = tf.strings.regex_replace(text, r"[\t\n\r]", " ")
    if field.encoding == "hash":
        assert field.size is not None  # `Categorical` says so
        return _hashed(text, field.size, field.missing == "bucket")
    if field.encoding == "buckets":
        return _bucketed(text, field.boundaries)
    if field.encoding == "log_square":
        text = _log_square(text)
    assert table is not None, field.name
    return tf.cast(table.lookup(text), tf.int32)


def _hashed(text: tf.Tensor, size: int, missing_bucket: bool) -> tf.Tensor:
    first = 2 if missing_bucket else 1
    ids = first + tf.strings.to_hash_bucket_fast(text, size - first)
    return tf.cast(tf.where(text == "", tf.constant(first - 1, tf.int64), ids), tf.int32)


def _bucketed(text: tf.Tensor, boundaries: Sequence[float]) -> tf.Tensor:
    numbers, present = _numbers(text)
    bounds = tf.constant(flush_array(boundaries), tf.float64)
    places = tf.searchsorted(bounds, numbers, side="right")
    return tf.where(present, 1 + places, 0)


def _log_square(text: tf.Tensor) -> tf.Tensor:
    numbers, present = _numbers(text)
    large = tf.floor(tf.square(tf.math.log(tf.maximum(numbers, 2.0))))
    # A cast to integers truncates; beyond int64 its result is undefined.
    whole = tf.where(numbers > 2.0, large, tf.maximum(numbers, _LOWEST))
    return tf.where(present, tf.strings.as_string(tf.cast(whole, tf.int64)), "")


def _numbers(text: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns float64 numbers `[n]`, 0 for missing ones, and a mask of those present."""
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
