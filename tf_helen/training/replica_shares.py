"""A replica's share of the loss of the global batch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from tf_helen.core import replicas


class ReplicaShares:
    """Weights the loss of a replica by its rows, so that the sum is the loss of the global batch.

    With one replica, nothing is changed. Weighted are losses that Keras divides by the number of
    replicas: means over rows, and losses of layers and regularizers, which then count once. A loss
    with `reduction="sum"` is summed over the replicas; one with
    `reduction="mean_with_sample_weight"` is weighted by the sum of the sample weights. If the
    outputs of a model have different reductions, or `compute_loss` is overridden, the whole loss is
    weighted by rows.

    Args:
        rows: int scalar, number of rows in the batch of this replica.
        sample_weight: sample weights as passed to `train_step`.
    """

    def __init__(self, rows: tf.Tensor, sample_weight: Any):
        self._is_alone = replicas.count() == 1
        if self._is_alone:
            return
        self._rows = tf.cast(rows, tf.float32)
        self._by_rows = replicas.share_of(self._rows)
        weights = [leaf for leaf in tf.nest.flatten(sample_weight) if leaf is not None]
        self._by_weight = self._by_rows
        if len(weights) == 1:
            self._by_weight = replicas.share_of(tf.reduce_sum(weights[0]))

    def of_global_loss(
        self, loss: tf.Tensor, reductions: set[str], added: Sequence[tf.Tensor]
    ) -> tf.Tensor:
        """Returns the share of this replica in the loss of the global batch.

        Args:
            loss: scalar, the result of `compute_loss`.
            reductions: set of strings, reductions of the compiled losses.
            added: sequence of the losses of layers and regularizers that are included in `loss`.

        Returns:
            A scalar.
        """
        if self._is_alone:
            return loss
        if loss.shape.rank:  # Keras does not reduce an eager loss without rows
            loss = tf.reduce_sum(loss)
        by_rows = tf.cast(self._by_rows, loss.dtype)
        if reductions == {"sum"}:
            share = tf.ones([], loss.dtype)
        elif reductions == {"mean_with_sample_weight"}:
            share = tf.cast(self._by_weight, loss.dtype)
        else:
            # multiply_no_nan, because the mean of a replica without rows is NaN.
            return tf.math.multiply_no_nan(loss, by_rows)
        added = [tf.cast(tf.reduce_sum(term), loss.dtype) for term in added]
        added = tf.add_n(added) / replicas.count() if added else tf.zeros([], loss.dtype)
        return tf.math.multiply_no_nan(loss - added, share) + added * by_rows

    def as_mean(self, loss: tf.Tensor) -> tf.Tensor:
        """Returns a value whose mean over the replicas, weighted by rows, is the global loss.

        Args:
            loss: scalar, the result of `of_global_loss`.

        Returns:
            A scalar; 0 if this replica has no rows.
        """
        if self._is_alone:
            return loss
        share = tf.cast(self._by_rows, loss.dtype)
        return tf.math.divide_no_nan(loss * replicas.count(), share)
