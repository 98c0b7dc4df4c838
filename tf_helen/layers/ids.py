"""Checks and conversions of ids, which must be integers."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from tf_helen import keras_access

_HOW = (
    "Pass ids as int32 or int64: an array as `ids.astype('int32')`, a symbolic input as "
    '`keras.Input(..., dtype="int32")` (its default is float32).'
)
# The number up to which a dtype represents all integers.
_EXACT = {
    tf.bfloat16: 2**8,
    tf.float16: 2**11,
    tf.float32: 2**24,
    tf.float64: 2**53,
}


def check_dtype(dtype: Any, what: str) -> None:
    """Raises unless values of a dtype can be ids: integers, or booleans as 0 and 1.

    Args:
        dtype: dtype of TensorFlow or NumPy, or its name.
        what: string, the layer for the message, such as "Embedding 'table'".

    Raises:
        TypeError: names the dtype and what to do.

    Example:
        >>> check_dtype("int64", "Embedding 'table'")
    """
    name = dtype.name if isinstance(dtype, tf.DType) else str(dtype)
    if name in ("bool", *_INTEGERS) or keras_access.only_infers_shapes():
        return
    is_text = name in ("string", "object") or name.startswith(("<U", "|S", "<S"))
    hint = " Encode text first, for example with `keras.layers.StringLookup`." if is_text else ""
    raise TypeError(f"{what} takes integer ids. Received ids of the dtype {name}. {_HOW}{hint}")


_INTEGERS = tuple(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64))


def check_raw_dtype(dtype: Any, id_dtype: str, what: str) -> None:
    """Raises unless values of a dtype can be raw ids.

    Args:
        dtype: dtype of TensorFlow or NumPy, or its name.
        id_dtype: string, "int64" for integers of any width except uint64, or "string".
        what: string, the layer for the message.

    Raises:
        TypeError: names both dtypes and what to do.

    Example:
        >>> check_raw_dtype("int32", "int64", "DynamicEmbedding 'table'")
    """
    name = dtype.name if isinstance(dtype, tf.DType) else str(dtype)
    is_text = name in ("string", "object") or name.lstrip("<>|=").startswith(("U", "S"))
    is_right = is_text if id_dtype == "string" else name in _INTEGERS and name != "uint64"
    if not is_right and not keras_access.only_infers_shapes():
        raise TypeError(
            f"{what} takes ids of the dtype {id_dtype}. Received ids of the dtype {name}. Pass "
            f'them as {id_dtype}, a symbolic input as `keras.Input(..., dtype="{id_dtype}")`, or '
            "construct the layer with `id_dtype=`."
        )


def as_integers(ids: tf.Tensor, what: str, rows: int) -> tf.Tensor:
    """Converts ids to int32, or to int64 if necessary.

    Args:
        ids: integer or boolean tensor.
        what: as in `check_dtype`.
        rows: int, number of rows of the whole table, which the result can represent.

    Returns:
        A tensor of the same shape; ids above the range of int64 become 2^63 - 1.

    Raises:
        TypeError: as `check_dtype`.

    Example:
        >>> as_integers(tf.constant([3, 4], tf.uint8), "Embedding 'table'", 10).dtype
        tf.int32
    """
    check_dtype(ids.dtype, what)
    # If int32 is too small for the rows, the sum of an id and a first row could overflow.
    is_wide = rows > np.iinfo(np.int32).max or ids.dtype in (tf.int64, tf.uint32, tf.uint64)
    integers = tf.cast(ids, tf.int64 if is_wide else tf.int32)
    if ids.dtype == tf.uint64:
        # The largest value would become -1, which is padding.
        integers = tf.where(integers < 0, tf.int64.max, integers)
    return integers


def whole_numbers(ids: tf.Tensor, what: str, rows: int) -> tf.Tensor:
    """Converts ids from floats to integers, if the dtype represents all ids exactly.

    Args:
        ids: float tensor.
        what: as in `check_dtype`.
        rows: int, number of rows of the largest field.

    Returns:
        An int64 tensor of the same shape.

    Raises:
        TypeError: as `check_dtype`, if the dtype does not represent that many rows exactly.
        tf.errors.InvalidArgumentError: at execution, on an id that is not an integer.

    Example:
        >>> whole_numbers(tf.constant([3.0, 4.0]), "Embedding 'table'", 10).numpy().tolist()
        [3, 4]
    """
    if rows > _EXACT.get(ids.dtype, 0):
        check_dtype(ids.dtype, what)
    message = f"{what}: an id is not an integer. {_HOW}"
    with tf.control_dependencies([tf.debugging.assert_equal(ids, tf.floor(ids), message)]):
        return tf.cast(ids, tf.int64)


def check_cast(given: Any, dtype: str, name: str) -> None:
    """Raises if Keras would cast floats to the integer dtype of a model's input.

    Args:
        given: array, tensor or symbolic tensor; other values are not checked.
        dtype: string, dtype of the input.
        name: string, name of the input.

    Raises:
        TypeError: names both dtypes.

    Example:
        >>> check_cast(np.array([3]), "int32", "ids")
    """
    found = getattr(given, "dtype", None)
    if found is None or "int" not in dtype:
        return
    found = found.name if isinstance(found, tf.DType) else str(found)
    if found not in ("bool", *_INTEGERS) and not keras_access.only_infers_shapes():
        raise TypeError(
            f"Input {name!r} takes {dtype}. Received the dtype {found}, whose values Keras would "
            f"round. Convert ids first, for example with `ids.astype('{dtype}')`; for numbers that "
            'are not ids, use another input: `keras.Input(..., dtype="float32")`.'
        )


def fitting(tensor: tf.Tensor, dtype: str, name: str) -> tf.Tensor:
    """Casts integers to a narrower dtype, with a check that every value fits.

    Args:
        tensor: integer tensor.
        dtype: string, name of an integer dtype.
        name: string, name of the input, for the message.

    Returns:
        A tensor of the same shape.

    Raises:
        tf.errors.InvalidArgumentError: at execution, on a value that does not fit.

    Example:
        >>> fitting(tf.constant([3], tf.int64), "int32", "ids").dtype
        tf.int32
    """
    narrow = tf.cast(tensor, dtype)
    message = (
        f"Input {name!r}: a number does not fit {dtype}. Use a wider input, such as "
        '`keras.Input(..., dtype="int64")`.'
    )
    same = tf.debugging.assert_equal(tf.cast(narrow, tensor.dtype), tensor, message)
    with tf.control_dependencies([same]):
        return tf.identity(narrow)
