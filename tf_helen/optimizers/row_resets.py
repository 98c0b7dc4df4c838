"""Rows whose slots and records begin anew."""

from __future__ import annotations

from collections.abc import Sequence

import keras
import tensorflow as tf

from tf_helen import keras_access
from tf_helen.core import row_reuse
from tf_helen.core.mixins import OptimizerMixin
from tf_helen.optimizers.slots import reset_slots, restart_rows


class ResetsRows(OptimizerMixin):
    """Mixin of `RowSparseOptimizer`: the rows of a table that others set, or give to other ids."""

    owns_rows: bool

    def note_reuse(self, variables: Sequence[keras.Variable]) -> None:
        """Registers with the tables whose rows are given to other ids."""
        if self.owns_rows:
            row_reuse.note(self, variables)

    def reset_slots(self, variable: keras.Variable, ids: tf.Tensor | None = None) -> None:
        """Resets the moments of rows that were set from outside (`None`: all); counts are kept."""
        reset_slots(self, variable, ids)

    def restart_rows(self, variable: keras.Variable, ids: tf.Tensor) -> None:
        """Gives rows the slots and records of new rows, within a step of this replica.

        `tf_helen.layers.DynamicEmbedding` calls it for rows that it gives to other ids.

        Args:
            variable: Keras variable of a table.
            ids: int `[n]`, distinct rows of the variable.
        """
        if keras_access.is_known(self, variable):
            restart_rows(self, variable, ids)
