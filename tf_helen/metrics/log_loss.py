"""The binary cross-entropy of a whole data set."""

from typing import Any

import keras
import tensorflow as tf

from tf_helen.metrics.mergeable import Mergeable
from tf_helen.metrics.rows import binary_rows

__all__ = ["LogLoss"]


@keras.saving.register_keras_serializable(package="tf_helen")
class LogLoss(Mergeable):
    """Log loss over all rows since the last reset, summed in float64.

    Args:
        from_logits: boolean, whether predictions are logits. Defaults to `False`: probabilities.
        epsilon: float in [0, 0.5); probabilities are clipped to `[epsilon, 1 - epsilon]`, logits
            are not clipped. Defaults to 1e-7.
        name: string, name in the logs. Defaults to "logloss".
        dtype: dtype of the result; the sums are always float64. Defaults to `None`: Keras's float
            dtype.

    Inputs of `update_state`: `y_true` and `y_pred` `[B]` or `[B, 1]`, and `sample_weight` `None`, a
    scalar, `[B]` or `[B, 1]`. A label between 0 and 1 is a soft label.

    Returns:
        A scalar: 0 without rows, as in Keras; NaN if a prediction is not finite or not a
        probability or, in a graph, if a label is outside [0, 1].

    Raises:
        ValueError: if `epsilon` is outside [0, 0.5); in eager mode, on labels outside [0, 1].

    Equation:
        `sum_i w_i (softplus(z_i) - y_i z_i) / sum_i w_i`, with `z` the logit.

    Example:
        >>> metric = LogLoss(from_logits=True)
        >>> metric.update_state([0, 1], [0.0, 0.0])
        >>> round(float(metric.result()), 4)
        0.6931
    """

    def __init__(
        self,
        from_logits: bool = False,
        epsilon: float = 1e-7,
        name: str = "logloss",
        dtype: Any = None,
    ) -> None:
        super().__init__(name=name, dtype=dtype)
        if not 0.0 <= epsilon < 0.5:
            raise ValueError(
                f"`epsilon` must be a number in [0, 0.5). Received: epsilon={epsilon!r}"
            )
        self.from_logits = bool(from_logits)
        self.epsilon = float(epsilon)
        # A float32 sum stops growing after about 2^24 rows.
        self.total = self.add_variable((), "zeros", dtype="float64", name="total")
        self.count = self.add_variable((), "zeros", dtype="float64", name="count")

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Adds a batch. For shapes, see the class."""
        self._add(*binary_rows(y_true, y_pred, sample_weight, self.from_logits))

    def _add(self, labels: tf.Tensor, predictions: tf.Tensor, weights: tf.Tensor) -> None:
        if self.from_logits:
            # softplus(z) - y z with a non-positive exponent, exact for large |z|.
            losses = tf.maximum(predictions, 0.0) - predictions * labels
            losses += tf.math.log1p(tf.exp(-tf.abs(predictions)))
        else:
            clipped = tf.clip_by_value(predictions, self.epsilon, 1.0 - self.epsilon)
            # xlogy, because 0 * log 0 must be 0 with epsilon=0.
            losses = -tf.math.xlogy(labels, clipped)
            losses -= tf.math.xlog1py(1.0 - labels, -clipped)
        self.total.assign_add(tf.reduce_sum(losses * weights))
        self.count.assign_add(tf.reduce_sum(weights))

    def result(self) -> tf.Tensor:
        """Returns the mean loss, a scalar of the metric's dtype."""
        total = tf.convert_to_tensor(self.total.value)
        count = tf.convert_to_tensor(self.count.value)
        mean = tf.where(tf.equal(count, 0.0), tf.zeros_like(total), total / count)
        return tf.cast(mean, self.dtype)

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        config = {"from_logits": self.from_logits, "epsilon": self.epsilon}
        return {**super().get_config(), **config}
