"""How well predicted probabilities agree with the observed ones."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from tf_helen.core.checks import one_of, whole_number
from tf_helen.core.scores import BINNINGS, CalibrationBins, calibration_bins
from tf_helen.metrics.mergeable import KeptRows, Mergeable
from tf_helen.metrics.rows import binary_rows

__all__ = ["Calibration"]

MEASURES = ("ratio", "ece")


@keras.saving.register_keras_serializable(package="tf_helen")
class Calibration(Mergeable):
    """Predicted over observed positives, or the expected calibration error.

    A ratio above 1 means that the model predicts more positives than there are. `by_bin` returns
    both numbers by bins of the prediction: the deciles with `binning="quantile"`, for which all
    rows since the last reset are kept in the memory of the process. XLA cannot compile this, and
    Keras computes the metrics of `compile` at every step, for which these rows are sorted.

    Args:
        measure: "ratio" or "ece", the result. Defaults to "ratio".
        bins: int, number of bins. Defaults to 10.
        binning: "uniform": bins of equal width in [0, 1]; "quantile": bins of about equal weight.
            Defaults to "uniform".
        from_logits: boolean, whether predictions are logits. Defaults to `False`: probabilities.
        name: string, name in the logs. Defaults to "calibration".
        dtype: dtype of the result; the sums are always float64. Defaults to `None`: Keras's float
            dtype.

    Inputs of `update_state`: `y_true` and `y_pred` `[B]` or `[B, 1]`, and `sample_weight` `None`, a
    scalar, `[B]` or `[B, 1]`.

    Returns:
        A scalar. The ratio is NaN without positives, the error 0 without rows; NaN if a prediction
        is not finite or not a probability or, in a graph, if a label is outside [0, 1].

    Raises:
        ValueError: on an unknown `measure` or `binning`, or `bins` below 1.

    Equation:
        `ratio = sum_i w_i p_i / sum_i w_i y_i`;
        `ece = sum_b |sum_{i in b} w_i (p_i - y_i)| / sum_i w_i`; for the bins, see
        `tf_helen.core.scores.calibration_bins`.

    Reference: He et al., Practical Lessons from Predicting Clicks on Ads at Facebook, ADKDD 2014,
        section 3 (ratio); Guo et al., On Calibration of Modern Neural Networks, ICML 2017,
        section 2 (error).

    Example:
        >>> metric = Calibration()
        >>> metric.update_state([0, 1, 0, 1], [0.2, 0.6, 0.1, 0.7])
        >>> round(float(metric.result()), 4)
        0.8
    """

    def __init__(
        self,
        measure: str = "ratio",
        bins: int = 10,
        binning: str = "uniform",
        from_logits: bool = False,
        name: str = "calibration",
        dtype: Any = None,
    ) -> None:
        super().__init__(name=name, dtype=dtype)
        self.measure = one_of("measure", measure, MEASURES)
        self.binning = one_of("binning", binning, BINNINGS)
        self.bins = whole_number("bins", bins)
        self.from_logits = bool(from_logits)
        self._sums = [
            self.add_variable((self.bins,), "zeros", dtype="float64", name=name)
            for name in ("weight", "predicted", "observed")
        ]
        if self.binning == "quantile":
            self.kept = KeptRows(3)

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Adds a batch. For shapes, see the class."""
        labels, predictions, weights = binary_rows(y_true, y_pred, sample_weight, self.from_logits)
        probabilities = tf.sigmoid(predictions) if self.from_logits else predictions
        place = tf.clip_by_value(tf.cast(probabilities * self.bins, tf.int32), 0, self.bins - 1)
        parts = (weights, weights * probabilities, weights * labels)
        for variable, values in zip(self._sums, parts, strict=True):
            variable.assign_add(tf.math.unsorted_segment_sum(values, place, self.bins))
        if self.kept is not None:
            self.kept.add(labels, probabilities, weights)

    def by_bin(self) -> CalibrationBins:
        """Returns the weight, the predicted and the observed sum of each bin."""
        if self.kept is None:
            return CalibrationBins(*self.state())
        labels, probabilities, weights = self.kept.columns()
        return calibration_bins(
            labels, probabilities, bins=self.bins, binning="quantile", sample_weight=weights
        )

    def result(self) -> tf.Tensor:
        """Returns the measure, a scalar of the metric's dtype."""
        weight, predicted, observed = (tf.convert_to_tensor(v.value) for v in self._sums)
        nan = tf.constant(float("nan"), tf.float64)
        if self.measure == "ratio":
            ratio = tf.reduce_sum(predicted) / tf.reduce_sum(observed)
            return tf.cast(tf.where(tf.reduce_sum(observed) > 0.0, ratio, nan), self.dtype)
        total = tf.reduce_sum(weight)
        if self.kept is None:
            error = tf.reduce_sum(tf.abs(predicted - observed)) / total
        else:
            error = self.kept.computed(lambda: self.by_bin().error)
            error = tf.where(tf.math.is_nan(total), nan, error)
        return tf.cast(tf.where(tf.equal(total, 0.0), tf.zeros_like(total), error), self.dtype)

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        config = {
            "measure": self.measure,
            "bins": self.bins,
            "binning": self.binning,
            "from_logits": self.from_logits,
        }
        return {**super().get_config(), **config}
