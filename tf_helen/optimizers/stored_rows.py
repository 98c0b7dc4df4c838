"""What can be asked of an optimizer about the rows and records it stores."""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf

from tf_helen import replicas, tables
from tf_helen.optimizers.history import RowHistory, ordered
from tf_helen.optimizers.slots import HISTORY, fill
from tf_helen.optimizers.step import compute_dtype
from tf_helen.rows import RowBlock, read_rows

Written = tuple[tf.Variable, tf.Tensor, tf.Tensor]


class StoredRows:
    """Mixin: records per row, rows as the forward pass reads them, and their reset."""

    def ask_history(self, *names: str) -> None:
        """Has columns of `RowHistory` kept for somebody else; to be called before `build`."""
        missing = set(names) - set(self.history_columns())
        if self.built and missing:
            raise ValueError(
                f"{type(self).__name__} has trained already and keeps no {sorted(missing)} of its "
                "rows. Wrap a new optimizer, or one made with `track_rows=True`."
            )
        self._asked_history.update(names)

    def history_columns(self) -> tuple[str, ...]:
        """The columns of the records that are kept, in order."""
        tracked = {"last_step", "count"} if self.track_rows else set()
        return ordered(self.history() | self._asked_history | tracked)

    def history_keeper(self, variable: keras.Variable) -> StoredRows | None:
        """The optimizer that keeps the records of a variable's rows, if one of ours does."""
        return self

    def stored_history(self, variable: keras.Variable, ids: tf.Tensor | None) -> RowHistory:
        """The records of some rows of a variable, on this replica."""
        record = read_rows(replicas.local(self.slots_of(variable)[HISTORY]), ids)
        return RowHistory(self.history_columns(), record)

    def row_history(self, variable: keras.Variable) -> dict[str, np.ndarray]:
        """What is known of each row's occurrences: for eviction, or to look at.

        Args:
            variable: an embedding table that this optimizer trains.

        Returns:
            `count`, uint32 `[rows]`: occurrences so far; `last_step`, uint32 `[rows]`: the last
            step whose gradient was not zero, 0 for none; `idle`, int64 `[rows]`: steps since; as
            far as they are kept (`track_rows=True` keeps all three).

        Raises:
            ValueError: if no records are kept.

        Example:
            >>> table = keras.Variable(np.ones((3, 2)))
            >>> optimizer = tf_helen.SGD(track_rows=True)
            >>> gradient = tf.IndexedSlices(tf.ones([2, 2]), tf.constant([1, 1]))
            >>> for _ in range(2):
            ...     optimizer.apply([gradient], [table])
            >>> history = optimizer.row_history(table)
            >>> history["count"].tolist(), history["idle"].tolist()
            ([0, 4, 0], [2, 0, 2])
        """
        keeper = self.history_keeper(variable)
        if keeper is None or not keeper.history_columns():
            raise ValueError(
                f"{type(self).__name__} keeps no records of rows. Construct it with "
                "`track_rows=True`."
            )
        stored = replicas.copies(keeper.slots_of(variable)[HISTORY])[0].numpy()
        columns = dict(zip(keeper.history_columns(), stored.T, strict=True))
        found = {name: columns[name] for name in ("count", "last_step") if name in columns}
        if "last_step" in found:
            done = keeper.table_steps_done(variable)
            found["idle"] = done - found["last_step"].astype(np.int64)
        return found

    def steps_done(self) -> int:
        """How many steps were taken, for code outside of a step."""
        return int(replicas.copies(self.iterations)[0].numpy())

    def table_steps_done(self, variable: keras.Variable) -> int:
        """How many steps were taken that train a variable."""
        return self.steps_done()

    def rows_as_read(self, variable: keras.Variable, ids: tf.Tensor | None) -> tf.Tensor:
        """The rows of a variable as a forward pass reads them now, in the dtype of rules."""
        rows = read_rows(replicas.local(variable), ids)
        return tf.cast(rows, compute_dtype(variable))

    def bring_up_to_date(self, block: RowBlock, variable: keras.Variable) -> list[Written]:
        """Writes what the named rows still owe: then what is stored is what is read.

        Returns:
            What was overwritten: (variable, ids, former values).
        """
        return []

    def reset_slots(self, variable: keras.Variable) -> None:
        """Forgets the moments of a variable whose rows were drawn anew (`callbacks.MEDA`).

        The rows count as up to date and seen at this step; how often they occurred is kept.
        """
        slots = self.slots_of(variable)
        for name, initial in {**self.slots(), **self.row_slots()}.items():
            fill(slots[name], initial)
        if HISTORY not in slots:
            return
        done = self.table_steps_done(variable)
        for copy in replicas.copies(slots[HISTORY]):
            history = RowHistory(self.history_columns(), copy.read_value())
            copy.assign(history.replace(last_step=done, decayed_to=done, recent_count=0).record)

    def save_own_variables(self, store) -> None:
        self._settle_our_tables()
        super().save_own_variables(store)

    def _settle_our_tables(self) -> None:
        """Our layers save their tables up to date, so the counters must be saved so too."""
        if self.built:
            ours = [v for v in self._trainable_variables if tables.of(v) is not None]
            self.finalize_variable_values(ours)
