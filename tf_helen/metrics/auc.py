"""The area under the ROC curve of a whole set, from a fine histogram."""

import math
from typing import Any

import keras
import tensorflow as tf

from tf_helen.metrics.rows import binary_rows

__all__ = ["AUC"]

# Bins are even in log1p(|z| / _KNEE), so their width is ~(|z| + _KNEE) / 10^4: predictions that
# hug zero (a fresh model) and predictions near 1e-4 (logit -9) both keep their order.
_KNEE = 0.02
_LIMIT = 1e3  # logits beyond share the end bins; float32 probabilities are 0 or 1 from 104 on
_TINY_VARIANCE = 1e-12  # of the places in a bin: one value repeated, that is ties
_FEW = 64.0  # rows in a bin from which one repeated value beside others is to be expected
_STRETCH = 2.0  # then the places are trusted to span at least this part (1/2) of the bin


@keras.saving.register_keras_serializable(package="tf_helen")
class AUC(keras.metrics.Metric):
    """Area under the ROC curve over all rows seen since the last reset; ties count one half.

    Predictions fall into `bins` bins of the logit axis, fixed in advance, so that the states of
    replicas add up. Each bin keeps the weight of its positives and negatives (float64: exact to
    2^53 rows) and the first moments of their places in it, from which the order inside the bin
    is estimated. With the default the error against the exact value stays below 1e-5 as long as
    the logits' standard deviation is above ~0.1 % of their mean.

    Args:
        from_logits: boolean; whether predictions are logits. Defaults to `False`: probabilities.
        bins: how many bins, even; the state is `5 * bins` float64.
        name: the name in the logs.
        dtype: dtype of the result; the state is float64 whatever it is.

    Inputs of `update_state`: `y_true` and `y_pred` `[B]` or `[B, 1]`, `sample_weight` None, a
    scalar, `[B]` or `[B, 1]`. A label y between 0 and 1 counts y to the positives and 1 - y to
    the negatives.

    Returns:
        A scalar in [0, 1]: 0.5 while there are no positives or no negatives (the value of a
        ranking that says nothing; scikit-learn leaves it undefined), NaN once a prediction was
        not finite (or not a probability) or, in a graph, a label was outside [0, 1].

    Raises:
        ValueError: `bins` odd or below 2; in eager mode, labels outside [0, 1].

    Equation:
        `sum_b P_b (sum_{c<b} N_c + N_b (1/2 + g_b)) / (P N)`, with
        `g_b = (mean place of positives - mean place of negatives) / (sqrt(12) std of places)`,
        the chance above 1/2 that a positive beats a negative in bin b (exact where places are
        uniform or two), kept within +-1/2.

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
        # One variable per moment: slices of a common one would be copied at every result.
        self._moments = [
            self.add_variable((self.bins,), "zeros", dtype="float64", name=name)
            for name in ("positives", "negatives", "positive_places", "negative_places", "squares")
        ]

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Adds a batch (shapes: see the class) at a cost that does not grow with `bins`."""
        labels, predictions, weights = binary_rows(y_true, y_pred, sample_weight, self.from_logits)
        if self.from_logits:
            logits = predictions
        else:
            predictions = tf.clip_by_value(predictions, 0.0, 1.0)
            # Certain predictions become infinite here and land in the end bins.
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
        """Returns the area as a scalar of the metric's dtype."""
        positive, negative, sum_pos, sum_neg, squares = (
            tf.convert_to_tensor(variable.value) for variable in self._moments
        )
        below = _sums_before(negative)
        both = positive + negative
        mean = tf.math.divide_no_nan(sum_pos + sum_neg, both)
        variance = tf.math.divide_no_nan(squares, both) - mean**2
        stretch = tf.math.rsqrt(12.0 * tf.maximum(variance, _TINY_VARIANCE))
        # A value that repeats among others makes the variance tiny and the estimate wild.
        stretch = tf.where(both > _FEW, tf.minimum(stretch, _STRETCH), stretch)
        stretch = tf.where(variance > _TINY_VARIANCE, stretch, tf.zeros_like(stretch))
        # (mean of positives - mean of negatives) * P * N, without dividing by either.
        lead = sum_pos * negative - sum_neg * positive
        half = 0.5 * positive * negative
        inner = tf.clip_by_value(lead * stretch, -half, half)
        wins = tf.reduce_sum(positive * below + half + inner)
        total = tf.reduce_sum(positive) * tf.reduce_sum(negative)
        # Not divide_no_nan: a NaN total must stay NaN.
        area = tf.where(tf.equal(total, 0.0), tf.constant(0.5, tf.float64), wins / total)
        return tf.cast(area, self.dtype)

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return {**super().get_config(), "from_logits": self.from_logits, "bins": self.bins}


def _sums_before(values: tf.Tensor) -> tf.Tensor:
    """Returns, for each of `[bins]` values, the sum of those before it."""
    # In rows: the XLA of TensorFlow 2.16 takes quadratic time for one long cumulative sum.
    rows = tf.reshape(values, [-1, math.gcd(values.shape[0], 512)])
    starts = tf.cumsum(tf.reduce_sum(rows, axis=1), exclusive=True)
    return tf.reshape(starts[:, None] + tf.cumsum(rows, axis=1, exclusive=True), [-1])


def _scatter_add(variable: keras.Variable, index: tf.Tensor, values: tf.Tensor) -> None:
    """Adds `values` `[B]` to the entries `index` `[B]` of a `[bins]` variable, in place."""
    state = variable.value
    # A replica's share of a distributed variable has no `scatter_add` of its own, but a handle.
    # There is none between replicas (where Keras builds a model symbolically), and in a stateless
    # scope the state is a plain tensor.
    if isinstance(state, tf.Variable) and not tf.distribute.in_cross_replica_context():
        tf.raw_ops.ResourceScatterAdd(resource=state.handle, indices=index, updates=values)
    else:
        variable.assign(tf.tensor_scatter_nd_add(state, index[:, None], values))
