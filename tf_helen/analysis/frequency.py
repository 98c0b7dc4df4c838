"""Groups rows and samples by frequency, and correlates values with the frequency."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike

from tf_helen.core.checks import whole_number


@dataclasses.dataclass(frozen=True)
class Buckets:
    """Rows or samples, grouped by their number of occurrences.

    Bucket b holds the counts from `edges[b - 1]` to `edges[b] - 1`. The first bucket holds the
    counts below `edges[0]`, the last bucket those of `edges[-1]` and above.

    Attributes:
        edges: int64 `[buckets - 1]`, ascending.
        assignment: int64 array, the bucket of each row or sample, from 0; a lower bucket is less
            frequent.
    """

    edges: np.ndarray
    assignment: np.ndarray

    def __len__(self) -> int:
        return len(self.edges) + 1

    @property
    def labels(self) -> list[str]:
        """The counts of each bucket as text, such as "0", "1-9", "10-99", "100+"."""
        starts = [0, *self.edges.tolist()]
        labels = [
            str(low) if high == low + 1 else f"{low}-{high - 1}"
            for low, high in itertools.pairwise(starts)
        ]
        return [*labels, f"{starts[-1]}+"]

    @property
    def sizes(self) -> np.ndarray:
        """int64 `[buckets]`, the number of rows or samples in each bucket."""
        return np.bincount(self.assignment, minlength=len(self))


def frequency_buckets(
    counts: ArrayLike,
    *,
    edges: ArrayLike | None = None,
    quantiles: int | None = None,
) -> Buckets:
    """Groups rows by their number of occurrences in the training set.

    Args:
        counts: int `[n]`, not negative, occurrences of each row, or of each sample (see
            `sample_counts`).
        edges: ints, the lowest count of each bucket but the first, ascending, at least 1. Defaults
            to `None`: 1, 10, 100, ... up to the largest count, so bucket 0 holds the rows that do
            not occur.
        quantiles: int, number of buckets with about the same number of rows that occur. Equal
            counts are in the same bucket, so there may be fewer buckets. Excludes `edges`. Defaults
            to `None`.

    Returns:
        `Buckets`. `frequency_buckets(other, edges=buckets.edges)` groups other counts by the same
        edges.

    Raises:
        ValueError: on negative counts, edges that do not ascend, or both arguments.

    Reference: AdamAR (Li, Lyu, ICLR 2026, OpenReview QFH5mwP9oH) groups the ids of one field of
        iPinYou into five buckets by frequency.

    Example:
        >>> buckets = tf_helen.analysis.frequency_buckets([0, 3, 250, 9, 10])
        >>> buckets.labels, buckets.assignment.tolist()
        (['0', '1-9', '10-99', '100+'], [0, 1, 3, 1, 2])
    """
    counts = np.asarray(counts)
    if counts.ndim != 1 or not np.issubdtype(counts.dtype, np.integer) or (counts < 0).any():
        raise ValueError(
            "`counts` must be a one-dimensional array of integers >= 0. Received the dtype "
            f"{counts.dtype} and the shape {list(counts.shape)}."
        )
    if edges is not None and quantiles is not None:
        raise ValueError("`edges` and `quantiles` exclude each other. Pass one of them.")
    if quantiles is not None:
        edges = _quantile_edges(counts, whole_number("quantiles", quantiles))
    elif edges is None:
        largest = int(counts.max(initial=1))
        edges = [10**power for power in range(len(str(max(largest, 1))))]
    found = np.asarray(edges)
    is_flat = found.ndim == 1 and found.size and np.issubdtype(found.dtype, np.integer)
    if not is_flat or found[0] < 1 or (np.diff(found) <= 0).any():
        raise ValueError(
            "`edges` must be ascending integers >= 1, such as [1, 10, 100]. Received: "
            f"edges={edges!r}"
        )
    found = found.astype(np.int64)
    return Buckets(found, np.searchsorted(found, counts, side="right"))


def _quantile_edges(counts: np.ndarray, quantiles: int) -> list[int]:
    occurring = np.sort(counts[counts > 0])
    if not len(occurring):
        return [1]
    starts = len(occurring) * np.arange(quantiles) // quantiles
    return np.unique([1, *occurring[starts[1:]]]).tolist()


def sample_counts(
    ids: np.ndarray,
    counts: Mapping[str, Sequence[int]],
    *,
    field: str | None = None,
    lengths: Mapping[str, int] | None = None,
) -> np.ndarray:
    """Returns how often the rarest id of each sample occurs in the training set.

    Args:
        ids: int `[B, W]`, the ids of each sample, in the order of the fields; -1 is padding.
        counts: dict from field name to the counts of its ids, in the order of the columns.
        field: string, name of the only field to consider. Defaults to `None`: all fields.
        lengths: dict from field name to its number of columns, for fields with more than one.
            Defaults to `None`.

    Returns:
        int64 `[B]`; 0 for a sample without ids.

    Raises:
        ValueError: on an unknown field, or if `ids` has another number of columns.

    Example:
        >>> counts = {"user": [9, 1], "item": [2, 8, 0]}
        >>> ids = np.array([[0, 1], [1, 1]])
        >>> tf_helen.analysis.sample_counts(ids, counts).tolist()
        [8, 1]
        >>> tf_helen.analysis.sample_counts(ids, counts, field="item").tolist()
        [8, 8]
    """
    ids, lengths = np.asarray(ids), dict(lengths or {})
    unknown = [name for name in (*lengths, *([field] if field else [])) if name not in counts]
    if unknown:
        raise ValueError(f"Unknown field {unknown[0]!r}. Fields: {', '.join(counts)}.")
    widths = [lengths.get(name, 1) for name in counts]
    if ids.ndim != 2 or ids.shape[1] != sum(widths):
        raise ValueError(
            f"`ids` must have {sum(widths)} columns, those of all fields. Received the shape "
            f"{list(ids.shape)}."
        )
    none = np.iinfo(np.int64).max
    rarest = np.full(len(ids), none)
    ends = np.cumsum(widths)
    for (name, given), end, width in zip(counts.items(), ends, widths, strict=True):
        if field in (None, name):
            columns = ids[:, end - width : end]
            known = np.asarray(given, np.int64)
            found = np.where(columns >= 0, known[np.maximum(columns, 0)], none)
            rarest = np.minimum(rarest, found.min(axis=1))
    return np.where(rarest == none, 0, rarest)


def frequency_correlation(values: Sequence[float], counts: Sequence[int]) -> float:
    """Computes Pearson's r between a value per row and the row's number of occurrences.

    The Helen paper reports `r(lambda, N)` of the top eigenvalues and `r(|g|, N)` of the gradient
    norms, over the rows that occur.

    Args:
        values: `[n]`, such as the result of `top_eigenvalues` or `gradient_norms`.
        counts: `[n]`, occurrences in the training set.

    Returns:
        A float in [-1, 1]; NaN if there are fewer than two rows, or all values or all counts are
        equal.

    Raises:
        ValueError: if the shapes differ or a value is not finite.

    Equation:
        `r = sum_k (x_k - mean x)(N_k - mean N) / (n std(x) std(N))`

    Reference: Helen (Zhu et al., WWW 2024), table 1.

    Example:
        >>> round(tf_helen.analysis.frequency_correlation([0.1, 0.2, 0.4], [1, 2, 3]), 3)
        0.982
    """
    x, n = np.asarray(values, np.float64), np.asarray(counts, np.float64)
    if x.ndim != 1 or x.shape != n.shape:
        raise ValueError(
            "`values` and `counts` must be one-dimensional and of the same length. Received the "
            f"shapes {list(x.shape)} and {list(n.shape)}."
        )
    if not (np.isfinite(x).all() and np.isfinite(n).all()):
        raise ValueError("`values` and `counts` must be finite. Received NaN or infinity.")
    if len(x) < 2 or np.ptp(x) == 0 or np.ptp(n) == 0:
        return float("nan")
    # Divide by the largest deviation, because squares of values near 1e-200 underflow to 0.
    x, n = (part - part.mean() for part in (x, n))
    x, n = x / np.abs(x).max(), n / np.abs(n).max()
    return float(np.clip(x @ n / np.sqrt((x @ x) * (n @ n)), -1.0, 1.0))
