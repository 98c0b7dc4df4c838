"""Hashes of ids, for sketches and checksums. Rows are never chosen by them."""

from __future__ import annotations

import tensorflow as tf

_GOLDEN = 0x9E3779B97F4A7C15
_FIRST, _SECOND = 0xBF58476D1CE4E5B9, 0x94D049BB133111EB


def _word(number: int) -> tf.Tensor:
    return tf.constant(number % 2**64, tf.uint64)


def mixed(words: tf.Tensor) -> tf.Tensor:
    """Returns the finalizer of SplitMix64, a bijection of uint64.

    Args:
        words: uint64 tensor.

    Returns:
        uint64 tensor of the same shape.

    Source: Steele, Lea, Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014.

    Example:
        >>> int(mixed(tf.constant(1, tf.uint64)))
        6238072747940578789
    """
    words = tf.bitwise.bitwise_xor(words, tf.bitwise.right_shift(words, _word(30))) * _word(_FIRST)
    words = tf.bitwise.bitwise_xor(words, tf.bitwise.right_shift(words, _word(27))) * _word(_SECOND)
    return tf.bitwise.bitwise_xor(words, tf.bitwise.right_shift(words, _word(31)))


def fingerprints(ids: tf.Tensor, fields: tf.Tensor) -> tf.Tensor:
    """Returns a hash of each id and its field.

    Args:
        ids: int64 or string `[n]`.
        fields: int `[n]`, number of the field of each id.

    Returns:
        uint64 `[n]`.
    """
    if ids.dtype == tf.string:
        words = tf.cast(tf.strings.to_hash_bucket_fast(ids, 2**63 - 1), tf.uint64)
    else:
        words = tf.bitcast(ids, tf.uint64)
    return mixed(mixed(words) + tf.cast(fields + 1, tf.uint64) * _word(_GOLDEN))


def checksum(fingerprints: tf.Tensor, rows: tf.Tensor) -> tf.Tensor:
    """Returns a hash of a set of pairs of an id and its row; that of a union is the sum.

    Args:
        fingerprints: uint64 `[n]`, result of `fingerprints`.
        rows: int `[n]`.

    Returns:
        int64 scalar, modulo 2^64.
    """
    words = mixed(fingerprints + tf.cast(rows, tf.uint64) * _word(_GOLDEN))
    return tf.reduce_sum(tf.bitcast(words, tf.int64))
