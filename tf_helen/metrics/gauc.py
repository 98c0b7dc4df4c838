"""The area under the ROC curve within groups of rows, such as the impressions of a user."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tf_helen.core.scores import GroupedAUC, auc_by_group
from tf_helen.metrics.mergeable import KeptRows, Mergeable, as_names, one_per_row
from tf_helen.metrics.rows import binary_rows

__all__ = ["GAUC"]


@keras.saving.register_keras_serializable(package="tf_helen")
class GAUC(Mergeable):
    """Mean area under the ROC curve within groups, weighted by the rows of a group; exact.

    Groups of one class have no area and are left out. All rows since the last reset are kept in the
    memory of the process (20 bytes per row of float32 values), because a group may be spread over
    batches. The metrics of `compile` do not receive the group of a row: call `update_state` in a
    loop of your own, or use `launch.evaluate`.

    Args:
        from_logits: boolean, whether predictions are logits. Defaults to `False`: probabilities.
        name: string, name in the logs. Defaults to "gauc".
        dtype: dtype of the result; it is computed in float64. Defaults to `None`: Keras's float
            dtype.

    Inputs of `update_state`: `y_true` and `y_pred` `[B]` or `[B, 1]`; `sample_weight` `None`, a
    scalar, `[B]` or `[B, 1]`; `group` integers or strings, `[B]` or `[B, 1]`. A label y between 0
    and 1 counts as y positives and 1 - y negatives.

    Returns:
        A scalar in [0, 1]: 0.5 if no group has both classes; NaN if a prediction is not finite or
        not a probability or, in a graph, if a label is outside [0, 1].

    Raises:
        ValueError: without `group`, or if it is neither integers nor strings.

    Equation:
        `sum_g w_g AUC_g / sum_g w_g` over the groups with both classes, with w_g the number of rows
        of a group, or the sum of their sample weights.

    Reference: Zhou et al., Deep Interest Network, KDD 2018, section 6.2.

    Example:
        >>> metric = GAUC()
        >>> labels, predictions = [0, 1, 1, 0, 1], [0.1, 0.2, 0.3, 0.4, 0.5]
        >>> metric.update_state(labels, predictions, group=[7, 7, 8, 8, 9])
        >>> float(metric.result())
        0.5
    """

    def __init__(self, from_logits: bool = False, name: str = "gauc", dtype: Any = None) -> None:
        super().__init__(name=name, dtype=dtype)
        self.from_logits = bool(from_logits)
        self.kept: KeptRows = KeptRows(4)

    def update_state(
        self, y_true: Any, y_pred: Any, sample_weight: Any = None, group: Any = None
    ) -> None:
        """Adds a batch. For shapes, see the class."""
        rows = binary_rows(y_true, y_pred, sample_weight, self.from_logits)
        self.kept.add(*rows, one_per_row("group", group, rows[0].shape[0], "ids"))

    def by_group(self) -> GroupedAUC:
        """Returns the area and the weight of each group."""
        labels, predictions, weights, group = self.kept.columns()
        return auc_by_group(labels, predictions, as_names(group), sample_weight=weights)

    def result(self) -> tf.Tensor:
        """Returns the mean area, a scalar of the metric's dtype."""
        return tf.cast(self.kept.computed(self._mean), self.dtype)

    def _mean(self) -> float:
        found = self.by_group()
        if np.isnan(found.weight).any():
            return float("nan")
        return 0.5 if np.isnan(found.mean) else found.mean

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return {**super().get_config(), "from_logits": self.from_logits}
