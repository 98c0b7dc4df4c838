"""Serialises rows of numpy arrays as `tf.train.Example`, a batch at a time.

The wire format is written directly because building one protobuf object per row is several times
slower. Only what varies, the varints of the ids, is computed; the bytes around them depend on
nothing but their number. A test compares the result with protobuf's own reading.
"""

from functools import cache

import numpy as np

_MINUS_ONE = b"\xff" * 9 + b"\x01"  # protobuf's 64-bit varint of -1, the padding


def serialize_examples(
    ids: np.ndarray, numeric: np.ndarray | None, label: np.ndarray
) -> list[bytes]:
    """Serialises rows as Examples with the features `ids`, `numeric` (if given) and `label`.

    Args:
        ids: [n, width] integers from -1 to 2**31 - 1; width may be 0.
        numeric: [n, columns] floats, or None.
        label: [n] floats.

    Returns:
        n serialised `tf.train.Example` messages.

    Example:
        >>> import tensorflow as tf
        >>> row, = serialize_examples(np.array([[3, -1]]), None, np.array([1.0]))
        >>> list(tf.train.Example.FromString(row).features.feature["ids"].int64_list.value)
        [3, -1]
    """
    packed, starts = _packed_varints(np.asarray(ids, np.int64))
    tails = _float_entries(b"label", np.asarray(label, np.float32)[:, None])
    if numeric is not None:
        numeric_entries = _float_entries(b"numeric", np.asarray(numeric, np.float32))
        tails = [first + second for first, second in zip(tails, numeric_entries, strict=True)]
    rows = []
    for tail, start, stop in zip(tails, starts[:-1], starts[1:], strict=True):
        rows.append(_before_ids(stop - start, len(tail)) + packed[start:stop] + tail)
    return rows


def _packed_varints(ids: np.ndarray) -> tuple[bytes, list[int]]:
    """All varints of [n, width] ids in row order, and the n + 1 byte offsets of the rows."""
    values = np.where(ids < 0, 0, ids).astype(np.uint32)
    digits = np.stack([(values >> shift) & 0x7F for shift in range(0, 35, 7)], axis=-1)
    lengths = 1 + sum((values >= 1 << shift).astype(np.int64) for shift in range(7, 35, 7))
    place = np.arange(5)
    digits |= np.where(place < lengths[..., None] - 1, 0x80, 0).astype(digits.dtype)
    block = np.zeros((*ids.shape, len(_MINUS_ONE)), np.uint8)
    block[..., :5] = digits
    padding = ids < 0
    block[padding] = np.frombuffer(_MINUS_ONE, np.uint8)
    lengths[padding] = len(_MINUS_ONE)
    used = np.arange(len(_MINUS_ONE)) < lengths[..., None]
    starts = np.concatenate([[0], np.cumsum(lengths.sum(axis=1))])
    return block[used].tobytes(), starts.tolist()


def _float_entries(key: bytes, values: np.ndarray) -> list[bytes]:
    """The feature-map entry of each row of [n, columns] floats; all have the same length."""
    payload = 4 * values.shape[1]
    head = _entry_head(key, 2, payload)
    content = np.ascontiguousarray(values, "<f4").tobytes()
    return [
        head + content[start : start + payload]
        for start in range(0, payload * len(values), payload)
    ]


@cache
def _before_ids(payload: int, tail: int) -> bytes:
    """Everything up to the packed ids: the Example, its Features, and the entry's own heads."""
    entry = _entry_head(b"ids", 3, payload)
    features = len(entry) + payload + tail
    return b"\x0a" + _varint(features) + entry


def _entry_head(key: bytes, kind: int, payload: int) -> bytes:
    """Heads of a map entry {key, Feature{list of `kind`{packed payload}}}; kind 2 float, 3 int64.

    Every level is field 1 of its parent (tag 0x0a) except a map's value, field 2 (tag 0x12).
    """
    packed = b"\x0a" + _varint(payload)
    values = bytes([kind << 3 | 2]) + _varint(len(packed) + payload) + packed
    feature = b"\x12" + _varint(len(values) + payload) + values
    named = b"\x0a" + _varint(len(key)) + key + feature
    return b"\x0a" + _varint(len(named) + payload) + named


def _varint(value: int) -> bytes:
    digits = []
    while value > 0x7F:
        digits.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*digits, value])
