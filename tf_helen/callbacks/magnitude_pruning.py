"""MagnitudePruning: sets embedding rows with the smallest norms to zero and keeps them there."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tf_helen.analysis.norms import row_norms
from tf_helen.analysis.tables import tables_of
from tf_helen.callbacks.slot_check import check_slots
from tf_helen.core import replicas
from tf_helen.core.checks import nearest, number_in_range, whole_number
from tf_helen.core.tables import Table
from tf_helen.core.whole_state import group_of, parts_of, write_whole
from tf_helen.layers import Embedding
from tf_helen.layers.initializing import CHUNK_ROWS
from tf_helen.training import loss_scaling


class MagnitudePruning(keras.callbacks.Callback):
    """Sets a share of the rows of each embedding table, those with the smallest norms, to zero.

    At the end of an epoch, the `round(s * rows)` rows of each table with the smallest Euclidean
    norms are set to zero; among equal norms, the first rows. Epochs count from 1. Without `end`,
    this happens once, at the end of epoch `begin`, with s = `sparsity`. With `end`, it happens
    every `every` epochs, and s grows from `initial_sparsity` at the end of epoch `begin` to
    `sparsity` at the end of epoch `end`.

    Pruned rows stay zero for the rest of `fit`. Their lookups are multiplied by 0, so they have no
    gradient. Their optimizer slots are reset when they are pruned, so momentum does not move them.
    A later `fit` keeps them at zero if it gets the same callback object. With `ExactResume`, pass
    the callback to it: `ExactResume(folder, callbacks=[pruning])`.

    Whole tables are read only at the ends of epochs. A training step reads one more number per
    lookup. Memory: 4 bytes per row.

    Args:
        sparsity: float in [0, 1], final share of zero rows. Defaults to 0.5.
        begin: int, number of the first epoch after which rows are pruned. Defaults to 1.
        end: int, number of the last such epoch. Defaults to `None`: `begin`.
        every: int, epochs from one pruning to the next; a divisor of `end - begin`. Defaults to 1.
        initial_sparsity: float in [0, sparsity], share of zero rows at the end of epoch `begin` if
            `end` is given. Defaults to 0.
        tables: names of tables, see `tf_helen.analysis.tables_of`. Defaults to `None`: all tables
            that are not frozen.

    Attributes:
        pruned: list of uint8 arrays, the pruned rows of each table as bits (`np.packbits`).

    Raises:
        ValueError: on values out of range; at the start of training, on unknown tables.
        TypeError: at the start of training, if one of Keras's optimizers trains a table.

    Equation:
        `s_t = s_f + (s_i - s_f) (1 - (t - begin) / (end - begin))^3`

    Reference: Zhu, Gupta, "To prune, or not to prune", 2017 (arXiv 1710.01878), equation 1. Yue et
        al., ECML PKDD 2021, compare group lasso with pruning after training.

    Example:
        >>> inputs = keras.Input((1,), dtype="int32")
        >>> layer = tf_helen.layers.Embedding({"user": 8}, 2, name="ids")
        >>> x = keras.layers.Dense(1)(keras.layers.Flatten()(layer(inputs)))
        >>> model = tf_helen.Model(inputs, x)
        >>> model.compile(tf_helen.Adam(), "mse")
        >>> x, y = np.array([[3], [2]]), np.array([[1.0], [0.0]])
        >>> pruning = tf_helen.callbacks.MagnitudePruning(0.75)
        >>> _ = model.fit(x, y, epochs=2, verbose=0, callbacks=[pruning])
        >>> tf_helen.analysis.zero_rows(model)
        {'ids': 0.75}
    """

    def __init__(
        self,
        sparsity: float = 0.5,
        *,
        begin: int = 1,
        end: int | None = None,
        every: int = 1,
        initial_sparsity: float = 0.0,
        tables: Sequence[str] | None = None,
    ):
        super().__init__()
        self.sparsity = number_in_range("sparsity", sparsity, 0.0, 1.0)
        self.begin = whole_number("begin", begin)
        self.end = self.begin if end is None else whole_number("end", end, self.begin)
        self.every = whole_number("every", every)
        if (self.end - self.begin) % self.every:
            raise ValueError(
                f"`every` must divide end - begin. Received: begin={begin}, end={end}, "
                f"every={every}"
            )
        self.initial_sparsity = number_in_range(
            "initial_sparsity", initial_sparsity, 0.0, self.sparsity
        )
        self.table_names = None if tables is None else list(tables)
        self.pruned: list[np.ndarray] = []
        # Tuples, because `ExactResume` saves lists as part of the state.
        self._embeddings: tuple[Embedding, ...] = ()
        self._applied: tuple[list[np.ndarray], ...] = ()
        self._model_before: keras.Model | None = None

    def sparsity_at(self, epoch: int) -> float | None:
        """Returns the share of zero rows to reach at the end of an epoch.

        Args:
            epoch: int, number of the epoch, from 1.

        Returns:
            A share from 0 to 1, or `None` if nothing is pruned at the end of this epoch.

        Example:
            >>> pruning = MagnitudePruning(0.8, begin=2, end=4)
            >>> [pruning.sparsity_at(epoch) for epoch in range(1, 6)]
            [None, 0.0, 0.7..., 0.8, None]
        """
        if not self.begin <= epoch <= self.end or (epoch - self.begin) % self.every:
            return None
        if epoch == self.end:
            return self.sparsity
        left = 1 - (epoch - self.begin) / (self.end - self.begin)
        return self.sparsity + (self.initial_sparsity - self.sparsity) * left**3

    def on_train_begin(self, logs=None):
        known = {name: x for name, x in tables_of(self.model).items() if x.trainable}
        for name in self.table_names or ():
            if name not in known:
                raise ValueError(
                    f"`tables` names no trained table. Received: {name!r}.{nearest(name, known)} "
                    f"Names: {', '.join(known)}."
                )
        self._embeddings = tuple(known[name] for name in self.table_names or known)
        check_slots(self.model, self._embeddings, "MagnitudePruning")
        if self._model_before not in (None, self.model):
            self.pruned = []
        self._model_before, self._applied = self.model, ()
        is_new = False
        for table in (table for layer in self._embeddings for table in _members(layer)):
            if table.kept is None:
                is_new = True
                with self.model.distribute_strategy.scope():
                    table.kept = tf.Variable(tf.ones(table.rows), trainable=False)
        if is_new:
            # A step that was traced before does not multiply by `kept`.
            self.model.make_train_function(force=True)

    def on_epoch_begin(self, epoch, logs=None):
        self._applied = ()  # another callback, such as `MEDA`, may have set all rows

    def on_train_batch_begin(self, batch, logs=None):
        # `ExactResume` replaces the list between two steps.
        if not self._applied or self._applied[0] is not self.pruned:
            self._keep_at_zero()

    def on_epoch_end(self, epoch, logs=None):
        share = self.sparsity_at(epoch + 1)
        if share is None:
            return
        before = self._masks()
        masks = [_pruned(*pair, share) for pair in zip(self._embeddings, before, strict=True)]
        self.pruned = [np.packbits(mask) for mask in masks]
        self._keep_at_zero()
        optimizer = loss_scaling.unwrap(self.model.optimizer)
        for layer, mask in zip(self._embeddings, masks, strict=True):
            parts = parts_of(layer.embeddings)

            def reset(rank: int, ids: tf.Tensor, _: tf.Tensor, parts: Any = parts) -> None:
                optimizer.reset_slots(parts[rank], ids)

            for ids in _chunks(mask):
                group_of(layer.embeddings).send(ids, ids, reset)

    def on_train_end(self, logs=None):
        for layer in self._embeddings:
            _assign_kept(layer, np.ones(_rows(layer), np.float32))

    def _masks(self) -> list[np.ndarray]:
        """Returns whether each row is pruned, bool `[rows]` for each table."""
        sizes = [_rows(layer) for layer in self._embeddings]
        if not self.pruned:
            return [np.zeros(size, bool) for size in sizes]
        packed = zip(self.pruned, sizes, strict=True)
        return [np.unpackbits(bits, count=size).astype(bool) for bits, size in packed]

    def _keep_at_zero(self) -> None:
        for layer, mask in zip(self._embeddings, self._masks(), strict=True):
            _assign_kept(layer, (~mask).astype(np.float32))
            for ids in _chunks(mask):
                write_whole(layer.embeddings, ids, tf.zeros((len(ids), layer.output_dim)))
        self._applied = (self.pruned,)


def _pruned(layer: Embedding, before: np.ndarray, share: float) -> np.ndarray:
    """Returns the rows to set to zero, including those that are pruned already, bool `[rows]`."""
    norms = row_norms(layer)  # applies a pending decay
    norms[before] = -1  # other rows may be zero too
    mask = before.copy()
    mask[np.argsort(norms, kind="stable")[: round(share * len(norms))]] = True
    return mask


def _chunks(mask: np.ndarray) -> Iterator[tf.Tensor]:
    """Yields the row numbers of a mask in chunks."""
    rows = np.flatnonzero(mask)
    for start in range(0, len(rows), CHUNK_ROWS):
        yield tf.constant(rows[start : start + CHUNK_ROWS])


def _rows(layer: Embedding) -> int:
    return int(layer.offsets[-1])


def _members(layer: Embedding) -> list[Table]:
    return group_of(layer.embeddings).members


def _assign_kept(layer: Embedding, values: np.ndarray) -> None:
    for table in _members(layer):
        for copy in replicas.copies(table.kept):
            copy.assign(table.group.part(values, table.rank))
