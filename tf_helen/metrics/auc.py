"""The area under the ROC curve of a whole data set, from a fine histogram."""

import math
from typing import Any

import keras
import tensorflow as tf

from tf_helen.metrics.mergeable import Mergeable
from tf_helen.metrics.rows import binary_rows

__all__ = ["AUC"]

# Bins are uniform in log1p(|z| / _KNEE), so their width is ~(|z| + _KNEE) / 10^4, fine enough both
# for logits near 0 (an untrained model) and for probabilities near 1e-4 (logit -9).
_KNEE = 0.02
_LIMIT = 1e3  # larger logits are in the end bins; float32 probabilities are 0 or 1 from 104
_TINY_VARIANCE = 1e-12  # of the positions in a bin, below which all values are ties
_FEW = 64.0  # rows in a bin above which repeated values among others are likely
_STRETCH = 2.0  # then positions are assumed to span at least 1 / _STRETCH of the bin


@keras.saving.register_keras_serializable(package="tf_helen")
class AUC(Mergeable):
    """Area under the ROC curve over all rows since the last reset; ties count one half.

    Predictions are assigned to `bins` fixed bins of the logit, so that the states of replicas can
    be summed. Each bin has the weight of its positives and negatives (float64, exact up to 2^53
    rows) and the first moments of their positions in the bin, from which the order within the bin
    is estimated. With the default, the error is below 1e-5 if the standard deviation of the logits
    is above ~0.1 % of their mean.

    Args:
        from_logits: boolean, whether predictions are logits. Defaults to `False`: probabilities.
        bins: even int, number of bins; the state is `5 * bins` float64. Defaults to 131,072.
        name: string, name in the logs. Defaults to "auc".
        dtype: dtype of the result; the state is always float64. Defaults to `None`: Keras's float
            dtype.

    Inputs of `update_state`: `y_true` and `y_pred` `[B]` or `[B, 1]`, and `sample_weight` `None`, a
    scalar, `[B]` or `[B, 1]`. A label y between 0 and 1 counts as y positives and 1 - y negatives.

    Returns:
        A scalar in [0, 1]: 0.5 without positives or without negatives (undefined in scikit-learn);
        NaN if a prediction is not finite or not a probability or, in a graph, if a label is outside
        [0, 1].

    Raises:
        ValueError: if `bins` is odd or below 2; in eager mode, on labels outside [0, 1].

    Equation:
        `sum_b P_b (sum_{c<b} N_c + N_b (1/2 + g_b)) / (P N)`, with
        `g_b = (mean position of positives - mean position of negatives) / (sqrt(12) std)`, the
        probability minus 1/2 that a positive is above a negative in bin b (exact for uniform or
        two positions), clipped to +-1/2.

    Example:
        >>> metric = AUC(from_logits=True)
        >>> metric.update_state([0, 0, 1, 1], [-2.0, 0.3, 0.1, 1.5])
        >>> float(metric.result())
        0.75
    """

    def __init__(
        self,
        from_logits: bool = False,
        bins: int = 2**17,
        name: str = "auc",
        dtype: Any = None,
    ) -> None:
        super().__init__(name=name, dtype=dtype)
        if bins < 2 or bins % 2:
            raise ValueError(f"`bins` must be an even integer >= 2. Received: bins={bins!r}")
        self.from_logits = bool(from_logits)
        self.bins = int(bins)
        # One variable per moment, because slices of a common variable would be copied.
        self._moments = [
            self.add_variable((self.bins,), "zeros", dtype="float64", name=name)
            for name in ("positives", "negatives", "positive_places", "negative_places", "squares")
        ]

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Adds a batch; the cost does not depend on `bins`. For shapes, see the class."""
        labels, predictions, weights = binary_rows(y_true, y_pred, sample_weight, self.from_logits)
        if self.from_logits:
            logits = predictions
        else:
            predictions = tf.clip_by_value(predictions, 0.0, 1.0)
            # Probabilities 0 and 1 become infinite and are assigned to the end bins.
            logits = tf.math.log(predictions) - tf.math.log1p(-predictions)
        logits = tf.clip_by_value(logits, -_LIMIT, _LIMIT)
        reach = math.log1p(_LIMIT / _KNEE)
        key = tf.sign(logits) * tf.math.log1p(tf.abs(logits) / _KNEE) / reach
        place = (key + 1.0) * (0.5 * self.bins)
        index = tf.clip_by_value(tf.cast(place, tf.int32), 0, self.bins - 1)
        inside = place - tf.cast(index, tf.float64)

        positive, negative = weights * labels, weights * (1.0 - labels)
        moments = (positive, negative, positive * inside, negative * inside, weights * inside**2)
        for variable, values in zip(self._moments, moments, strict=True):
            _scatter_add(variable, index, values)

    def result(self) -> tf.Tensor:
        """Returns the area, a scalar of the metric's dtype."""
        positive, negative, sum_pos, sum_neg, squares = (
            tf.convert_to_tensor(variable.value) for variable in self._moments
        )
        below = _sums_before(negative)
        both = positive + negative
        mean = tf.math.divide_no_nan(sum_pos + sum_neg, both)
        variance = tf.math.divide_no_nan(squares, both) - mean**2
        stretch = tf.math.rsqrt(12.0 * tf.maximum(variance, _TINY_VARIANCE))
        # A repeated value among others makes the variance tiny and the estimate inaccurate.
        stretch = tf.where(both > _FEW, tf.minimum(stretch, _STRETCH), stretch)
        stretch = tf.where(variance > _TINY_VARIANCE, stretch, tf.zeros_like(stretch))
        # (mean of positives - mean of negatives) * P * N, without dividing by either.
        lead = sum_pos * negative - sum_neg * positive
        half = 0.5 * positive * negative
        inner = tf.clip_by_value(lead * stretch, -half, half)
        wins = tf.reduce_sum(positive * below + half + inner)
        total = tf.reduce_sum(positive) * tf.reduce_sum(negative)
        # Not divide_no_nan, because a NaN total must remain NaN.
        area = tf.where(tf.equal(total, 0.0), tf.constant(0.5, tf.float64), wins / total)
        return tf.cast(area, self.dtype)

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return {**super().get_config(), "from_logits": self.from_logits, "bins": self.bins}


def _sums_before(values: tf.Tensor) -> tf.Tensor:
    """Returns the sum of the previous values, for each of `[bins]` values."""
    # In rows, because XLA in TensorFlow 2.16 takes quadratic time for a long cumulative sum.
    rows = tf.reshape(values, [-1, math.gcd(values.shape[0], 512)])
    starts = tf.cumsum(tf.reduce_sum(rows, axis=1), exclusive=True)
    return tf.reshape(starts[:, None] + tf.cumsum(rows, axis=1, exclusive=True), [-1])


def _scatter_add(variable: keras.Variable, index: tf.Tensor, values: tf.Tensor) -> None:
    """Adds `values` `[B]` to the entries `index` `[B]` of a `[bins]` variable, in place."""
    state = variable.value
    # The copy of a distributed variable on a replica has a handle but no `scatter_add`. In
    # cross-replica context (where Keras builds a model symbolically) there is no handle, and in a
    # stateless scope the state is a plain tensor.
    if isinstance(state, tf.Variable) and not tf.distribute.in_cross_replica_context():
        tf.raw_ops.ResourceScatterAdd(resource=state.handle, indices=index, updates=values)
    else:
        variable.assign(tf.tensor_scatter_nd_add(state, index[:, None], values))
