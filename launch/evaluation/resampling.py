"""Scores of resampled rows: the bootstrap of every score of a model."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from launch.evaluation.scored_models import ScoredRows
from tf_helen.analysis import Buckets
from tf_helen.core.scores import (
    auc_by_group,
    calibration_bins,
    entropy,
    quantile_places,
    row_losses,
)
from zoo.data.progress import ProgressBar


@dataclasses.dataclass(frozen=True)
class Resample:
    """How often each row and each group is drawn in a bootstrap sample.

    Attributes:
        rows: float64 `[n]`.
        groups: float64 `[g]`, of the groups with both classes.
    """

    rows: np.ndarray
    groups: np.ndarray


def resamples(rows: int, groups: int, samples: int, seed: int) -> Iterator[Resample]:
    """Draws rows, and groups, with replacement.

    Args:
        rows: int, number of rows.
        groups: int, number of groups with both classes.
        samples: int, number of samples.
        seed: int.

    Yields:
        `samples` of `Resample`; the same for the same arguments.

    Example:
        >>> [float(sample.rows.sum()) for sample in resamples(5, 0, 2, seed=0)]
        [5.0, 5.0]
    """
    random = np.random.default_rng(seed)
    for _ in range(samples):
        drawn = [
            np.bincount(random.integers(0, number, number), minlength=number).astype(np.float64)
            if number
            else np.zeros(0)
            for number in (rows, groups)
        ]
        yield Resample(*drawn)


class ModelScores:
    """All scores of a model on rows, or on a bootstrap sample of them.

    What does not depend on the sample is computed once: the order of the predictions, the losses,
    the bins of the prediction and the areas of the groups.

    Args:
        rows: `ScoredRows`.
        logits: float64 `[n]`, the predictions.
        buckets: `Buckets` of the rows by frequency; `None`: no areas by frequency.
        bins: int, number of quantile bins of the calibration.

    Attributes:
        names: list of strings, the scores in the order of `values`: "auc", "logloss",
            "normalized_entropy", "calibration", "ece", "gauc" if there are groups, then
            "auc/<bucket>", and "observed/<bin>", the observed probability of each bin.
        groups: int, number of groups with both classes.
    """

    def __init__(self, rows: ScoredRows, logits: np.ndarray, buckets: Buckets | None, bins: int):
        y = rows.label
        self._weight = np.ones(len(y)) if rows.weight is None else rows.weight
        self._label = y
        self._losses = row_losses(y, logits)
        # Not 1 / (1 + exp(-z)), which overflows for z below -709.
        self._probability = np.exp(-np.logaddexp(0.0, -logits))
        self._bins = bins
        self._place = quantile_places(self._probability, self._weight, bins)
        everything = np.zeros(len(y), np.int64)
        self._all = _Areas(y, logits, everything, 1)
        self._frequency = None
        if buckets is not None:
            self._frequency = _Areas(y, logits, buckets.assignment, len(buckets))
        self._groups: np.ndarray | None = None
        if rows.group is not None:
            areas = auc_by_group(y, logits, rows.group, sample_weight=self._weight)
            both = ~np.isnan(areas.area)
            self._groups = np.stack([areas.weight[both], areas.weight[both] * areas.area[both]])
        self.groups = 0 if self._groups is None else self._groups.shape[1]
        self.names = ["auc", "logloss", "normalized_entropy", "calibration", "ece"]
        self.names += ["gauc"] if self.groups else []
        self.names += [f"auc/{label}" for label in (buckets.labels if buckets else [])]
        self.names += [f"observed/{place}" for place in range(bins)]

    def values(self, sample: Resample | None = None) -> np.ndarray:
        """Returns the scores of all rows, or of a sample, float64 `[len(names)]`."""
        weight = self._weight if sample is None else self._weight * sample.rows
        total = weight.sum()
        # No `@`: the threads of BLAS wait for each other if the cores are busy.
        observed = weight * self._label
        positives = observed.sum()
        loss = _divided((weight * self._losses).sum(), total)
        share = _divided(positives, total)
        predicted = weight * self._probability
        sums = [
            np.bincount(self._place, values, self._bins) for values in (weight, predicted, observed)
        ]
        error = _divided(np.abs(sums[1] - sums[2]).sum(), total)
        found = [
            self._all.of(weight),
            [loss, _divided(loss, float(entropy(share)))],
            [_divided(predicted.sum(), positives), error],
        ]
        if self.groups:
            drawn = np.ones(self.groups) if sample is None else sample.groups
            weights, areas = (self._groups * drawn).sum(axis=1)
            found.append([_divided(areas, weights)])
        if self._frequency is not None:
            found.append(self._frequency.of(weight))
        with np.errstate(invalid="ignore", divide="ignore"):
            found.append(sums[2] / sums[0])
        return np.concatenate(found)

    def bins(self):
        """Returns `CalibrationBins` of all rows."""
        return calibration_bins(
            self._label, self._probability, bins=self._bins, sample_weight=self._weight
        )


class _Areas:
    """The area under the ROC curve within buckets, for changing weights of the same rows."""

    def __init__(self, label: np.ndarray, logits: np.ndarray, bucket: np.ndarray, number: int):
        self._order = np.lexsort((logits, bucket))
        bucket, z = bucket[self._order], logits[self._order]
        self._label = label[self._order]
        starts = np.r_[True, (np.diff(bucket) != 0) | (np.diff(z) != 0)]
        self._starts = None if starts.all() else np.flatnonzero(starts)
        entry = bucket if self._starts is None else bucket[self._starts]
        self._bounds = np.searchsorted(entry, np.arange(number + 1))

    def of(self, weight: np.ndarray) -> np.ndarray:
        """Returns float64 `[buckets]`; NaN without positives or without negatives."""
        weight = weight[self._order]
        positive = weight * self._label
        negative = weight - positive
        if self._starts is not None:
            positive, negative = (
                np.add.reduceat(part, self._starts) for part in (positive, negative)
            )
        # Twice the weight of the negatives below, where ties count one half.
        wins = positive * (2 * np.cumsum(negative) - negative)
        found = np.full(len(self._bounds) - 1, np.nan)
        for place, (low, high) in enumerate(zip(self._bounds, self._bounds[1:], strict=False)):
            p, n = positive[low:high].sum(), negative[low:high].sum()
            if p > 0 and n > 0:
                before = 2 * negative[:low].sum() if low else 0.0
                found[place] = (wins[low:high].sum() - p * before) / (2 * p * n)
        return found


def _divided(numerator: float, denominator: float) -> float:
    return float(numerator / denominator) if denominator > 0 else float("nan")


def bootstrap(
    scores: Mapping[str, ModelScores], rows: int, samples: int, seed: int, progress: bool = True
) -> dict[str, np.ndarray]:
    """Computes the scores of each model on the same bootstrap samples.

    Args:
        scores: dict from label to `ModelScores` of the same rows.
        rows: int, number of rows.
        samples: int, number of samples.
        seed: int.
        progress: boolean; shows progress. Defaults to `True`.

    Returns:
        Dict from label to float64 `[samples, len(names)]`.
    """
    groups = next(iter(scores.values())).groups
    found: dict[str, list[np.ndarray]] = {label: [] for label in scores}
    with ProgressBar("bootstrap", samples, "samples", progress, delay=2.0) as bar:
        for sample in resamples(rows, groups, samples, seed):
            for label, each in scores.items():
                found[label].append(each.values(sample))
            bar.update()
    empty = np.zeros((0, len(next(iter(scores.values())).names)))
    return {label: np.stack(values) if values else empty for label, values in found.items()}


def interval(values: np.ndarray, confidence: float) -> tuple[float, float]:
    """Returns the percentile interval of bootstrap values.

    Args:
        values: float64 `[samples]`; NaN where a score is undefined.
        confidence: float in (0, 1).

    Returns:
        The lower and the upper end; NaN if less than half of the values are defined.

    Reference: Efron, Tibshirani, An Introduction to the Bootstrap, 1993, section 13.3.

    Example:
        >>> low, high = interval(np.arange(101.0), 0.9)
        >>> round(low), round(high)
        (5, 95)
    """
    known = values[~np.isnan(values)]
    if not len(known) or 2 * len(known) < len(values):
        return float("nan"), float("nan")
    low, high = np.quantile(known, [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(low), float(high)


def p_value(differences: Sequence[float] | np.ndarray) -> float:
    """Returns the two-sided p-value of the hypothesis that a difference is 0.

    Args:
        differences: float64 `[samples]`, of a paired bootstrap.

    Returns:
        Float in (0, 1]; NaN without values.

    Equation:
        `min(1, 2 (1 + min(#{d <= 0}, #{d >= 0})) / (1 + samples))`

    Reference: Davison, Hinkley, Bootstrap Methods and their Application, 1997, section 4.4, for the
        added 1, without which p would be 0 if all samples agree.

    Example:
        >>> p_value([0.1, 0.2, -0.1, 0.3])
        0.8
    """
    known = np.asarray(differences, np.float64)
    known = known[~np.isnan(known)]
    if not len(known):
        return float("nan")
    fewer = min((known <= 0).sum(), (known >= 0).sum())
    return float(min(1.0, 2 * (1 + fewer) / (1 + len(known))))
