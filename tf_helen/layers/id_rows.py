"""The ids of the rows of a `DynamicEmbedding`: finds, admits and evicts them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tf_helen.core import replicas
from tf_helen.core.rows import write_rows
from tf_helen.core.table_group import TableGroup
from tf_helen.layers.admission import Admission, Sketch, admits
from tf_helen.layers.eviction import Eviction
from tf_helen.layers.fingerprints import checksum, fingerprints
from tf_helen.layers.id_index import IdIndex
from tf_helen.layers.mean_rows import MeanRows
from tf_helen.layers.victims import FREE, expired_rows, victims_of

BY_ROW = ("ids", "last_step", "count", "last_time")
TALLIES = ("admitted", "evicted", "refused")


class IdRows:
    """The ids of the rows of a table, in variables of its layer, and the steps that change them.

    Row 0 of each field is its default row, which ids without a row of their own share. The other
    rows are given to ids in order, and then, when the field is full, taken from other ids.

    Args:
        add_variable: function of a name, shape, dtype and initial value that creates a variable.
        group: `TableGroup` of the table, whose field sizes include the default rows.
        dtype: `tf.int64` or `tf.string`, dtype of the ids.
        admission: `Admission`.
        eviction: `Eviction` or `None`.
        seed: int.

    Attributes:
        sizes: int64 `[fields]`, NumPy array, the capacities.
        clock: int64 scalar variable, number of updates of the table.
        ids: variable `[rows]`, the id of each row.
        last_step: int64 `[rows]`, the clock at the last occurrence; -1: the row has no id.
        count: int64 `[rows]`, occurrences since the id was admitted.
        last_time: int64 `[rows]`, time of the last occurrence; `None` without times.
        capacities: int64 `[fields]`; a checkpoint must have been written with the same ones.
        used: int64 `[fields]`, number of rows of each field that have been given to an id so far.
        tallies: int64 `[3, fields]`, numbers of admitted, evicted and refused ids.
        saved: dict from name to variable, the variables that files contain.
    """

    def __init__(
        self,
        add_variable: Callable[..., keras.Variable],
        group: TableGroup,
        dtype: tf.DType,
        admission: Admission,
        eviction: Eviction | None,
        seed: int,
    ):
        fields, rows = len(group.fields), group.rows
        self.sizes = np.diff(group.offsets) - 1  # without the default rows
        self._group, self._admission, self._eviction = group, admission, eviction
        self._seed = seed
        self.clock = add_variable("clock", (), "int64")
        self.ids = add_variable("ids", (rows,), dtype.name)
        self.last_step = add_variable("last_step", (rows,), "int64", FREE)
        self.count = add_variable("count", (rows,), "int64")
        self.last_time, self._now = None, None
        if eviction is not None and eviction.uses_time:
            self.last_time = add_variable("last_time", (rows,), "int64")
            self._now = add_variable("now", (), "int64")
        self.used = add_variable("used", (fields,), "int64")
        self.tallies = add_variable("tallies", (len(TALLIES), fields), "int64")
        self.capacities = add_variable("capacities", (fields,), "int64", self.sizes)
        self._rounds = add_variable("rounds", (), "int64")
        self._checksum = add_variable("checksum", (), "int64")
        self._sketch, counters, total = None, None, None
        if admission.counts:
            counters = add_variable("sketch", (Sketch.size(admission, rows),), "uint8")
            total = add_variable("sketch_total", (), "int64")
            self._sketch = Sketch(counters, total)
        self.saved = {
            name: variable
            for name, variable in {
                "clock": self.clock,
                "ids": self.ids,
                "last_step": self.last_step,
                "count": self.count,
                "last_time": self.last_time,
                "now": self._now,
                "used": self.used,
                "tallies": self.tallies,
                "capacities": self.capacities,
                "rounds": self._rounds,
                "checksum": self._checksum,
                "sketch": counters,
                "sketch_total": total,
            }.items()
            if variable is not None
        }
        self.index = IdIndex(dtype, fields, self._checksum)

    # Lookups.

    def find(self, ids: Sequence[tf.Tensor]) -> list[tf.Tensor]:
        """Returns the row of each id within its field; 0: the default row.

        Args:
            ids: sequence of `[n]`, one per field.

        Returns:
            List of int64 `[n]`.
        """
        return [self.index.find(field, each) for field, each in enumerate(ids)]

    def synchronize(self) -> None:
        """Makes the index again if the variables were loaded since."""
        tf.cond(self.index.is_stale, self._rebuild, lambda: tf.constant(False))

    def _rebuild(self) -> tf.Tensor:
        capacities = replicas.local(self.capacities).read_value()
        message = (
            f"The ids of {self.ids.path} were loaded from a checkpoint with other capacities. Use "
            "the same capacities, or load a .keras or .weights.h5 file or a state of ExactResume."
        )
        tf.debugging.Assert(tf.reduce_all(tf.equal(capacities, self.sizes)), [message])
        ids, last_step = (replicas.local(v).read_value() for v in (self.ids, self.last_step))
        for field, start in enumerate(self._group.offsets[:-1]):
            rows = tf.range(1, self.sizes[field] + 1, dtype=tf.int64)
            rows = tf.boolean_mask(rows, tf.gather(last_step, start + rows) != FREE)
            self.index.replace(field, tf.gather(ids, start + rows), rows)
        self.index.note_current()
        return tf.constant(True)

    # Steps.

    def admit(
        self,
        ids: Sequence[tf.Tensor],
        present: Sequence[tf.Tensor],
        time: tf.Tensor | None,
        read: Callable[[tf.Tensor], tf.Tensor],
        restart: Callable[[tf.Tensor, tf.Tensor], None] | None,
        mean: MeanRows | None = None,
    ) -> list[tf.Tensor]:
        """Finds the rows of a batch, after giving rows to new ids.

        Args:
            ids: sequence of `[n]`, one per field; the same on every replica.
            present: sequence of bool `[n]`; other ids are padding.
            time: int64 scalar, or `None`.
            read: function from rows of the table to their values, `[k, dim]`.
            restart: function of rows that are given to other ids and a seed, int64 `[2]`, which
                gives them initial values; `None`: no row can be taken from an id.
            mean: `MeanRows` at which new rows begin. Defaults to `None`: at initial values.

        Returns:
            List of int64 `[n]`, row of each id within its field; 0: the default row.
        """
        if self._now is not None:
            now = replicas.local(self._now)
            now.assign(tf.maximum(now.read_value(), time), read_value=False)
        by_field = self.find(ids)
        sizes = [tf.size(each) for each in by_field]
        rows = tf.concat(by_field, 0)
        here = tf.concat(present, 0)
        fields = tf.repeat(tf.range(len(ids)), tf.stack(sizes))
        known = tf.where(here & (rows > 0))[:, 0]
        known_rows = tf.gather(self.whole(rows, fields), known)
        self._touch(known_rows)
        counted = replicas.local(self.count)
        tf.raw_ops.ResourceScatterAdd(
            resource=counted.handle, indices=known_rows, updates=tf.ones_like(known_rows)
        )
        if self._eviction is not None and self._eviction.expire_after is not None:
            self._expire(self._next_seed())
        is_new = here & tf.equal(rows, 0)

        def admitted():
            new = tf.boolean_mask(tf.concat(ids, 0), is_new)
            number = _per_field(tf.boolean_mask(fields, is_new), len(ids))
            unique = [tf.unique_with_counts(each) for each in tf.split(new, number, num=len(ids))]
            given = self._give(
                [u.y for u in unique], [u.count for u in unique], read, restart, mean
            )
            values = [tf.gather(g, u.idx) for g, u in zip(given, unique, strict=True)]
            return tf.tensor_scatter_nd_update(rows, tf.where(is_new), tf.concat(values, 0))

        rows = tf.cond(tf.reduce_any(is_new), admitted, lambda: tf.identity(rows))
        return tf.split(rows, tf.stack(sizes), num=len(ids))

    def whole(self, rows: tf.Tensor, fields: tf.Tensor) -> tf.Tensor:
        """Returns the rows of the whole table of rows of fields."""
        return rows + tf.gather(tf.constant(self._group.offsets[:-1]), fields)

    def field_of(self, rows: tf.Tensor) -> tf.Tensor:
        """Returns the field of rows of the whole table, int32 `[n]`."""
        return self._group.field_of_rows(rows)

    def ages(self, rows: tf.Tensor) -> tf.Tensor:
        """Returns the steps or time since the last occurrence of rows, int64 `[n]`."""
        records, clock = self.last_step, self.clock
        if self.last_time is not None and self._now is not None:
            records, clock = self.last_time, self._now
        return replicas.local(clock).read_value() - replicas.local(records).sparse_read(rows)

    def _touch(self, rows: tf.Tensor) -> None:
        """Notes that rows occur now; they may be repeated."""
        for records, clock in ((self.last_step, self.clock), (self.last_time, self._now)):
            if records is not None and clock is not None:
                now = tf.fill(tf.shape(rows), replicas.local(clock).read_value())
                write_rows(replicas.local(records), rows, now)

    def _give(
        self,
        ids: Sequence[tf.Tensor],
        counts: Sequence[tf.Tensor],
        read: Callable[[tf.Tensor], tf.Tensor],
        restart: Callable[[tf.Tensor, tf.Tensor], None] | None,
        mean: MeanRows | None,
    ) -> list[tf.Tensor]:
        """Gives rows to new ids.

        Args:
            ids: sequence of `[m]`, distinct ids without a row, one per field.
            counts: sequence of int32 `[m]`, occurrences of each id in the batch.
            read, restart, mean: see `admit`.

        Returns:
            List of int64 `[m]`, row of each id within its field; 0: it has no row.
        """
        sizes, number = tf.stack([tf.size(each) for each in ids]), len(ids)
        all_ids, all_counts = tf.concat(ids, 0), tf.concat(counts, 0)
        fields = tf.repeat(tf.range(number), sizes)
        words = fingerprints(all_ids, fields)
        seed = self._next_seed()
        wanted = admits(self._admission, self._sketch, words, all_counts, seed)
        if mean is not None:  # of the rows that had ids before
            mean.update(self.sample(mean.drawn, _after(seed, 3)), read)
        # The rank of each admitted id among those of its field.
        ones = tf.cast(wanted, tf.int32)
        per_field = tf.math.unsorted_segment_sum(ones, fields, number)
        before = tf.gather(tf.cumsum(per_field, exclusive=True), fields)
        rank = tf.cumsum(ones) - 1 - before
        used = replicas.local(self.used).read_value()
        unused = tf.cast(tf.constant(self.sizes) - used, tf.int32)
        is_first = wanted & (rank < tf.gather(unused, fields))
        rows = tf.where(is_first, tf.gather(used, fields) + tf.cast(rank, tf.int64) + 1, 0)
        taken = tf.minimum(per_field, unused)
        replicas.local(self.used).assign_add(tf.cast(taken, tf.int64), read_value=False)
        evicted = tf.zeros([number], tf.int64)
        if restart is not None:

            def take():
                needed = per_field - taken
                victims, chosen = victims_of(
                    self, self._eviction, needed, used, _after(seed, 1), read
                )
                evicted = self._evict(victims)
                restart(victims, _after(seed, 2))
                return victims, chosen, evicted

            none = tf.zeros([0], tf.int64), tf.zeros_like(per_field), evicted
            is_full = tf.reduce_any(per_field > taken)
            victims, chosen, evicted = tf.cond(is_full, take, lambda: none)
            number_of = rank - tf.gather(unused, fields)  # among the ids that need a victim
            has_victim = wanted & ~is_first & (number_of < tf.gather(chosen, fields))
            place = tf.gather(tf.cumsum(chosen, exclusive=True), fields) + number_of
            place = tf.boolean_mask(place, has_victim)
            own = tf.gather(victims, place) - tf.gather(
                tf.constant(self._group.offsets[:-1]), tf.boolean_mask(fields, has_victim)
            )
            rows = tf.tensor_scatter_nd_update(rows, tf.where(has_victim), own)
        self._insert(all_ids, fields, words, rows, all_counts)
        if mean is not None:
            given = tf.boolean_mask(self.whole(rows, fields), rows > 0)
            mean.give(given, tf.boolean_mask(fields, rows > 0))
        given = tf.cast(rows > 0, tf.int64)
        admitted = tf.math.unsorted_segment_sum(given, fields, number)
        refused = tf.math.unsorted_segment_sum(1 - given, fields, number)
        tallies = replicas.local(self.tallies)
        tallies.assign_add(tf.stack([admitted, evicted, refused]), read_value=False)
        return tf.split(rows, sizes, num=number)

    def _next_seed(self) -> tf.Tensor:
        """Returns a seed that no step has used, int64 `[2]`."""
        rounds = replicas.local(self._rounds)
        rounds.assign_add(1, read_value=False)
        return tf.stack([tf.constant(self._seed, tf.int64), 4 * rounds.read_value()])

    def _insert(
        self,
        ids: tf.Tensor,
        fields: tf.Tensor,
        words: tf.Tensor,
        rows: tf.Tensor,
        counts: tf.Tensor,
    ) -> None:
        """Writes the ids of the rows that they are given, where `rows` is not 0."""
        has_row = tf.where(rows > 0)[:, 0]
        ids, fields, words, rows, counts = (
            tf.gather(each, has_row) for each in (ids, fields, words, rows, counts)
        )
        number, of_fields = _per_field(fields, len(self.sizes)), len(self.sizes)
        by_field = tf.split(ids, number, num=of_fields), tf.split(rows, number, num=of_fields)
        for field, (own_ids, own_rows) in enumerate(zip(*by_field, strict=True)):
            self.index.insert(field, own_ids, own_rows)
        whole = self.whole(rows, fields)
        write_rows(replicas.local(self.ids), whole, ids)
        write_rows(replicas.local(self.count), whole, tf.cast(counts, tf.int64))
        self._touch(whole)
        # Of rows within fields, so that it stays when the capacity changes.
        added = checksum(words, rows)
        replicas.local(self._checksum).assign_add(added, read_value=False)
        self.index.note_current()

    def sample(self, number: int, seed: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Draws rows with ids, with replacement.

        Args:
            number: int, rows per field.
            seed: int64 `[2]`.

        Returns:
            Rows of the table, int64 `[n]`, and their fields, int32 `[n]`; none of a field that has
            no ids.
        """
        used = replicas.local(self.used).read_value()
        fields = tf.repeat(tf.range(len(self.sizes)), tf.where(used > 0, number, 0))
        drawn = tf.random.stateless_uniform([tf.size(fields)], seed, 0, tf.int64.max, tf.int64)
        rows = self.whole(1 + drawn % tf.gather(used, fields), fields)
        has_id = replicas.local(self.last_step).sparse_read(rows) != FREE
        return tf.boolean_mask(rows, has_id), tf.boolean_mask(fields, has_id)

    # Evictions.

    def _expire(self, seed: tf.Tensor) -> None:
        """Takes drawn rows that were absent too long from their ids."""
        assert self._eviction is not None
        rows = expired_rows(self, self._eviction, seed)
        evicted = self._evict(rows)
        write_rows(replicas.local(self.last_step), rows, tf.fill(tf.shape(rows), np.int64(FREE)))
        zeros = tf.zeros_like(evicted)
        tallies = replicas.local(self.tallies)
        tallies.assign_add(tf.stack([zeros, evicted, zeros]), read_value=False)

    def _evict(self, rows: tf.Tensor) -> tf.Tensor:
        """Takes rows, in the order of fields, from their ids, if they have any.

        Returns the number of those of each field that had an id, int64 `[fields]`.
        """
        has_id = replicas.local(self.last_step).sparse_read(rows) != FREE
        rows = tf.boolean_mask(rows, has_id)
        ids = replicas.local(self.ids).sparse_read(rows)
        fields = self.field_of(rows)
        number = _per_field(fields, len(self.sizes))
        for field, own_ids in enumerate(tf.split(ids, number, num=len(self.sizes))):
            self.index.remove(field, own_ids)
        starts = tf.gather(tf.constant(self._group.offsets[:-1]), fields)
        removed = checksum(fingerprints(ids, fields), rows - starts)
        replicas.local(self._checksum).assign_sub(removed, read_value=False)
        return tf.cast(number, tf.int64)


