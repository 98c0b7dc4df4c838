"""Exact AUC and LogLoss of rows that arrive in parts."""

from __future__ import annotations

import numpy as np

from tf_helen.core.scores import row_losses


class RunningScores:
    """AUC and LogLoss over all rows added so far; adding n rows to N costs O(n log N + N).

    `AUC = sum_i sum_j p_i n_j ([z_i > z_j] + [z_i = z_j] / 2) / (sum_i p_i sum_j n_j)` with the
    logits z, `p_i = w_i y_i` and `n_i = w_i (1 - y_i)`;
    `LogLoss = sum_i w_i (log(1 + exp(z_i)) - y_i z_i) / sum_i w_i`.

    Example:
        >>> scores = RunningScores()
        >>> scores.add(np.array([0, 1]), np.array([-2.0, 0.1]))
        >>> scores.add(np.array([0, 1]), np.array([0.3, 1.5]))
        >>> scores.auc, round(scores.logloss, 4)
        (0.75, 0.4568)
    """

    def __init__(self) -> None:
        self._positives, self._negatives = _Sorted(), _Sorted()
        self._wins = self._losses = self._weight = 0.0
        self.rows = 0

    def add(self, label: np.ndarray, logits: np.ndarray, weight: np.ndarray | None = None) -> None:
        """Adds rows.

        Args:
            label: array `[n]`, from 0 to 1.
            logits: array `[n]`.
            weight: array `[n]`, not negative. Defaults to `None`: 1.
        """
        label = np.asarray(label, np.float64)
        z = np.asarray(logits, np.float64)
        weight = np.ones(len(label)) if weight is None else np.asarray(weight, np.float64)
        self.rows += len(label)
        self._weight += float(weight.sum())
        self._losses += float((weight * row_losses(label, z)).sum())
        positives = _Sorted.of(logits, weight * label)
        negatives = _Sorted.of(logits, weight * (1.0 - label))
        self._wins += self._negatives.below(positives) + negatives.below(positives)
        # A negative loses against the positives that are not below it.
        old = self._positives
        self._wins += old.total * negatives.total - old.below(negatives)
        self._positives, self._negatives = old.merged(positives), self._negatives.merged(negatives)

    @property
    def auc(self) -> float:
        """Area under the ROC curve; 0.5 without positives or without negatives."""
        pairs = self._positives.total * self._negatives.total
        return self._wins / pairs if pairs else 0.5

    @property
    def logloss(self) -> float:
        """Mean cross-entropy in nats; 0 without rows."""
        return self._losses / self._weight if self._weight else 0.0


class _Sorted:
    """Logits in ascending order, with weights."""

    def __init__(self, logits=(), weights=()):
        self.logits, self.weights = np.asarray(logits, np.float32), np.asarray(weights, np.float64)
        self._sums = np.concatenate([[0.0], np.cumsum(self.weights)])
        self.total = float(self._sums[-1])

    @classmethod
    def of(cls, logits: np.ndarray, weights: np.ndarray) -> _Sorted:
        """Sorts logits, without those of weight 0."""
        logits, weights = logits[weights > 0], weights[weights > 0]
        order = np.argsort(logits, kind="stable")
        return cls(logits[order], weights[order])

    def below(self, others: _Sorted) -> float:
        """Sums the weights below each of `others`, times its weight; ties count one half."""
        left = np.searchsorted(self.logits, others.logits, side="left")
        right = np.searchsorted(self.logits, others.logits, side="right")
        return float(others.weights @ (self._sums[left] + self._sums[right])) / 2

    def merged(self, others: _Sorted) -> _Sorted:
        """Merges both; a stable sort merges two sorted parts in linear time."""
        logits = np.concatenate([self.logits, others.logits])
        order = np.argsort(logits, kind="stable")
        return _Sorted(logits[order], np.concatenate([self.weights, others.weights])[order])
