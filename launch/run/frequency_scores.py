"""The AUC of an evaluated split by how often the ids of its rows occur in the training split."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

import tf_helen
import zoo
from tf_helen.analysis import sample_counts
from tf_helen.core.checks import one_of
from zoo.data.files import DataError

AUC = "frequency_auc"
ROWS = "frequency_rows"


def bucket_names(edges: Sequence[int], field: str | None = None) -> list[str]:
    """The names of the buckets, as they stand in the names of the measurements.

    Args:
        edges: ints, the lowest count of each bucket but the first.
        field: the field whose id decides; `None`: the rarest id of the row.

    Returns:
        List of texts, from the rarest bucket to the most frequent.

    Example:
        >>> bucket_names([1, 10], "user")
        ['user/0', 'user/1-9', 'user/10+']
    """
    labels = tf_helen.metrics.FrequencyAUC(edges).labels
    return labels if field is None else [f"{field}/{label}" for label in labels]


class FrequencyScores:
    """The rows of a split by the frequency of their ids, with the scores of one evaluation.

    A row belongs to the bucket of the occurrences of its rarest id in the training split, or of its
    id of one field, see `tf_helen.analysis.sample_counts`.

    Args:
        schema: `zoo.Schema` of the data.
        counts: dict from field name to the occurrences of its ids in the training split.
        edges: ints, the lowest count of each bucket but the first, ascending, at least 1.
        field: string, the field whose id decides. Defaults to `None`: the rarest id of the row.

    Raises:
        ValueError: on edges that do not ascend, or an unknown field.
        DataError: if the data have no fields.

    Example:
        >>> schema = zoo.Schema("tiny", [zoo.Categorical("user", 3)])
        >>> scores = FrequencyScores(schema, {"user": [0, 7, 80]}, [10])
        >>> features = {"ids": np.array([[1], [1], [2], [2]])}
        >>> scores.add(features, np.array([0, 1, 1, 0]), np.array([0.3, 0.2, 0.9, 0.5]))
        >>> scores.measured()["frequency_auc/0-9"], scores.measured()["frequency_rows/10+"]
        (0.0, 2)
    """

    def __init__(
        self,
        schema: zoo.Schema,
        counts: Mapping[str, Sequence[int]],
        edges: Sequence[int],
        field: str | None = None,
    ):
        fields = [each.name for each in schema.categorical]
        if not fields:
            raise DataError(
                f"`{AUC}` groups rows by the occurrences of their ids, and the data "
                f"{schema.name!r} have no fields; leave it out"
            )
        if field is not None:
            one_of("frequency_field", field, fields)
        self._counts = {name: np.asarray(counts[name]) for name in fields}
        self._lengths, self._field = schema.field_lengths, field
        self._names = bucket_names(edges, field)
        self._metric = tf_helen.metrics.FrequencyAUC(edges, from_logits=True, dtype="float64")
        self._rows = np.zeros(len(self._names), np.int64)

    def reset(self) -> None:
        """Forgets the rows."""
        self._metric.reset_state()
        self._rows[:] = 0

    def add(self, features: Mapping[str, Any], label: Any, logits: Any, weight: Any = None) -> None:
        """Adds scored rows.

        Args:
            features: dict with the ids `[B, W]` of the rows as "ids".
            label: `[B]` or `[B, 1]`.
            logits: `[B]` or `[B, 1]`.
            weight: `[B]` or `[B, 1]`, not negative. Defaults to `None`: 1.
        """
        ids = np.asarray(features["ids"])
        known = sample_counts(ids, self._counts, field=self._field, lengths=self._lengths)
        self._metric.update_state(label, logits, weight, counts=known)
        places = np.searchsorted(self._metric.edges, known, side="right")
        self._rows += np.bincount(places, minlength=len(self._rows))

    def measured(self) -> dict[str, float]:
        """The measurements of the added rows.

        Returns:
            Dict with `frequency_rows/BUCKET` of each bucket, and `frequency_auc/BUCKET` of those
            with positives and negatives.
        """
        found: dict[str, float] = {}
        areas = self._metric.result().numpy()
        for name, rows, area in zip(self._names, self._rows, areas, strict=True):
            found[f"{ROWS}/{name}"] = int(rows)
            if not np.isnan(area):
                found[f"{AUC}/{name}"] = float(area)
        return found
