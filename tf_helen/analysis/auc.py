"""The exact area under the ROC curve, for samples of similar frequency."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from tf_helen.analysis.frequency import Buckets
from tf_helen.core.scores import auc_by_group


def auc_by_bucket(
    labels: ArrayLike,
    predictions: ArrayLike,
    buckets: Buckets | ArrayLike,
    *,
    sample_weight: ArrayLike | None = None,
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
    given = buckets.assignment if isinstance(buckets, Buckets) else np.asarray(buckets, np.int64)
    areas = auc_by_group(labels, predictions, given, sample_weight=sample_weight)
    number = int(areas.group.max(initial=-1)) + 1
    found = np.full(len(buckets) if isinstance(buckets, Buckets) else number, np.nan)
    found[areas.group] = areas.area
    return found
