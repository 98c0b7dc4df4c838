"""Loads the state of a `DynamicEmbedding` with other capacities than those of a file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import tensorflow as tf

from tf_helen.core import row_reuse
from tf_helen.core.capacities import check_fit, moved, resized_sketch
from tf_helen.core.table_group import TableGroup, joined
from tf_helen.core.whole_state import WholeVariable


class ChangedCapacities:
    """The variables of a model that depend on capacities which a file has others of.

    Args:
        variables: dict from name to `WholeVariable` of a model and its optimizer.
        keys: dict from name to the keys of the variable in the file, one per shard.
        reader: reader of the checkpoint.

    Attributes:
        names: set of strings, the names of these variables.

    Raises:
        ValueError: if the ids of the file do not fit the capacities.
    """

    def __init__(
        self,
        variables: Mapping[str, WholeVariable],
        keys: Mapping[str, Sequence[str]],
        reader: tf.compat.v1.train.NewCheckpointReader,
    ):
        self._wholes, self._keys, self._reader = variables, keys, reader
        places = {name: row_reuse.place_of(each.parts[0]) for name, each in variables.items()}
        self._places = {name: place for name, place in places.items() if place is not None}
        self._before: dict[int, np.ndarray] = {}
        for name, (group, kind) in self._places.items():
            if kind == "capacities" and name in keys:
                self._before[id(group)] = self._read(name)
        for name, (group, kind) in self._places.items():
            if kind == "used" and id(group) in self._before and name in keys:
                check_fit(self._before[id(group)], _sizes(group), self._read(name), name)
        self.names = {
            name
            for name, (group, kind) in self._places.items()
            if kind in ("row", "sketch", "capacities")
            and name in keys
            and id(group) in self._before
            and not np.array_equal(self._before[id(group)], _sizes(group))
        }

    def assign(self, name: str) -> None:
        """Sets a variable of `names` to its value in the file, at the places of its rows."""
        group, kind = self._places[name]
        variable, now = self._wholes[name], _sizes(group)
        if kind == "capacities":
            variable.assign(now)
        elif kind == "sketch":
            variable.assign(resized_sketch(self._read(name), variable.shape[0]))
        else:
            before = self._before[id(group)]
            variable.assign(moved(self._read(name), before, variable.numpy(), now))

    def _read(self, name: str) -> np.ndarray:
        return joined([self._reader.get_tensor(key) for key in self._keys[name]])


def _sizes(group: TableGroup) -> np.ndarray:
    return np.diff(group.offsets) - 1
