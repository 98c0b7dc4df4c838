"""Scores of binary predictions, exact, of rows in memory."""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import ArrayLike

from tf_helen.core.checks import one_of, whole_number

BINNINGS = ("uniform", "quantile")


def exact_auc(
    labels: ArrayLike, predictions: ArrayLike, *, sample_weight: ArrayLike | None = None
) -> float:
    """Computes the area under the ROC curve.

    Args:
        labels: `[n]`, from 0 to 1; y counts as y positive and 1 - y negative rows.
        predictions: `[n]`, logits or probabilities.
        sample_weight: `[n]`, not negative. Defaults to `None`: 1.

    Returns:
        Float in [0, 1]; ties count one half. NaN without positives or without negatives.

    Raises:
        ValueError: on different lengths, or predictions that are not finite.

    Equation:
        `sum_i sum_j p_i n_j ([z_i > z_j] + [z_i = z_j] / 2) / (sum_i p_i sum_j n_j)`, with
        `p_i = w_i y_i` and `n_i = w_i (1 - y_i)`.

    Example:
        >>> exact_auc([0, 0, 1, 1], [-2.0, 0.3, 0.1, 1.5])
        0.75
    """
    rows = np.asarray(predictions).size
    found = auc_by_group(labels, predictions, np.zeros(rows, int), sample_weight=sample_weight)
    return float(found.area[0]) if rows else float("nan")


@dataclasses.dataclass(frozen=True)
class GroupedAUC:
    """The area under the ROC curve within groups of rows.

    Attributes:
        group: array `[g]`, the groups, ascending.
        weight: float64 `[g]`, rows of each group, or the sum of their weights.
        area: float64 `[g]`; NaN for a group without positives or without negatives.
    """

    group: np.ndarray
    weight: np.ndarray
    area: np.ndarray

    def sums(self) -> np.ndarray:
        """Returns float64 `[2]`: the denominator and the numerator of GAUC, which add up."""
        both = ~np.isnan(self.area)
        weight = self.weight[both]
        return np.array([weight.sum(), (weight * self.area[both]).sum()])

    @property
    def mean(self) -> float:
        """GAUC, the mean area, weighted by `weight`; NaN if no group has both classes."""
        weight, total = self.sums()
        return float(total / weight) if weight > 0 else float("nan")


def auc_by_group(
    labels: ArrayLike,
    predictions: ArrayLike,
    group: ArrayLike,
    *,
    sample_weight: ArrayLike | None = None,
) -> GroupedAUC:
    """Computes the area under the ROC curve within each group of rows.

    Args:
        labels: `[n]`, from 0 to 1; y counts as y positive and 1 - y negative rows.
        predictions: `[n]`, logits or probabilities.
        group: `[n]`, the group of each row: integers or strings.
        sample_weight: `[n]`, not negative. Defaults to `None`: 1.

    Returns:
        `GroupedAUC`; its `mean` is GAUC.

    Raises:
        ValueError: on different lengths, or predictions that are not finite.

    Equation:
        `GAUC = sum_g w_g AUC_g / sum_g w_g` over the groups with positives and negatives, with w_g
        the sum of the weights of a group's rows.

    Reference: Zhou et al., Deep Interest Network, KDD 2018, section 6.2.

    Example:
        >>> auc_by_group([0, 1, 1, 0, 1], [0.1, 0.2, 0.3, 0.4, 0.5], [7, 7, 8, 8, 9]).mean
        0.5
    """
    y, z, w = _rows(labels, predictions, sample_weight)
    groups, place = np.unique(np.asarray(group).reshape(-1), return_inverse=True)
    if place.shape != y.shape:
        raise ValueError(
            f"`group` must have one value per row. Received: {len(place)} for {len(y)} rows."
        )
    number = len(groups)
    weight = np.bincount(place, w, number)
    if not len(y):
        return GroupedAUC(groups, weight, np.full(number, np.nan))
    order = np.lexsort((z, place))
    place, z, y, w = place[order], z[order], y[order], w[order]
    positive, negative = w * y, w * (1.0 - y)
    # Rows of a group with equal predictions are one entry.
    starts = np.flatnonzero(np.r_[True, (np.diff(place) != 0) | (np.diff(z) != 0)])
    tied_positive = np.add.reduceat(positive, starts)
    tied_negative = np.add.reduceat(negative, starts)
    entry = place[starts]
    before = np.cumsum(tied_negative) - tied_negative
    first = np.searchsorted(entry, np.arange(number))
    below = before - before[first][entry]
    wins = np.bincount(entry, tied_positive * (below + tied_negative / 2), number)
    pairs = np.bincount(place, positive, number) * np.bincount(place, negative, number)
    area = np.divide(wins, pairs, out=np.full(number, np.nan), where=pairs > 0)
    return GroupedAUC(groups, weight, area)


def row_losses(labels: np.ndarray, logits: np.ndarray) -> np.ndarray:
    """Computes the cross-entropy of each row, in nats.

    Args:
        labels: float64 `[n]`, from 0 to 1.
        logits: float64 `[n]`.

    Returns:
        float64 `[n]`.

    Equation:
        `log(1 + exp(z)) - y z`

    Example:
        >>> row_losses(np.array([1.0]), np.array([0.0])).round(4).tolist()
        [0.6931]
    """
    return np.logaddexp(0.0, logits) - labels * logits


