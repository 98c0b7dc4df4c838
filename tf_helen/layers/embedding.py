"""One embedding table for many fields."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tf_helen.core import checks, tables
from tf_helen.core.rounding import Rounding, checked_rounding
from tf_helen.core.table_group import TableGroup
from tf_helen.core.whole_state import ShardedTable, whole_variables
from tf_helen.layers.field_arguments import checked_sharing, named_sizes, per_field
from tf_helen.layers.ids import as_integers, check_dtype, whole_numbers
from tf_helen.layers.initializing import draw_in_chunks, is_drawn_in_chunks
from tf_helen.layers.pooling import in_order, pooled
from tf_helen.layers.shards import ShardInitializer, checked_shards, number_of_shards


@keras.saving.register_keras_serializable(package="tf_helen")
class Embedding(keras.layers.Layer):
    """Looks up the ids of many fields in one table.

    The cost of a step does not depend on the size of the table. The rows of field j start at
    `offsets[j]`. A lookup is a `ResourceGather`, so a row-sparse optimizer can update the table in
    place; Keras's layer reads the whole variable, and every later scatter then copies it. The layer
    passes its fields to the optimizer (Helen uses the most frequent row per field) and applies the
    pending decay to the rows that it reads (AdamAR).

    Args:
        fields: dict from field to its number of rows; a list of sizes; or one size.
        output_dim: int, width d of a row.
        lengths: dict from field to its number of ids, for multi-valued fields. Such a field has
            that many columns of the input, padded with -1, and its rows are pooled. Defaults to
            `None`: one id per field.
        pooling: "mean" or "sum" over the ids that are present, or dict from field to one of them.
            No id gives zeros. Defaults to "mean".
        shared: dict from field to another field whose rows it uses, such as
            `{"item_history": "item"}`; both have the same size. Defaults to `None`.
        embeddings_initializer: Keras initializer of the table. Defaults to "uniform".
        embeddings_constraint: Keras constraint, applied to the rows of a batch as a block. Defaults
            to `None`.
        l2: float, not negative; adds `l2 * sum ||e_k||^2` over the distinct rows of the batch to
            the training loss. Under replicas, each replica adds its rows, and the replicas are
            averaged. Defaults to 0.
        shards: int, number of variables that the table is divided into, or "auto": as many as the
            current strategy has parameter servers. Row r is in the shard `r mod N`. Each shard has
            its own slots, so a strategy places the shards on different servers. Initial values,
            training and saved files do not depend on it. Defaults to 1.
        embeddings_dtype: "float16" or "bfloat16", the dtype in which rows are stored, at half the
            memory. Lookups return, and optimizers of tf_helen compute in, float32; their slots are
            float32. Defaults to `None`: that of the layer.
        rounding: "stochastic" or "nearest", how these optimizers round the rows that they write
            with `embeddings_dtype`. To the nearest value, small updates and decays are lost.
            Defaults to "stochastic".
        rounding_seed: int, seed of the stochastic rounding. Defaults to 0.
        **kwargs: Keras's layer arguments.

    Attributes:
        embeddings: the Keras variable `[rows, output_dim]`; with several shards, a table with
            `shape`, `numpy()`, `assign(value)` and `variables`, the shards.

    Input shape:
        Integers `[batch, sum of lengths]`, ids from 0 within each field; any shape if `fields` is
        one size. Symbolic inputs need `keras.Input(..., dtype="int32")`.

    Output shape:
        `[batch, fields, output_dim]`, or input shape + `[output_dim]` if `fields` is one size. With
        `pool=False` in the call, one row per column, `[batch, sum of lengths, output_dim]`, with
        zeros for padding.

    Raises:
        ValueError: on a size, length or `output_dim` below 1, a negative l2, an unknown pooling, or
            more shards than rows.
        TypeError: when called with ids that are not integers.
        tf.errors.InvalidArgumentError: in a lookup, on an id outside [0, size); names the field,
            the id and the size. (On GPUs, a plain gather returns zeros instead.)

    Example:
        >>> layer = tf_helen.layers.Embedding({"user": 10, "genre": 5}, 4, lengths={"genre": 3})
        >>> layer(np.array([[7, 0, 4, -1], [2, 1, -1, -1]])).shape
        TensorShape([2, 2, 4])
    """

    def __init__(
        self,
        fields: Mapping[str, int] | Sequence[int] | int,
        output_dim: int,
        *,
        lengths: Mapping[str, int] | None = None,
        pooling: str | Mapping[str, str] = "mean",
        shared: Mapping[str, str] | None = None,
        embeddings_initializer: Any = "uniform",
        embeddings_constraint: Any = None,
        l2: float = 0.0,
        shards: int | str = 1,
        embeddings_dtype: str | None = None,
        rounding: str = "stochastic",
        rounding_seed: int = 0,
        **kwargs: Any,
    ):
        # With autocast, Keras would cast floats to the layer's precision before they are checked.
        super().__init__(**{**kwargs, "autocast": False})
        # Files of version 0.1 may contain models with float inputs.
        self._takes_floats = False
        self.single = isinstance(fields, (int, np.integer))
        self.fields = named_sizes(fields)
        self.output_dim = checks.whole_number("output_dim", output_dim)
        self.lengths = per_field("lengths", lengths or {}, self.fields, 1)
        for name, length in self.lengths.items():
            checks.whole_number(f"lengths[{name!r}]", length)
        self.pooling = per_field("pooling", pooling, self.fields, "mean")
        for name, how in self.pooling.items():
            checks.one_of(f"pooling[{name!r}]", how, ("mean", "sum"))
        if self.single and self.lengths != {"ids": 1}:
            raise ValueError("`lengths` needs named `fields`, such as {'genre': 19}.")
        self.embeddings_initializer = keras.initializers.get(embeddings_initializer)
        self.embeddings_constraint = keras.constraints.get(embeddings_constraint)
        self.l2 = checks.number_in_range("l2", l2)
        # XLA cannot compile the message of the range check, and needs bounds for `tf.unique`.
        self.supports_jit = False
        self.shared = checked_sharing(shared or {}, self.fields)
        owned = {name: size for name, size in self.fields.items() if name not in self.shared}
        self.shards = checked_shards(shards, sum(owned.values()))
        self._group = TableGroup(owned, number_of_shards(self.shards, sum(owned.values())))
        self.embeddings_dtype, self.rounding = embeddings_dtype, rounding
        self.rounding_seed = rounding_seed
        checked_rounding(embeddings_dtype, rounding, rounding_seed)
        self._table = tables.Table(self._group, 0, self._rounding(0))
        if self._group.shards > 1:
            # An attribute, for the tracking of an exported model.
            ranks = range(1, self._group.shards)
            self._others = [tables.Table(self._group, i, self._rounding(i)) for i in ranks]
        first_row = dict(zip(owned, self._group.offsets, strict=False))
        self._first_rows = np.array([first_row[self.shared.get(f, f)] for f in self.fields])
        self.lookup: Callable[[tf.Tensor, bool], tf.Tensor] | None = None  # see `replaced_lookups`

    def _rounding(self, rank: int) -> Rounding | None:
        # Shards and tables of other widths and sizes round by other random numbers.
        place = zlib.crc32(f"{rank}/{self._group.rows}/{self.output_dim}".encode())
        seed = (self.rounding_seed + place) % 2**31
        return checked_rounding(self.embeddings_dtype, self.rounding, seed)

    @property
    def offsets(self) -> np.ndarray:
        """The first row of each field with own rows, and the number of rows, int64."""
        return self._group.offsets

    def build(self, input_shape=None):
        columns = sum(self.lengths.values())
        if not self.single and input_shape is not None and input_shape[-1] != columns:
            raise ValueError(
                f"Embedding {self.name!r} needs {columns} columns of ids (fields "
                f"{', '.join(self.fields)}). Received: input shape {tuple(input_shape)}."
            )
        in_chunks = is_drawn_in_chunks(self.embeddings_initializer, self._group.rows)
        self._shards = tuple(self._add_shard(table, in_chunks) for table in self._group.members)
        # After all shards: a strategy places new variables on its servers in turn.
        for variable, table in zip(self._shards, self._group.members, strict=True):
            tables.mark(variable, table)
        self.embeddings = self._shards[0]
        if self._group.shards > 1:
            self.embeddings = ShardedTable(self._shards, self._group)
        if in_chunks:
            draw_in_chunks(self.embeddings, self.embeddings_initializer)
        self.built = True

    def _add_shard(self, table: tables.Table, in_chunks: bool) -> keras.Variable:
        initializer = self.embeddings_initializer
        if self._group.shards > 1:
            initializer = ShardInitializer(initializer, self._group, table.rank)
        # Autocast would copy the whole table in mixed precision. All shards have the same name, so
        # that what is chosen by the path of a table is chosen for all of them.
        return self.add_weight(
            shape=(table.rows, self.output_dim),
            initializer="zeros" if in_chunks else initializer,
            constraint=self.embeddings_constraint,
            name="embeddings",
            autocast=False,
            dtype=self.embeddings_dtype,
        )

    def __call__(self, inputs, *args, **kwargs):
        if hasattr(inputs, "dtype"):  # checked before TensorFlow converts the array
            self._check_dtype(inputs.dtype)
        return super().__call__(inputs, *args, **kwargs)

    def call(self, inputs, training=False, pool=True):
        if self.lookup is not None:
            return self.lookup(inputs, pool)
        return self._looked_up(inputs, self._rows_in_fields(inputs, training), training, pool)

    def _rows_in_fields(self, inputs: Any, training: bool | None) -> tf.Tensor:
        """Returns the row of each id within its field, checked; -1 for padding."""
        ids = self._as_ids(inputs)
        return self._checked(ids[..., None] if self.single else ids)

    def _looked_up(
        self, inputs: Any, ids: tf.Tensor, training: bool | None, pool: bool
    ) -> tf.Tensor:
        if self.single:
            rows = self._read(tf.reshape(ids, [-1]), training)
            shape = tf.concat([tf.shape(inputs), [self.output_dim]], 0)
            outputs = tf.reshape(rows, shape)
            outputs.set_shape([*inputs.shape, self.output_dim])
            return outputs
        if all(length == 1 for length in self.lengths.values()):
            rows = self._read(tf.reshape(ids + self._first_rows, [-1]), training)
            return tf.reshape(rows, [-1, len(self.fields), self.output_dim])
        return self._several(ids, training, pool)

    def _several(self, ids: tf.Tensor, training: bool | None, pool: bool) -> tf.Tensor:
        """Looks up the rows if some fields have several ids; padding is ignored."""
        lengths = np.array(list(self.lengths.values()))
        many = np.repeat(lengths > 1, lengths)
        column_field = np.repeat(np.arange(len(lengths)), lengths)
        plain = tf.gather(ids, np.flatnonzero(~many), axis=1) + self._first_rows[lengths == 1]
        padded = tf.gather(ids, np.flatnonzero(many), axis=1)
        # Padding is not an occurrence.
        present = tf.where(padded >= 0)
        found = tf.gather_nd(padded + self._first_rows[column_field[many]], present)
        # A single lookup, so that the penalty counts a row once if both kinds of fields have it.
        rows = self._read(tf.concat([tf.reshape(plain, [-1]), found], 0), training)
        single, several = tf.split(rows, [tf.size(plain), tf.size(found)])
        batch = tf.shape(ids)[0]
        single = tf.reshape(single, [batch, int((~many).sum()), self.output_dim])
        if pool:
            number = np.cumsum(lengths > 1) - 1  # of a field among the multi-valued ones
            field = tf.gather(tf.constant(number[column_field[many]], tf.int64), present[:, 1])
            how = [self.pooling[name] for name, length in self.lengths.items() if length > 1]
            several = pooled(several, present[:, 0], field, batch, how)
            return in_order(single, several, lengths > 1)
        shape = tf.concat([tf.shape(padded, tf.int64), [self.output_dim]], 0)
        several = tf.scatter_nd(present, several, shape)
        several.set_shape([None, int(many.sum()), self.output_dim])
        return in_order(single, several, many)

    def _read(self, rows: tf.Tensor, training: bool | None) -> tf.Tensor:
        values = self._group.lookup(rows, self._read_shard)
        if self.l2 and training:
            distinct, positions = tf.unique(rows)
            ones = tf.ones_like(rows, values.dtype)
            times = tf.math.unsorted_segment_sum(ones, positions, tf.size(distinct))
            squares = tf.reduce_sum(tf.square(values), axis=-1)
            # Counts each row once: its square is divided among its occurrences.
            self.add_loss(self.l2 * tf.reduce_sum(squares / tf.gather(times, positions)))
        return tf.cast(values, self.compute_dtype)

    def _read_shard(self, rank: int, local: tf.Tensor) -> tf.Tensor:
        # With a dtype of its own, decay and perturbation apply to rows in that of the layer.
        dtype = None if self.embeddings_dtype is None else self.compute_dtype
        return self._group.members[rank].read(self._shards[rank], local, dtype)

    def _checked(self, ids: tf.Tensor) -> tf.Tensor:
        """Returns the ids, and raises an error if one is outside its field."""
        repeats = list(self.lengths.values())
        sizes = tf.constant(np.repeat(list(self.fields.values()), repeats), ids.dtype)
        names = tf.constant(np.repeat(list(self.fields), repeats))
        lowest = tf.constant(np.repeat([-1 if n > 1 else 0 for n in repeats], repeats), ids.dtype)
        # Per column, which takes a quarter of the time of comparing each id.
        columns = tf.reshape(ids, [-1, sum(repeats)])
        bad = tf.logical_or(
            tf.reduce_min(columns, axis=0) < lowest, tf.reduce_max(columns, axis=0) >= sizes
        )

        def report():
            first = tf.where(tf.logical_or(ids < lowest, ids >= sizes))[0]
            column = first[-1]
            message = tf.strings.join(
                [
                    f"Embedding {self.name}: id ",
                    tf.strings.as_string(tf.gather_nd(ids, first)),
                    " of field `",
                    names[column],
                    "` is outside [0, ",
                    tf.strings.as_string(sizes[column]),
                    "). Encode unseen values as an id of the field, such as 0.",
                ]
            )
            with tf.control_dependencies([tf.debugging.Assert(False, [message])]):
                return tf.constant(False)

        checked = tf.cond(tf.reduce_any(bad), report, lambda: tf.constant(True))
        # The lookup waits for the check, which has the better message.
        with tf.control_dependencies([checked]):
            return tf.identity(ids)

    def _check_dtype(self, dtype: Any) -> None:
        if not (self._takes_floats and "float" in str(dtype)):
            check_dtype(dtype, f"Embedding {self.name!r}")

    def _as_ids(self, inputs: Any) -> tf.Tensor:
        what = f"Embedding {self.name!r}"
        if isinstance(inputs, tf.RaggedTensor | tf.SparseTensor):
            raise TypeError(
                f"{what} takes dense ids. Received: {type(inputs).__name__}. Pad the ids of a "
                "multi-valued field with -1, for example with `ragged.to_tensor(-1)`."
            )
        ids = tf.convert_to_tensor(inputs)
        if self._takes_floats and ids.dtype.is_floating:
            ids = whole_numbers(ids, what, max(self.fields.values()))
        return as_integers(ids, what, self._group.rows)

    def quantize(self, mode=None, **kwargs):
        raise NotImplementedError(
            f"Embedding {self.name!r} cannot be quantized to {mode}; it remains "
            f"{self.variable_dtype}."
        )

    def save_own_variables(self, store):
        for table in self._group.members:
            table.settle()
        if self._group.shards == 1:
            super().save_own_variables(store)
            return
        for i, variable in enumerate(whole_variables(self.variables)):
            store[str(i)] = variable.numpy()

    def load_own_variables(self, store):
        found = whole_variables(self.variables)
        if self._group.shards == 1 or not self.built or len(store.keys()) != len(found):
            super().load_own_variables(store)  # also raises Keras's errors
            return
        for i, variable in enumerate(found):
            variable.assign(store[str(i)])

    def compute_output_spec(self, inputs, training=False, pool=True):
        self._check_dtype(inputs.dtype)
        shape = self.compute_output_shape(inputs.shape)
        if not pool and not self.single:
            shape = (*inputs.shape, self.output_dim)
        return keras.KerasTensor(shape, dtype=self.compute_dtype)

    def compute_output_shape(self, input_shape):
        if self.single:
            return (*input_shape, self.output_dim)
        return (input_shape[0], len(self.fields), self.output_dim)

    def get_config(self):
        return {
            **super().get_config(),
            "fields": self.fields["ids"] if self.single else dict(self.fields),
            "output_dim": self.output_dim,
            "lengths": None if self.single else dict(self.lengths),
            "pooling": "mean" if self.single else dict(self.pooling),
            "shared": dict(self.shared),
            "embeddings_initializer": keras.initializers.serialize(self.embeddings_initializer),
            "embeddings_constraint": keras.constraints.serialize(self.embeddings_constraint),
            "l2": self.l2,
            "shards": self.shards,
            "embeddings_dtype": self.embeddings_dtype,
            "rounding": self.rounding,
            "rounding_seed": self.rounding_seed,
            "takes_floats": self._takes_floats,
        }

    @classmethod
    def from_config(cls, config):
        config = dict(config)
        takes_floats = config.pop("takes_floats", True)  # not in files of version 0.1
        layer = super().from_config(config)
        layer._takes_floats = takes_floats
        return layer
