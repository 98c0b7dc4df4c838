"""What the workers of a synchronous `tf.distribute` strategy have to know of each other."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from tf_helen.core import replicas


def leads(strategy: tf.distribute.Strategy) -> bool:
    """Returns whether this process writes the files of a training: the first worker, or the only.

    Example:
        >>> leads(tf.distribute.get_strategy())
        True
    """
    return not is_multi_worker(strategy) or strategy.extended.should_checkpoint


def is_multi_worker(strategy: tf.distribute.Strategy) -> bool:
    """Returns whether a strategy is for synchronous workers."""
    return isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy)


class Workers:
    """The workers of a strategy, which exchange small values.

    With one process, every method returns the value of this process. With several, all of them must
    call the same methods in the same order, as for any collective operation.

    Args:
        strategy: `tf.distribute.Strategy`.

    Attributes:
        strategy: the strategy.
        are_several: boolean, whether other processes train the same replicas' variables.

    Example:
        >>> Workers(tf.distribute.get_strategy()).any([False, True])
        [False, True]
    """

    def __init__(self, strategy: tf.distribute.Strategy):
        self.strategy = strategy
        self.are_several = is_multi_worker(strategy) and (
            strategy.num_replicas_in_sync > len(strategy.extended.worker_devices)
        )
        self._stacked = tf.function(self._stack, reduce_retracing=True)

    def gather(self, values: Sequence[float]) -> np.ndarray:
        """Returns some numbers of every replica, float64 `[replicas, len(values)]`."""
        mine = np.asarray(values, np.float64)
        if not self.are_several:
            return mine[None]
        found = self._stacked(tf.constant(mine))
        return self.strategy.experimental_local_results(found)[0].numpy()

    def any(self, conditions: Sequence[bool]) -> list[bool]:
        """Returns for each condition whether it is true on any worker."""
        return [bool(column.any()) for column in self.gather(conditions).T]

    def agree(self, values: Sequence[float]) -> bool:
        """Returns whether every worker has the same numbers."""
        found = self.gather(values)
        return bool((found == found[0]).all())

    def _stack(self, value: tf.Tensor) -> tf.Tensor:
        return self.strategy.run(replicas.of_all, args=(value,))


def of_all_replicas(
    strategy: tf.distribute.Strategy, variables: Sequence[tf.Variable]
) -> list[tf.Tensor]:
    """Returns the values of variables on every replica of every worker.

    Call it within a `tf.function`, on all workers.

    Args:
        strategy: `tf.distribute.Strategy`.
        variables: sequence of variables whose replicas differ.

    Returns:
        List of tensors `[replicas, ...]`, one per variable.
    """

    def of_replica():
        return [replicas.of_all(replicas.local(v).read_value()) for v in variables]

    found = strategy.run(of_replica)
    return [strategy.experimental_local_results(value)[0] for value in found]