def entropy(share: ArrayLike) -> np.ndarray:
    """Computes the entropy of a share of positives, in nats.

    Args:
        share: float or array, in [0, 1].

    Returns:
        float64, of the same shape; 0 for 0 and 1.

    Equation:
        `-(p log p + (1 - p) log(1 - p))`

    Example:
        >>> round(float(entropy(0.5)), 4)
        0.6931
    """
    p = np.asarray(share, np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        parts = [np.where(q > 0, -q * np.log(q), 0.0) for q in (p, 1.0 - p)]
    return parts[0] + parts[1]


@dataclasses.dataclass(frozen=True)
class CalibrationBins:
    """Predicted and observed probabilities of rows in bins of their prediction.

    Attributes:
        weight: float64 `[bins]`, rows of each bin, or the sum of their weights.
        predicted: float64 `[bins]`, sum of the predicted probabilities.
        observed: float64 `[bins]`, sum of the labels.
    """

    weight: np.ndarray
    predicted: np.ndarray
    observed: np.ndarray

    @property
    def mean_predicted(self) -> np.ndarray:
        """float64 `[bins]`, mean prediction; NaN for an empty bin."""
        return _quotient(self.predicted, self.weight)

    @property
    def mean_observed(self) -> np.ndarray:
        """float64 `[bins]`, mean label; NaN for an empty bin."""
        return _quotient(self.observed, self.weight)

    @property
    def ratios(self) -> np.ndarray:
        """float64 `[bins]`, predicted over observed; NaN for a bin without positives."""
        return _quotient(self.predicted, self.observed)

    @property
    def ratio(self) -> float:
        """Sum of the predictions over the sum of the labels; NaN without positives."""
        return float(_quotient(self.predicted.sum(), self.observed.sum()))

    @property
    def error(self) -> float:
        """ECE, `sum_b |predicted_b - observed_b| / sum_b weight_b`; NaN without rows."""
        return float(_quotient(np.abs(self.predicted - self.observed).sum(), self.weight.sum()))


def calibration_bins(
    labels: ArrayLike,
    probabilities: ArrayLike,
    *,
    bins: int = 10,
    binning: str = "quantile",
    sample_weight: ArrayLike | None = None,
) -> CalibrationBins:
    """Sums predictions and labels in bins of the predicted probability.

    Args:
        labels: `[n]`, from 0 to 1.
        probabilities: `[n]`, from 0 to 1.
        bins: int, number of bins. Defaults to 10.
        binning: "quantile": bins of about equal weight, the deciles if `bins` is 10; "uniform":
            bins of equal width in [0, 1]. Defaults to "quantile".
        sample_weight: `[n]`, not negative. Defaults to `None`: 1.

    Returns:
        `CalibrationBins`, in the order of the predictions.

    Raises:
        ValueError: on different lengths, an unknown `binning`, or `bins` below 1.

    Equation:
        `b = floor(bins (W_<(p) + W_=(p) / 2) / W)`, with the weight W_< of the rows below p, W_= of
        those with the prediction p, and W of all; uniform: `min(floor(bins p), bins - 1)`.

    Reference: expected calibration error: Guo et al., On Calibration of Modern Neural Networks,
        ICML 2017, section 2.

    Example:
        >>> found = calibration_bins([0, 0, 0, 1], [0.1, 0.2, 0.3, 0.4], bins=2)
        >>> found.mean_predicted.round(2).tolist(), found.mean_observed.tolist()
        ([0.15, 0.35], [0.0, 0.5])
    """
    y, p, w = _rows(labels, probabilities, sample_weight)
    whole_number("bins", bins)
    one_of("binning", binning, BINNINGS)
    if binning == "uniform":
        place = np.minimum((p * bins).astype(np.int64), bins - 1)
    else:
        place = quantile_places(p, w, bins)
    sums = (np.bincount(place, values, bins) for values in (w, w * p, w * y))
    return CalibrationBins(*sums)


def quantile_places(values: np.ndarray, weights: np.ndarray, bins: int) -> np.ndarray:
    """Returns the quantile bin of each row; equal values are in the same bin.

    Args:
        values: float64 `[n]`.
        weights: float64 `[n]`, not negative.
        bins: int, number of bins.

    Returns:
        int64 `[n]`, from 0 to `bins - 1`; see `calibration_bins`.

    Example:
        >>> quantile_places(np.array([3.0, 1.0, 2.0, 2.0]), np.ones(4), 2).tolist()
        [1, 0, 1, 1]
    """
    _, place = np.unique(values, return_inverse=True)
    own = np.bincount(place, weights)
    middle = np.cumsum(own) - own / 2
    total = own.sum()
    if not total > 0:
        return np.zeros(len(values), np.int64)
    return np.minimum((bins * middle / total).astype(np.int64), bins - 1)[place]


def _quotient(numerator: ArrayLike, denominator: ArrayLike) -> np.ndarray:
    above, below = np.asarray(numerator, np.float64), np.asarray(denominator, np.float64)
    return np.divide(above, below, out=np.full(above.shape, np.nan), where=below > 0)


def _rows(
    labels: ArrayLike, predictions: ArrayLike, sample_weight: ArrayLike | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns labels, predictions and weights as float64 `[n]`."""
    y, z = (np.asarray(part, np.float64).reshape(-1) for part in (labels, predictions))
    w = np.ones(len(y)) if sample_weight is None else sample_weight
    w = np.asarray(w, np.float64).reshape(-1)
    lengths = {"labels": y, "predictions": z, "sample_weight": w}
    if len({part.shape for part in lengths.values()}) > 1:
        shapes = ", ".join(f"{name} {list(part.shape)}" for name, part in lengths.items())
        raise ValueError(f"All arguments must have one number per row. Received: {shapes}.")
    if not np.isfinite(z).all():
        raise ValueError("`predictions` must be finite. Received NaN or infinity.")
    return y, z, w
