"""Conversion of a batch to rows, for all metrics of this folder."""

import tensorflow as tf

__all__ = ["binary_rows"]

# A mean of float32 probabilities may exceed 1 by rounding; a logit that is passed as a probability
# exceeds it by far more.
_SLACK = 1e-6


def binary_rows(
    y_true: tf.Tensor, y_pred: tf.Tensor, sample_weight: tf.Tensor | None, from_logits: bool
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Flattens a batch of binary predictions to float64 rows and marks invalid ones by NaN.

    Args:
        y_true: labels in [0, 1], `[B]` or `[B, 1]`, any numeric dtype or bool.
        y_pred: logits or probabilities, `[B]` or `[B, 1]`, any float dtype.
        sample_weight: `None`, a scalar, `[B]` or `[B, 1]`.
        from_logits: boolean, whether `y_pred` are logits; if not, they must be in [0, 1].

    Returns:
        `(labels, predictions, weights)`, each `[B]` float64. If a prediction is not finite or not a
        probability, or a label is outside [0, 1], the weight is NaN (and the prediction 0, so that
        later operations do not depend on it).

    Raises:
        ValueError: if the sizes are known and differ; in eager mode, if a label is outside [0, 1].
            In a graph, such a label makes the metric NaN.

    Equation:
        `w_i <- w_i if finite(p_i) and 0 <= y_i <= 1 else NaN`

    Example:
        >>> labels, logits, weights = binary_rows([[1], [0]], [0.5, float("inf")], None, True)
        >>> weights.numpy()
        array([ 1., nan])
    """
    predictions = tf.reshape(tf.cast(y_pred, tf.float64), [-1])
    labels = tf.reshape(tf.cast(y_true, tf.float64), [-1])
    _same_size("y_true", labels, predictions)
    labels = tf.reshape(labels, tf.shape(predictions))
    if sample_weight is None:
        weights = tf.ones_like(predictions)
    else:
        weights = tf.reshape(tf.cast(sample_weight, tf.float64), [-1])
        if weights.shape[0] != 1:
            _same_size("sample_weight", weights, predictions)
        weights = tf.broadcast_to(weights, tf.shape(predictions))

    label_ok = tf.logical_and(labels >= 0.0, labels <= 1.0)
    if tf.executing_eagerly() and not bool(tf.reduce_all(label_ok)):
        raise ValueError("Labels must be in [0, 1]. Received: other values or NaN.")
    if from_logits:
        ok = tf.math.is_finite(predictions)
    else:
        ok = tf.abs(predictions - 0.5) <= 0.5 + _SLACK
    weights = tf.where(tf.logical_and(ok, label_ok), weights, tf.constant(float("nan"), tf.float64))
    return labels, tf.where(ok, predictions, tf.zeros_like(predictions)), weights


def _same_size(name: str, rows: tf.Tensor, predictions: tf.Tensor) -> None:
    """Raises if the sizes of two `[B]` tensors are known and differ."""
    if not rows.shape.is_compatible_with(predictions.shape):
        raise ValueError(
            f"{name} must have as many values as y_pred. Received: {rows.shape[0]} and "
            f"{predictions.shape[0]} values."
        )
