"""The binary cross-entropy of a whole set."""

from typing import Any

import keras
import tensorflow as tf

from tf_helen.metrics.rows import binary_rows

__all__ = ["LogLoss"]


@keras.saving.register_keras_serializable(package="tf_helen")
class LogLoss(keras.metrics.Metric):
    """Log loss over all rows seen since the last reset, summed in float64.

    Args:
        from_logits: boolean; whether predictions are logits. Defaults to `False`: probabilities.
        epsilon: probabilities are clipped to `[epsilon, 1 - epsilon]`; logits are not clipped.
        name: the name in the logs.
        dtype: dtype of the result; the sums are float64 whatever it is.

    Inputs of `update_state`: `y_true` and `y_pred` `[B]` or `[B, 1]`, `sample_weight` None, a
    scalar, `[B]` or `[B, 1]`. A label between 0 and 1 is a soft label.

    Returns:
        A scalar: 0 before any row (as Keras metrics do), NaN once a prediction was not finite (or
        not a probability) or, in a graph, a label was outside [0, 1].

    Raises:
        ValueError: `epsilon` outside [0, 0.5); in eager mode, labels outside [0, 1].

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
        # A float32 sum stops growing after some 2^24 rows.
        self.total = self.add_variable((), "zeros", dtype="float64", name="total")
        self.count = self.add_variable((), "zeros", dtype="float64", name="count")

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Adds a batch (shapes: see the class)."""
        labels, predictions, weights = binary_rows(y_true, y_pred, sample_weight, self.from_logits)
        if self.from_logits:
            # softplus(z) - y z with the exponent never positive: exact at +-30 and beyond.
            losses = tf.maximum(predictions, 0.0) - predictions * labels
            losses += tf.math.log1p(tf.exp(-tf.abs(predictions)))
        else:
            clipped = tf.clip_by_value(predictions, self.epsilon, 1.0 - self.epsilon)
            # xlogy: with epsilon=0 a certain and right prediction costs 0, not 0 * log 0.
            losses = -tf.math.xlogy(labels, clipped)
            losses -= tf.math.xlog1py(1.0 - labels, -clipped)
        self.total.assign_add(tf.reduce_sum(losses * weights))
        self.count.assign_add(tf.reduce_sum(weights))

    def result(self) -> tf.Tensor:
        """Returns the mean loss as a scalar of the metric's dtype."""
        total = tf.convert_to_tensor(self.total.value)
        count = tf.convert_to_tensor(self.count.value)
        mean = tf.where(tf.equal(count, 0.0), tf.zeros_like(total), total / count)
        return tf.cast(mean, self.dtype)

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        config = {"from_logits": self.from_logits, "epsilon": self.epsilon}
        return {**super().get_config(), **config}
