"""An embedding table whose rows are given to ids when they occur."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tf_helen import keras_access
from tf_helen.core import checks, replicas, row_reuse
from tf_helen.core.rows import write_rows
from tf_helen.core.whole_state import read_whole
from tf_helen.layers import id_files
from tf_helen.layers.admission import Admission, checked_admission
from tf_helen.layers.embedding import Embedding
from tf_helen.layers.eviction import Eviction, checked_eviction
from tf_helen.layers.field_arguments import checked_capacity
from tf_helen.layers.field_columns import FieldColumns
from tf_helen.layers.fresh_rows import check_initializer, fresh_rows
from tf_helen.layers.id_rows import BY_ROW, IdRows, state_by_field
from tf_helen.layers.ids import check_raw_dtype
from tf_helen.layers.mean_rows import MeanRows


@keras.saving.register_keras_serializable(package="tf_helen")
class DynamicEmbedding(Embedding):
    """Looks up raw ids in a table of fixed capacity, and gives rows to new ids.

    There is no vocabulary. In training, an id without a row gets one when it is admitted; if its
    field is full, it gets that of another id, which is evicted: the row begins anew, as do its
    slots and records in the optimizer. Ids without a row share the first row of their field, the
    default row, which is trained with their gradients, like the row of unseen ids of a vocabulary.
    Otherwise, and if the layer is frozen, no id is admitted. The rows are an ordinary table, so
    every optimizer of this package trains them, and a step costs as much as the rows of the batch.

    Ids are found in hash tables of TensorFlow, by their exact values. Rows of the current step are
    never taken: if a batch has more new ids than there are such rows, the others read the default
    row and are counted as refused.

    Args:
        capacity: dict from field to its number of ids, each field with its own ids; a list of
            numbers; or one number, for inputs of any shape. The default row comes in addition.
        output_dim: int, width d of a row.
        id_dtype: "int64" or "string", dtype of the ids. Defaults to "int64".
        admission: `tf_helen.layers.Admission`, which ids get a row. Defaults to `None`: all.
        eviction: `tf_helen.layers.Eviction` or one of its policies "age", "count" and "l2", which
            ids lose their rows when a field is full; `None`: no id, new ids are refused. Evictions
            need an optimizer of this package, and an initializer whose entries do not depend on
            each other. Defaults to "age".
        embeddings_initializer: Keras initializer of the rows. Defaults to "uniform".
        new_rows: "initializer", or "mean": a row begins at the mean row of its field, a moving
            average over drawn rows. Defaults to "initializer".
        seed: int, seed of random admissions, samples and new rows. Defaults to 0.
        lengths, pooling, shared, embeddings_constraint, l2, shards: see
            `tf_helen.layers.Embedding`. In multi-valued fields, -1 and "" are padding, and negative
            ids too.
        **kwargs: Keras's layer arguments.

    Attributes:
        embeddings: the table `[rows, output_dim]`, see `tf_helen.layers.Embedding`. The rows of
            field j start at `offsets[j]` with its default row.
        capacity: dict from field to its capacity.

    Input shape:
        int64 or strings `[batch, sum of lengths]`; any shape if `capacity` is one number. Symbolic
        inputs need `keras.Input(..., dtype="int64")` or "string".

    Output shape:
        As `tf_helen.layers.Embedding`.

    Call arguments:
        inputs: the ids.
        training: boolean, whether ids may be admitted. Defaults to `False`.
        pool: see `tf_helen.layers.Embedding`. Defaults to `True`.
        times: integers `[batch]`, time of each example in any unit; needed by
            `Eviction(unit="time")`. The clock is the largest time so far. Defaults to `None`.

    Raises:
        ValueError: on an argument out of range, and on an initializer whose rows cannot be drawn
            again.
        TypeError: when called with ids of another dtype; when an optimizer of Keras trains a table
            with evictions.

    Example:
        >>> inputs = keras.Input((2,), dtype="int64")
        >>> layer = tf_helen.layers.DynamicEmbedding({"user": 100, "item": 50}, 4)
        >>> x = keras.layers.Flatten()(layer(inputs))
        >>> model = tf_helen.Model(inputs, keras.layers.Dense(1)(x))
        >>> model.compile(tf_helen.Adam(), "mse")
        >>> ids = np.array([[2**60, -7], [2**60, 12]])
        >>> _ = model.fit(ids, np.array([[1.0], [0.0]]), shuffle=False, verbose=0)
        >>> layer.rows_of("item", [-7, 12, 13]).tolist()
        [1, 2, 0]
    """

    def __init__(
        self,
        capacity: Mapping[str, int] | Sequence[int] | int,
        output_dim: int,
        *,
        id_dtype: str = "int64",
        admission: Admission | Mapping[str, Any] | None = None,
        eviction: Eviction | Mapping[str, Any] | str | None = "age",
        lengths: Mapping[str, int] | None = None,
        pooling: str | Mapping[str, str] = "mean",
        shared: Mapping[str, str] | None = None,
        embeddings_initializer: Any = "uniform",
        embeddings_constraint: Any = None,
        l2: float = 0.0,
        new_rows: str = "initializer",
        seed: int = 0,
        shards: int | str = 1,
        **kwargs: Any,
    ):
        numbers = checked_capacity(capacity)
        sizes = {name: number + 1 for name, number in numbers.items()}
        super().__init__(
            sizes["ids"] if isinstance(capacity, (int, np.integer)) else sizes,
            output_dim,
            lengths=lengths,
            pooling=pooling,
            shared=shared,
            embeddings_initializer=embeddings_initializer,
            embeddings_constraint=embeddings_constraint,
            l2=l2,
            shards=shards,
            **kwargs,
        )
        self.capacity = numbers
        self.id_dtype = checks.one_of("id_dtype", id_dtype, ("int64", "string"))
        self.admission = checked_admission(admission)
        self.eviction = checked_eviction(eviction)
        self.new_rows = checks.one_of("new_rows", new_rows, ("initializer", "mean"))
        self.seed = checks.whole_number("seed", seed, 0)
        if self.eviction is not None:
            check_initializer(self.embeddings_initializer, f"DynamicEmbedding {self.name!r}")
        owners = list(self._group.fields)
        owner = [owners.index(self.shared.get(field, field)) for field in self.fields]
        self._columns = FieldColumns(owner, list(self.lengths.values()))

    def build(self, input_shape=None):
        super().build(input_shape)
        self._ids = IdRows(
            self._add_record,
            self._group,
            tf.as_dtype(self.id_dtype),
            self.admission,
            self.eviction,
            self.seed,
        )
        if self.eviction is not None and replicas.is_asynchronous() and self.eviction.min_age == 1:
            raise ValueError(
                f"DynamicEmbedding {self.name!r} may not evict rows that other workers are "
                "training. Received: min_age=1 with parameter servers. Use `Eviction(min_age=...)` "
                "above the number of steps that all workers finish while one of them takes one, "
                "such as 10 per worker."
            )
        self._mean = None
        if self.new_rows == "mean":
            shape = (len(self._group.fields), self.output_dim)
            self._ids.saved["mean"] = self._add_record("mean", shape, "float32")
            self._mean = MeanRows(self._ids.saved["mean"], self._write)
        # An attribute, for the tracking of an exported model.
        self._index = self._ids.index
        self._reuse = row_reuse.RowReuse(self._ids.clock, self.eviction is not None, self.name)
        self._group.reuse = self._reuse

    def _add_record(
        self, name: str, shape: Sequence[int], dtype: str, initial: Any = None
    ) -> keras.Variable:
        initial = ("" if dtype == "string" else 0) if initial is None else initial
        variable = self.add_weight(
            shape=shape,
            initializer=lambda shape, dtype: tf.broadcast_to(tf.constant(initial, dtype), shape),
            dtype=dtype,
            trainable=False,
            autocast=False,
            name=name,
        )
        # An attribute, for the tracking of a `tf.train.Checkpoint`.
        setattr(self, f"_record_{name}", variable)
        kind = "row" if name in BY_ROW else name
        row_reuse.note_record(variable, self._group, kind)
        return variable

    # Lookups.

    def __call__(self, inputs, *args, **kwargs):
        if isinstance(inputs, (list, tuple, np.ndarray)):
            inputs = np.asarray(inputs)
            self._check_dtype(inputs.dtype)
            inputs = tf.constant(inputs)
        return super().__call__(inputs, *args, **kwargs)

    def call(self, inputs, training=False, pool=True, times=None):
        if self.lookup is not None:
            return self.lookup(inputs, pool)
        ids = self._as_ids(inputs)
        columns = tf.reshape(ids, [-1, sum(self.lengths.values())])
        rows = self._admitted(columns, times) if self._admits(training) else self._found(columns)
        shape = tf.concat([tf.shape(ids), [1]], 0) if self.single else tf.shape(ids)
        return self._looked_up(inputs, tf.reshape(rows, shape), training, pool)

    def _admits(self, training: bool | None) -> bool:
        # The second pass of a sharpness-aware optimizer finds what the first has admitted.
        return bool(training) and self.trainable and not keras_access.changes_no_state()

    def _found(self, columns: tf.Tensor) -> tf.Tensor:
        """Returns the row of each id within its field, and -1 for padding, int64 `[n, columns]`."""
        if keras_access.only_infers_shapes():
            return tf.zeros_like(columns, tf.int64)
        if self._group.members[0].reads_plainly:  # an export, which has the index only
            with tf.init_scope():
                self._ids.synchronize()
        else:
            self._ids.synchronize()
        found = self._ids.find(self._columns.by_field(columns))
        return self._columns.by_column(found, self._columns.present(columns))

    def _admitted(self, columns: tf.Tensor, times: Any) -> tf.Tensor:
        time = self._time(times)
        everywhere = columns
        if replicas.count() > 1:
            # Every replica gives the same rows to the ids of all of them.
            everywhere = tf.distribute.get_replica_context().all_gather(columns, axis=0)
            time = None if time is None else replicas.all_reduce_max(time)

        def admit():
            self._ids.synchronize()
            return self._ids.admit(
                self._columns.by_field(everywhere),
                self._columns.by_field(self._columns.present(everywhere)),
                time,
                lambda rows: self._group.lookup(rows, self._read_shard),
                self._restart if self._can_evict() else None,
                self._mean,
            )

        found = self._ids.index.alone(admit)
        if replicas.count() > 1:
            found = self._ids.find(self._columns.by_field(columns))
        return self._columns.by_column(found, self._columns.present(columns))

    def _can_evict(self) -> bool:
        # Without an optimizer, it is not known which slots belong to a row.
        return self.eviction is not None and self._reuse.can_restart

    def _time(self, times: Any) -> tf.Tensor | None:
        if self.eviction is None or not self.eviction.uses_time:
            return None
        if times is None:
            raise ValueError(
                f"DynamicEmbedding {self.name!r} evicts by time and needs the time of each example."
                " Received: times=None. Call it with `times=`, or use `Eviction(unit='steps')`."
            )
        times = tf.convert_to_tensor(times)
        if not times.dtype.is_integer:
            raise TypeError(
                f"`times` of DynamicEmbedding {self.name!r} must be integers. Received the dtype "
                f"{times.dtype.name}."
            )
        return tf.reduce_max(tf.cast(times, tf.int64))

    def _restart(self, rows: tf.Tensor, seed: tf.Tensor) -> None:
        """Gives rows new initial values, slots and records."""
        shape = (tf.size(rows), self.output_dim)
        values = fresh_rows(self.embeddings_initializer, shape, self.variable_dtype, seed)
        self._write(rows, values)

    def _write(self, rows: tf.Tensor, values: tf.Tensor) -> None:
        """Writes the first values of rows, and gives them new slots and records."""

        def write(rank: int, local: tf.Tensor, values: tf.Tensor) -> None:
            variable, table = self._shards[rank], self._group.members[rank]
            write_rows(replicas.local(variable), local, values)
            self._reuse.restart(variable, local)
            if table.kept is not None:
                write_rows(replicas.local(table.kept), local, tf.ones(tf.shape(local)))

        self._group.send(rows, values, write)

    # Checks.

    def _check_dtype(self, dtype: Any) -> None:
        check_raw_dtype(dtype, self.id_dtype, f"DynamicEmbedding {self.name!r}")

    def _as_ids(self, inputs: Any) -> tf.Tensor:
        if isinstance(inputs, tf.RaggedTensor | tf.SparseTensor):
            return super()._as_ids(inputs)  # raises an error
        ids = tf.convert_to_tensor(inputs)
        self._check_dtype(ids.dtype)
        if self.id_dtype == "string":
            return ids if ids.dtype == tf.string else tf.fill(tf.shape(ids), "")
        return tf.cast(ids, tf.int64)

    # The ids.

    @property
    def index(self) -> tf.Module:
        """The hash tables from ids to rows, which an exported function needs."""
        return self._index

    def rows_of(self, field: str, ids: Any) -> np.ndarray:
        """Returns the rows of ids, without admitting any.

        Args:
            field: string, name of the field; "ids" if `capacity` is one number.
            ids: array of ids.

        Returns:
            int64 `[n]`, row within the field; 0, the default row, for ids without a row.

        Raises:
            ValueError: on an unknown field, or if the layer is not built.
        """
        owner = self.shared.get(field, field)
        if not self.built or owner not in self._group.fields:
            raise ValueError(
                f"DynamicEmbedding {self.name!r} must be built, and have the field. Received: "
                f"field={field!r}; fields: {', '.join(self.fields)}, built: {self.built}."
            )
        self._ids.synchronize()
        given = tf.constant(np.asarray(ids), tf.as_dtype(self.id_dtype))
        return self._ids.index.find(self._group.fields.index(owner), given).numpy()

    def row(self, field: str, row: int) -> np.ndarray:
        """Returns a row of a field, `[output_dim]`; row 0 is its default row."""
        first = self._group.offsets[self._group.fields.index(self.shared.get(field, field))]
        for table in self._group.members:
            table.settle()
        return read_whole(self.embeddings, tf.constant([first + row])).numpy()[0]

    def table_state(self) -> dict[str, dict[str, Any]]:
        """Returns which ids have rows, and their records.

        Returns:
            Dict from field with own rows to a dict: `capacity`, int; `row`, int64 `[n]`, the rows
            with an id, within the field; `id`, `[n]`; `count`, int64 `[n]`, occurrences since the
            id was admitted; `last_step`, int64 `[n]`, number of the table's updates at its last
            occurrence; `age`, int64 `[n]`, the updates since; `last_time`, int64 `[n]`, with
            times only; `admitted`, `evicted`, `refused`, ints, numbers of ids so far. An id that
            is refused in several batches counts in each.

        Raises:
            ValueError: if the layer is not built.
        """
        if not self.built:
            raise ValueError(f"DynamicEmbedding {self.name!r} is not built. Call it first.")
        return state_by_field(self._ids, self._group)

    def compute_output_spec(self, inputs, training=False, pool=True, times=None):
        return super().compute_output_spec(inputs, training, pool)

    # Files.

    def save_own_variables(self, store):
        for table in self._group.members:
            table.settle()
        id_files.save(store, self.embeddings.numpy(), self._ids)

    def load_own_variables(self, store):
        if not self.built:
            super().load_own_variables(store)  # raises Keras's error
        what = f"DynamicEmbedding {self.name!r}"
        self._reuse.loaded = id_files.load(store, self.embeddings, self._ids, what)

    def get_config(self):
        config = super().get_config()
        for name in ("fields", "takes_floats"):
            config.pop(name)
        return {
            **config,
            "capacity": self.capacity["ids"] if self.single else dict(self.capacity),
            "id_dtype": self.id_dtype,
            "admission": dataclasses.asdict(self.admission),
            "eviction": None if self.eviction is None else dataclasses.asdict(self.eviction),
            "new_rows": self.new_rows,
            "seed": self.seed,
        }

    @classmethod
    def from_config(cls, config):
        return cls(**config)
