"""The shards of an embedding table: how many, and their initial values."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tf_helen.core import checks
from tf_helen.core.table_group import TableGroup

AUTO = "auto"
_MOST_ROWS = np.iinfo(np.int32).max  # of a shard with `shards="auto"`


def checked_shards(shards: int | str, rows: int) -> int | str:
    """Returns the argument `shards` of a table, or raises an error.

    Args:
        shards: int or "auto".
        rows: int, number of rows of the table.

    Returns:
        `shards`.

    Raises:
        ValueError: on another value, or more shards than rows.

    Example:
        >>> checked_shards("auto", 10), checked_shards(4, 10)
        ('auto', 4)
    """
    if isinstance(shards, str):
        if shards != AUTO:
            raise ValueError(
                f"`shards` must be an integer >= 1 or 'auto'. Received: shards={shards!r}"
            )
        return shards
    number = checks.whole_number("shards", shards)
    if number > rows:
        raise ValueError(
            f"`shards` must not be more than the number of rows, {rows}. Received: shards={number}."
            " Use fewer shards, or 'auto'."
        )
    return number


def number_of_shards(shards: int | str, rows: int) -> int:
    """Returns the number of shards of a table that is created now.

    "auto" is the number of parameter servers of the current strategy, and 1 with other strategies;
    more if a shard would have more than 2^31 - 1 rows; at most the number of rows.

    Args:
        shards: result of `checked_shards`.
        rows: int, number of rows of the table.

    Returns:
        An int.

    Example:
        >>> number_of_shards("auto", 10), number_of_shards("auto", 3_000_000_000)
        (1, 2)
    """
    if isinstance(shards, int):
        return shards
    return min(rows, max(parameter_servers(), -(-rows // _MOST_ROWS)))


def parameter_servers() -> int:
    """Returns the number of parameter servers of the current strategy, 0 if it has none."""
    strategy = tf.distribute.get_strategy()
    if not isinstance(strategy, tf.distribute.experimental.ParameterServerStrategy):
        return 0
    # The strategy connects to the cluster, whose devices are then known; its `cluster_resolver` is
    # `None` in TensorFlow 2.21.
    devices = (tf.DeviceSpec.from_string(x.name) for x in tf.config.list_logical_devices())
    return len({device.task for device in devices if device.job == "ps"})


def _is_constant(initializer: Any) -> bool:
    if isinstance(initializer, keras.initializers.Constant):
        return np.ndim(initializer.value) == 0
    return isinstance(initializer, keras.initializers.Zeros | keras.initializers.Ones)


class ShardInitializer(keras.initializers.Initializer):
    """The initial values of a shard: its rows of the initial values of the whole table.

    A table has the same initial values for every number of shards.

    Args:
        initializer: Keras initializer of the whole table.
        group: `TableGroup`.
        rank: int, rank of the shard.
    """

    def __init__(self, initializer: Any, group: TableGroup, rank: int):
        self._initializer, self._group, self._rank = initializer, group, rank

    def __call__(self, shape: tuple[int, ...], dtype: Any = None) -> tf.Tensor:
        if _is_constant(self._initializer):
            return self._initializer(shape, dtype=dtype)
        whole = self._initializer((self._group.rows, *shape[1:]), dtype=dtype)
        return whole[self._rank :: self._group.shards]
