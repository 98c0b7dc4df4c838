"""Scores of rows that were predicted before the model was trained with them."""

from __future__ import annotations

import numpy as np

import zoo
from launch.run.evaluation import DivergedError
from launch.run.progressive_history import SliceScores
from launch.run.running_scores import RunningScores
from launch.run.seen_ids import SeenIds, bucket_name
from launch.run.slices import Rows
from tf_helen.core.scores import auc_by_group

_KEPT = ("label", "weight", "group")


def grouped_areas(label: np.ndarray, logits: np.ndarray, group: np.ndarray) -> np.ndarray:
    """Sums AUC within groups, such as the impressions of a log.

    `GAUC = sum_g n_g AUC_g / sum_g n_g` over the groups with positives and negatives, n_g the rows
    of a group (Zhou et al., Deep Interest Network, KDD 2018, section 6.2).

    Args:
        label: array `[n]`; a label above 0.5 is positive.
        logits: array `[n]`.
        group: int array `[n]`.

    Returns:
        Float array `[2]`: the denominator and the numerator, which add up over slices.

    Example:
        >>> label, logits = np.array([0, 1, 1, 0]), np.array([0.1, 0.2, 0.3, 0.4])
        >>> denominator, numerator = grouped_areas(label, logits, np.array([1, 1, 2, 2]))
        >>> float(numerator / denominator)
        0.5
    """
    return auc_by_group(label > 0.5, logits, group).sums()


class Prequential:
    """The scores of a pass: of each slice, of all rows, by split, by count of the rarest id.

    Args:
        schema: `zoo.Schema`, the columns.

    Attributes:
        kept: dict from "logit", "label" and, if the rows have them, "weight" and "group" to the
            list of the arrays of all slices.

    Example:
        >>> scores = Prequential(zoo.Schema("s", [zoo.Categorical("user", 9)]))
        >>> rows = {"ids": np.array([[3], [4]]), "label": np.array([[1.0], [0.0]])}
        >>> scores.add(1, "train", rows, np.array([0.5, 0.1], np.float32)).auc
        1.0
    """

    def __init__(self, schema: zoo.Schema):
        self._all = RunningScores()
        self._groups = np.zeros(2)
        self._split_groups: dict[str, np.ndarray] = {}
        self._seen = SeenIds(schema) if schema.categorical else None
        self._splits: list[str] = []
        self._buckets: list[np.ndarray] = []
        self.kept: dict[str, list[np.ndarray]] = {}

    def add(self, number: int, split: str, rows: Rows, logits: np.ndarray) -> SliceScores:
        """Adds a slice that was scored and is not trained yet.

        Args:
            number: int, number of the slice, from 1.
            split: string, name of its split.
            rows: dict of arrays, its rows.
            logits: float32 array `[n]`, its predictions.

        Returns:
            The scores of the slice, and of all rows so far.

        Raises:
            DivergedError: if a prediction is not finite.
        """
        if not np.isfinite(logits).all():
            raise DivergedError(
                f"the predictions of slice {number} are not finite: training has diverged; use a "
                "smaller learning rate or clip gradients (global_clipnorm=1.0)"
            )
        columns = {name: rows[name][:, 0] for name in _KEPT if name in rows}
        for name, values in {"logit": logits, **columns}.items():
            self.kept.setdefault(name, []).append(values)
        self._splits.append(split)
        if self._seen is not None:
            self._buckets.append(self._seen.buckets(rows["ids"]))
            self._seen.add(rows["ids"])
        own, label, weight = RunningScores(), columns["label"], columns.get("weight")
        for scores in (own, self._all):
            scores.add(label, logits, weight)
        grouped = {}
        if "group" in columns:
            areas = grouped_areas(label, logits, columns["group"])
            self._groups += areas
            self._split_groups.setdefault(split, np.zeros(2))
            self._split_groups[split] += areas
            grouped = {"gauc": _ratio(areas), "gauc_so_far": _ratio(self._groups)}
        return SliceScores(
            number, split, own.rows, own.auc, own.logloss, self._all.auc, self._all.logloss,
            positives=float(label.mean()), **grouped,
        )  # fmt: skip

    def by_split(self) -> dict[str, dict[str, float]]:
        """Returns the scores pooled over all rows, under "all", and over those of each split."""
        counts = [len(part) for part in self.kept["logit"]]
        names = list(dict.fromkeys(self._splits))
        places = np.repeat([names.index(split) for split in self._splits], counts)
        found = {"all": self._pooled(slice(None))}
        found |= {name: self._pooled(places == place) for place, name in enumerate(names)}
        for name, areas in {"all": self._groups, **self._split_groups}.items():
            if areas[0]:
                found[name]["gauc"] = _ratio(areas)
        return found

    def by_bucket(self) -> dict[str, dict[str, float]]:
        """Returns the scores of rows by how often their rarest id was trained before."""
        if not self._buckets:
            return {}
        buckets = np.concatenate(self._buckets)
        return {bucket_name(b): self._pooled(buckets == b) for b in np.unique(buckets)}

    def _pooled(self, chosen: np.ndarray | slice) -> dict[str, float]:
        rows = {name: np.concatenate(parts)[chosen] for name, parts in self.kept.items()}
        scores = RunningScores()
        scores.add(rows["label"], rows["logit"], rows.get("weight"))
        positives = float(rows["label"].mean())
        return {
            "rows": scores.rows, "positives": positives, "auc": scores.auc,
            "logloss": scores.logloss,
        }  # fmt: skip


def _ratio(rows_and_areas: np.ndarray) -> float | None:
    return float(rows_and_areas[1] / rows_and_areas[0]) if rows_and_areas[0] else None
