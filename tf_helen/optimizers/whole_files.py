"""The state of an optimizer in files, which contain whole tables."""

from __future__ import annotations

import warnings
from typing import Any

import keras
import numpy as np

from tf_helen import keras_access
from tf_helen.core import row_reuse, tables
from tf_helen.core.capacities import moved, offsets_of
from tf_helen.core.mixins import OptimizerMixin
from tf_helen.core.whole_state import WholeVariable, whole_variables


class SavesWholeTables(OptimizerMixin):
    """Mixin before an optimizer class of Keras: its files do not depend on the shards of tables.

    The variables have the order of `variables`, with the slots of all shards of a table as one.
    """

    absent_rows: Any

    def saved_variables(self) -> list[keras.Variable]:
        """Returns the variables that this optimizer saves."""
        return self.variables

    def save_own_variables(self, store: Any) -> None:
        self._settle_known_tables()
        for i, variable in enumerate(whole_variables(self.saved_variables())):
            store[str(i)] = variable.numpy()

    def load_own_variables(self, store: Any) -> None:
        found = whole_variables(self.saved_variables())
        if len(store.keys()) != len(found):
            # As in Keras: a file may contain an optimizer that was not built.
            warnings.warn(
                f"Skipping the state of {self.name!r}: it has {len(found)} variables, "
                f"the file {len(store.keys())}.",
                stacklevel=2,
            )
            return
        for i, variable in enumerate(found):
            variable.assign(_fitting(np.asarray(store[str(i)]), variable))

    def _settle_known_tables(self) -> None:
        """Applies the pending decay, because layers also save their tables up to date."""
        if self.built:
            variables = keras_access.trained_variables(self)
            self.absent_rows.finalize([v for v in variables if tables.of(v) is not None])


def _fitting(value: np.ndarray, variable: WholeVariable) -> np.ndarray:
    """Returns a value of a file, with the rows at the places of the capacities of the table."""
    place = row_reuse.place_of(variable.parts[0])
    if place is None or place[1] != "row" or value.shape == variable.shape:
        return value
    group = place[0]
    before = None if group.reuse is None else group.reuse.loaded
    if before is None or offsets_of(before)[-1] != len(value):
        return value  # of another shape, which raises an error
    return moved(value, before, variable.numpy(), np.diff(group.offsets) - 1)
