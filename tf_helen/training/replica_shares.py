"""A replica's share of the loss of the global batch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from tf_helen.core import replicas


class ReplicaShares:
    """Weights a replica's loss by its rows, so that the replicas' losses add up to the batch's.

    Under one replica nothing is changed. What is weighted is what Keras divides by the number of
    replicas: losses that are means over rows, and losses added by layers and regularizers, which
    so count once. A loss with `reduction="sum"` is a sum over replicas already; one with
    `reduction="mean_with_sample_weight"` is weighted by the sum of the sample weights. Where the
    outputs of a model have different reductions, or `compute_loss` is the model's own, all is
    weighted by rows.

    Args:
        rows: int scalar, the rows of this replica's batch.
        sample_weight: as `train_step` received it.
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
        """The part of the global batch's loss that this replica adds to the sum over replicas.

        Args:
            loss: scalar, as `compute_loss` returns it.
            reductions: of the losses given to `compile`.
            added: the losses of layers and regularizers that are part of `loss`.

        Returns:
            A scalar.
        """
        if self._is_alone:
            return loss
        if loss.shape.rank:  # Keras returns an eager loss of no rows as it is
            loss = tf.reduce_sum(loss)
        by_rows = tf.cast(self._by_rows, loss.dtype)
        if reductions == {"sum"}:
            share = tf.ones([], loss.dtype)
        elif reductions == {"mean_with_sample_weight"}:
            share = tf.cast(self._by_weight, loss.dtype)
        else:
            # Also where this replica has no row at all, and its mean is not a number.
            return tf.math.multiply_no_nan(loss, by_rows)
        added = [tf.cast(tf.reduce_sum(one), loss.dtype) for one in added]
        added = tf.add_n(added) / replicas.count() if added else tf.zeros([], loss.dtype)
        return tf.math.multiply_no_nan(loss - added, share) + added * by_rows

    def as_mean(self, loss: tf.Tensor) -> tf.Tensor:
        """The number whose mean over the replicas, weighted by rows, is the global loss.

        Args:
            loss: scalar, from `of_global_loss`.

        Returns:
            A scalar; 0 where this replica has no rows.
        """
        if self._is_alone:
            return loss
        share = tf.cast(self._by_rows, loss.dtype)
        return tf.math.divide_no_nan(loss * replicas.count(), share)
