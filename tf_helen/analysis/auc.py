"""The exact area under the ROC curve, for samples of similar frequency."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from tf_helen.analysis.frequency import Buckets


def auc_by_bucket(
    labels: Sequence[float],
    predictions: Sequence[float],
    buckets: Buckets | ArrayLike,
    *,
    sample_weight: Sequence[float] | None = None,
) -> np.ndarray:
    """Computes the area under the ROC curve within each bucket of samples.

    `sample_counts` returns how often the rarest id of each sample, or its id of one field, occurs
    in the training set; `frequency_buckets` groups these counts into buckets. The AdamAR paper
    groups the samples of iPinYou by the field IP.

    Args:
        labels: `[n]`, from 0 to 1; y counts as y positive and 1 - y negative samples.
        predictions: `[n]`, logits or probabilities.
        buckets: `Buckets` of the samples, or the bucket number of each sample.
        sample_weight: `[n]`, not negative. Defaults to `None`: 1.

    Returns:
        float64 `[buckets]`; ties count one half. NaN for a bucket without positives or negatives.

    Raises:
        ValueError: on different lengths, or predictions that are not finite.

    Example:
        >>> buckets = tf_helen.analysis.frequency_buckets([5, 5, 70, 70, 70], edges=[10])
        >>> labels, predictions = [0, 1, 1, 0, 1], [0.3, 0.2, 0.9, 0.5, 0.5]
        >>> tf_helen.analysis.auc_by_bucket(labels, predictions, buckets).tolist()
        [0.0, 0.75]
    """
    y, z = (np.asarray(part, np.float64).reshape(-1) for part in (labels, predictions))
    given = buckets.assignment if isinstance(buckets, Buckets) else buckets
    assignment = np.asarray(given, np.int64)
    weight = np.ones(len(y)) if sample_weight is None else sample_weight
    weight = np.asarray(weight, np.float64).reshape(-1)
    lengths = {"labels": y, "predictions": z, "buckets": assignment, "sample_weight": weight}
    if len({part.shape for part in lengths.values()}) > 1:
        shapes = ", ".join(f"{name} {list(part.shape)}" for name, part in lengths.items())
        raise ValueError(f"All arguments must have one number per sample. Received: {shapes}.")
    if not np.isfinite(z).all():
        raise ValueError("`predictions` must be finite. Received NaN or infinity.")
    number = int(assignment.max(initial=-1)) + 1
    if isinstance(buckets, Buckets):
        number = len(buckets)
    found = np.full(number, np.nan)
    for bucket in range(number):
        inside = assignment == bucket
        found[bucket] = _auc(y[inside], z[inside], weight[inside])
    return found


def _auc(labels: np.ndarray, predictions: np.ndarray, weights: np.ndarray) -> float:
    _, place = np.unique(predictions, return_inverse=True)
    positive = np.bincount(place, weights=weights * labels)
    negative = np.bincount(place, weights=weights * (1 - labels))
    pairs = positive.sum() * negative.sum()
    if pairs <= 0:
        return float("nan")
    below = np.cumsum(negative) - negative
    return float(np.sum(positive * (below + negative / 2)) / pairs)
