"""The area under the ROC curve of rows whose ids are about equally frequent."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tf_helen.analysis.auc import auc_by_bucket
from tf_helen.analysis.frequency import Buckets, frequency_buckets
from tf_helen.metrics.mergeable import KeptRows, Mergeable, one_per_row
from tf_helen.metrics.rows import binary_rows

__all__ = ["FrequencyAUC"]


@keras.saving.register_keras_serializable(package="tf_helen")
class FrequencyAUC(Mergeable):
    """Area under the ROC curve within each bucket of rows, by the frequency of their ids; exact.

    `tf_helen.analysis.sample_counts` returns how often the rarest id of each row, or its id of one
    field, occurs in the training set. All rows since the last reset are kept in the memory of the
    process, and the metrics of `compile` do not receive the counts, see `GAUC`.

    The name RAUC is in use for two numbers, which this metric keeps apart: the AUC of the rows with
    rare ids, which is an entry of its result, and the relative improvement of AUC over a base
    model, `(AUC - 1/2) / (AUC_base - 1/2) - 1` (RelaImpr), which `launch.evaluate` prints.

    Args:
        edges: ints, the lowest count of each bucket but the first, ascending, at least 1. Defaults
            to `(1, 10, 100, 1000, 10000)`.
        from_logits: boolean, whether predictions are logits. Defaults to `False`: probabilities.
        name: string, name in the logs. Defaults to "frequency_auc".
        dtype: dtype of the result; it is computed in float64. Defaults to `None`: Keras's float
            dtype.

    Inputs of `update_state`: as of `GAUC`, with `counts`, integers `[B]` or `[B, 1]`, instead of
    `group`.

    Returns:
        `[len(edges) + 1]`, from the rarest to the most frequent; NaN for a bucket without positives
        or without negatives, and for all if a prediction is not finite or not a probability.

    Raises:
        ValueError: if edges do not ascend, or without `counts`.

    Equation:
        `AUC_b` of the rows with `edges[b - 1] <= count < edges[b]`, see
        `tf_helen.analysis.auc_by_bucket`.

    Reference: AdamAR (Li, Lyu, ICLR 2026, OpenReview QFH5mwP9oH) compares the AUC of five buckets.

    Example:
        >>> metric = FrequencyAUC(edges=[10])
        >>> labels, predictions = [0, 1, 1, 0, 1], [0.3, 0.2, 0.9, 0.5, 0.5]
        >>> metric.update_state(labels, predictions, counts=[5, 5, 70, 70, 70])
        >>> dict(zip(metric.labels, metric.result().numpy().tolist()))
        {'0-9': 0.0, '10+': 0.75}
    """

    def __init__(
        self,
        edges: Sequence[int] = (1, 10, 100, 1000, 10000),
        from_logits: bool = False,
        name: str = "frequency_auc",
        dtype: Any = None,
    ) -> None:
        super().__init__(name=name, dtype=dtype)
        empty = frequency_buckets(np.zeros(0, np.int64), edges=list(edges))
        self.edges = tuple(int(edge) for edge in empty.edges)
        self.from_logits = bool(from_logits)
        self.kept: KeptRows = KeptRows(4)

    @property
    def labels(self) -> list[str]:
        """The counts of each bucket as text, such as "0", "1-9", "10-99", "100+"."""
        return Buckets(np.asarray(self.edges), np.zeros(0, np.int64)).labels

    def update_state(
        self, y_true: Any, y_pred: Any, sample_weight: Any = None, counts: Any = None
    ) -> None:
        """Adds a batch. For shapes, see the class."""
        rows = binary_rows(y_true, y_pred, sample_weight, self.from_logits)
        self.kept.add(*rows, one_per_row("counts", counts, rows[0].shape[0], "occurrences"))

    def result(self) -> tf.Tensor:
        """Returns the area of each bucket, of the metric's dtype."""
        area = self.kept.computed(self._areas, [len(self.edges) + 1])
        return tf.cast(area, self.dtype)

    def _areas(self) -> np.ndarray:
        labels, predictions, weights, counts = self.kept.columns()
        buckets = frequency_buckets(counts.astype(np.int64), edges=self.edges)
        area = auc_by_bucket(labels, predictions, buckets, sample_weight=weights)
        return np.full_like(area, np.nan) if np.isnan(weights).any() else area

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        config = {"edges": list(self.edges), "from_logits": self.from_logits}
        return {**super().get_config(), **config}
