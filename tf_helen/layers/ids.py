"""Which tensors are ids: integers of any width, and nothing that must be rounded to be one."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from tf_helen import keras_access

_HOW = (
    "Give ids as int32 or int64: an array as `ids.astype('int32')`, a symbolic input as "
    '`keras.Input(..., dtype="int32")` (its default is float32).'
)
# The largest whole number up to which a dtype holds all of them.
_EXACT = {
    tf.bfloat16: 2**8,
    tf.float16: 2**11,
    tf.float32: 2**24,
    tf.float64: 2**53,
}


def check_dtype(dtype: Any, what: str) -> None:
    """Raises unless values of a dtype can be ids: integers, or booleans as 0 and 1.

    Args:
        dtype: a dtype of TensorFlow or NumPy, or its name.
        what: what takes the ids, for the message, such as "Embedding 'table'".

    Raises:
        TypeError: naming the dtype and what to do.

    Example:
        >>> check_dtype("int64", "Embedding 'table'")
    """
    name = dtype.name if isinstance(dtype, tf.DType) else str(dtype)
    if name in ("bool", *_INTEGERS) or keras_access.only_infers_shapes():
        return
    is_text = name in ("string", "object") or name.startswith(("<U", "|S", "<S"))
    hint = " Encode text first, such as by `keras.layers.StringLookup`." if is_text else ""
    raise TypeError(f"{what} takes integer ids. Received ids of the dtype {name}. {_HOW}{hint}")


_INTEGERS = tuple(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64))


def as_integers(ids: tf.Tensor, what: str, rows: int) -> tf.Tensor:
    """Returns ids as int32 or int64, whichever holds all of them.

    Args:
        ids: integers or booleans.
        what: as for `check_dtype`.
        rows: rows of the whole table, which the result can count.

    Returns:
        A tensor of the same shape; what int64 cannot hold is 2^63 - 1.

    Raises:
        TypeError: as `check_dtype`.

    Example:
        >>> as_integers(tf.constant([3, 4], tf.uint8), "Embedding 'table'", 10).dtype
        tf.int32
    """
    check_dtype(ids.dtype, what)
    # Where int32 could not count the rows, a sum of an id and a first row would wrap around.
    is_wide = rows > np.iinfo(np.int32).max or ids.dtype in (tf.int64, tf.uint32, tf.uint64)
    integers = tf.cast(ids, tf.int64 if is_wide else tf.int32)
    if ids.dtype == tf.uint64:
        # The largest one would become -1, which is padding.
        integers = tf.where(integers < 0, tf.int64.max, integers)
    return integers


def whole_numbers(ids: tf.Tensor, what: str, rows: int) -> tf.Tensor:
    """Returns ids that come as floats as integers, if no two of them can have become one.

    Args:
        ids: floats.
        what: as for `check_dtype`.
        rows: rows of the largest field.

    Raises:
        TypeError: as `check_dtype`, if the dtype cannot tell so many rows apart.
        tf.errors.InvalidArgumentError: when it runs, on an id that is no whole number.

    Example:
        >>> whole_numbers(tf.constant([3.0, 4.0]), "Embedding 'table'", 10).numpy().tolist()
        [3, 4]
    """
    if rows > _EXACT.get(ids.dtype, 0):
        check_dtype(ids.dtype, what)
    message = f"{what}: an id is no whole number. {_HOW}"
    with tf.control_dependencies([tf.debugging.assert_equal(ids, tf.floor(ids), message)]):
        return tf.cast(ids, tf.int64)


def check_cast(given: Any, dtype: str, name: str) -> None:
    """Raises where Keras would turn floats into the integers that a model's input asks for.

    Args:
        given: an array, a tensor or a symbolic tensor; anything else is left to Keras.
        dtype: what the input asks for.
        name: the input's name.

    Raises:
        TypeError: naming both dtypes.

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
            f"round. Convert ids before, such as by `ids.astype('{dtype}')`; for numbers that are "
            'no ids use an input of their own: `keras.Input(..., dtype="float32")`.'
        )


def fitting(tensor: tf.Tensor, dtype: str, name: str) -> tf.Tensor:
    """Returns a tensor of integers in a narrower dtype, where every value must fit.

    Args:
        tensor: integers.
        dtype: name of an integer dtype.
        name: the input's name, for the message.

    Raises:
        tf.errors.InvalidArgumentError: when it runs, on a value that does not fit.

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
