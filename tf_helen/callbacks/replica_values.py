"""Variables whose replicas differ, such as those of metrics, as states contain them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from tf_helen.core import replicas
from tf_helen.core.workers import Workers, of_all_replicas


class ReplicaValues:
    """The values of variables on each replica, also on those of other workers.

    Args:
        strategy: the `tf.distribute.Strategy` of the variables.

    Attributes:
        parts: dict from name to the plain variables that are written, one per replica. With several
            workers they are copies, which `gather` sets.

    Example:
        >>> ReplicaValues(tf.distribute.get_strategy()).parts
        {}
    """

    def __init__(self, strategy: tf.distribute.Strategy):
        self._strategy = strategy
        self._are_several = Workers(strategy).are_several
        self._by_name: dict[str, tf.Variable] = {}
        self.parts: dict[str, tuple[tf.Variable, ...]] = {}
        self._gathered = tf.function(self._gather)

    def add(self, name: str, variable: tf.Variable) -> None:
        """Adds a variable, on all workers."""
        self._by_name[name] = variable
        self.parts[name] = replicas.copies(variable)
        if self._are_several:
            zeros = tf.zeros(variable.shape, variable.dtype)
            self.parts[name] = tuple(
                tf.Variable(zeros, trainable=False)
                for _ in range(self._strategy.num_replicas_in_sync)
            )

    def gather(self) -> None:
        """Reads the values of all replicas; every worker must call it at the same step."""
        if self._are_several and self._by_name:
            for name, values in zip(self._by_name, self._gathered(), strict=True):
                for part, value in zip(self.parts[name], values.numpy(), strict=True):
                    part.assign(value)

    def assign(self, name: str, values: Sequence[np.ndarray]) -> None:
        """Sets a variable to the values of the replicas in a file.

        If their number is another one, the first replica gets the sum, which is what metrics
        compute their result from.
        """
        parts = self.parts[name]
        if len(values) != len(parts):
            total = np.sum(values, axis=0, dtype=values[0].dtype)
            values = [total, *(np.zeros_like(total) for _ in parts[1:])]
        for part, value in zip(parts, values, strict=True):
            part.assign(value)
        if self._are_several:
            table, variable = tf.constant(np.stack(values)), self._by_name[name]

            def of_replica():
                number = tf.distribute.get_replica_context().replica_id_in_sync_group
                replicas.local(variable).assign(tf.gather(table, number))

            tf.function(lambda: self._strategy.run(of_replica))()

    def _gather(self) -> list[tf.Tensor]:
        return of_all_replicas(self._strategy, list(self._by_name.values()))
