"""The log loss of a model relative to that of the share of positives."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from tf_helen.metrics.log_loss import LogLoss

__all__ = ["NormalizedEntropy"]


@keras.saving.register_keras_serializable(package="tf_helen")
class NormalizedEntropy(LogLoss):
    """Log loss over that of predicting the share of positives for every row.

    1 is as good as the constant prediction, 0 is perfect. Unlike the log loss, it can be compared
    between data with different shares of positives.

    Args:
        from_logits: boolean, whether predictions are logits. Defaults to `False`: probabilities.
        epsilon: as of `LogLoss`.
        name: string, name in the logs. Defaults to "normalized_entropy".
        dtype: dtype of the result; the sums are always float64. Defaults to `None`: Keras's float
            dtype.

    Inputs of `update_state`: as of `LogLoss`.

    Returns:
        A scalar; NaN if all labels are equal, and where `LogLoss` is NaN; 0 without rows.

    Raises:
        ValueError: as `LogLoss`.

    Equation:
        `LogLoss / -(p log p + (1 - p) log(1 - p))`, with `p = sum_i w_i y_i / sum_i w_i`.

    Reference: He et al., Practical Lessons from Predicting Clicks on Ads at Facebook, ADKDD 2014,
        section 3.

    Example:
        >>> metric = NormalizedEntropy()
        >>> metric.update_state([0, 1, 0, 0], [0.25, 0.25, 0.25, 0.25])
        >>> float(metric.result())
        1.0
    """

    def __init__(
        self,
        from_logits: bool = False,
        epsilon: float = 1e-7,
        name: str = "normalized_entropy",
        dtype: Any = None,
    ) -> None:
        super().__init__(from_logits=from_logits, epsilon=epsilon, name=name, dtype=dtype)
        self.positives = self.add_variable((), "zeros", dtype="float64", name="positives")

    def _add(self, labels: tf.Tensor, predictions: tf.Tensor, weights: tf.Tensor) -> None:
        super()._add(labels, predictions, weights)
        self.positives.assign_add(tf.reduce_sum(labels * weights))

    def result(self) -> tf.Tensor:
        """Returns the ratio, a scalar of the metric's dtype."""
        total, count, positives = (
            tf.convert_to_tensor(variable.value)
            for variable in (self.total, self.count, self.positives)
        )
        share = positives / count
        entropy = -tf.math.xlogy(share, share) - tf.math.xlog1py(1.0 - share, -share)
        ratio = total / count / entropy
        ratio = tf.where(entropy > 0.0, ratio, tf.constant(float("nan"), tf.float64))
        return tf.cast(tf.where(tf.equal(count, 0.0), tf.zeros_like(ratio), ratio), self.dtype)