def _per_field(fields: tf.Tensor, number: int) -> tf.Tensor:
    """Returns how often each field occurs in a vector, int32 `[number]`."""
    return tf.math.unsorted_segment_sum(tf.ones_like(fields), fields, number)


def _after(seed: tf.Tensor, place: int) -> tf.Tensor:
    """Returns another seed of the same step; `_give` leaves room for four."""
    return seed + tf.constant([0, place], tf.int64)


def state_by_field(rows: IdRows, group: TableGroup) -> dict[str, dict[str, Any]]:
    """Returns the records of the rows with ids, see `DynamicEmbedding.table_state`."""
    values = {name: replicas.copies(v)[0].numpy() for name, v in rows.saved.items()}
    found: dict[str, dict[str, Any]] = {}
    for i, field in enumerate(group.fields):
        start, end = group.offsets[i], group.offsets[i + 1]
        own = 1 + np.flatnonzero(values["last_step"][start + 1 : end] != FREE)
        by_row = {name: values[name][start + own] for name in BY_ROW if name in values}
        found[field] = {
            "capacity": int(end - start - 1),
            "row": own,
            "id": by_row.pop("ids"),
            **by_row,
            "age": values["clock"] - by_row["last_step"],
            **{name: int(values["tallies"][k, i]) for k, name in enumerate(TALLIES)},
        }
    return found
