"""Gradients and Hessian products of a mean loss with respect to rows of one table."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tf_helen import keras_access
from tf_helen.core import replicas, tables
from tf_helen.core.rows import values_of
from tf_helen.core.whole_state import group_of, parts_of
from tf_helen.layers import Embedding
from tf_helen.training import settle


class RowDerivatives:
    """Derivatives of the mean loss over a data set with respect to some rows of a table.

    The model runs in inference mode, in which samples do not influence each other (no dropout,
    batch normalization with moving statistics). A product takes a pass over the data; in each batch
    it reads the rows of that batch only.

    Args:
        model: a Keras model with `layer`.
        data: batches `(x, y)` or `(x, y, sample_weight)`, iterable more than once.
        layer: the embedding layer.
        rows: int64 `[n]`, distinct row numbers in ascending order.
        loss: `keras.losses.Loss`, or `None`: the loss that the model was compiled with.

    Attributes:
        gradient: float64 `[n, d]`, after `first_pass`.
        counts: int64 `[n]`, how often each row is looked up in the data, after `first_pass`.
        has_several: bool `[fields]`, for fields that do not share the rows of another field:
            whether a sample may look up more than one row of the field, after `first_pass`.

    Raises:
        ValueError: if the model has no loss, or `data` can be iterated only once.
        TypeError: if `loss` is not a `keras.losses.Loss`.
    """

    def __init__(
        self,
        model: keras.Model,
        data: Iterable[Any],
        layer: Embedding,
        rows: np.ndarray,
        loss: keras.losses.Loss | None,
    ):
        if loss is None and not model.compiled:
            raise ValueError(
                "The model has no loss. Compile it, or pass `loss`, such as "
                "`keras.losses.BinaryCrossentropy(from_logits=True)`."
            )
        if loss is not None and not isinstance(loss, keras.losses.Loss):
            raise TypeError(
                f"`loss` must be a keras.losses.Loss. Received: {loss!r}. Use an object such as "
                "`keras.losses.BinaryCrossentropy(from_logits=True)`."
            )
        if isinstance(data, Iterator):
            raise ValueError(
                "`data` is read more than once, and an iterator can be read only once. Received: "
                f"{type(data).__name__}. Pass a list of batches or a tf.data.Dataset."
            )
        self._model, self._data, self._layer, self._loss = model, data, layer, loss
        self._group = group_of(layer.embeddings)
        self._shards = [replicas.copies(part)[0] for part in parts_of(layer.embeddings)]
        self._rows = tf.constant(rows, tf.int64)
        self.width = layer.output_dim
        self._vectors = tf.Variable(
            tf.zeros((len(rows), self.width), self._shards[0].dtype), trainable=False
        )
        self._samples = 0
        self._gradient_step = tf.function(self._gradient_of_batch, reduce_retracing=True)
        self._product_step = tf.function(self._product_of_batch, reduce_retracing=True)
        settle(model)

    def first_pass(self) -> None:
        """Computes the attributes.

        Raises:
            ValueError: if `data` is empty, or the loss does not depend on the table.
        """
        shape = (len(self._rows), self.width)
        self.gradient, self.counts = np.zeros(shape), np.zeros(shape[0], np.int64)
        self.has_several = self._declared_several()
        samples = 0
        for size, batch in self._batches():
            places, values, counts, lookups = self._gradient_step(*batch)
            places = places.numpy()
            self.gradient[places] += size * values.numpy().astype(np.float64)
            self.counts[places] += counts.numpy()
            self.has_several |= lookups.numpy() > size
            samples += size
        if not samples:
            raise ValueError("`data` is empty. Pass at least one batch.")
        self._samples = samples
        self.gradient /= samples

    def _declared_several(self) -> np.ndarray:
        """Returns for which fields the layer declares several ids per sample, see `has_several`."""
        layer = self._layer
        several = dict.fromkeys((name for name in layer.fields if name not in layer.shared), False)
        for name, length in layer.lengths.items():
            several[layer.shared.get(name, name)] |= length > 1 or name in layer.shared
        return np.array(list(several.values()))

    def product(self, places: np.ndarray, vectors: np.ndarray) -> np.ndarray:
        """Multiplies the Hessian by vectors that are zero on all other rows.

        Args:
            places: int `[k]`, positions in `rows`.
            vectors: `[k, d]`.

        Returns:
            float64 `[k, d]`, the product on the same rows: the block of each row times its vector,
            if no sample looks up two of the rows.
        """
        return self._products(places, vectors, np.ones((1, self.width)))[0]

    def blocks(self, places: np.ndarray) -> np.ndarray:
        """Computes the diagonal blocks of some rows, in one pass over the data.

        Args:
            places: int `[k]`, positions in `rows`; no sample may look up two of them.

        Returns:
            float64 `[k, d, d]`, symmetric.
        """
        ones = np.ones((len(places), self.width))
        columns = self._products(places, ones, np.eye(self.width))
        blocks = columns.transpose(1, 0, 2)
        return (blocks + blocks.transpose(0, 2, 1)) / 2

    def _products(
        self, places: np.ndarray, vectors: np.ndarray, directions: np.ndarray
    ) -> np.ndarray:
        """Returns the products with `vectors * directions[i]` for each i, `[m, k, d]`."""
        spread = np.zeros(self._vectors.shape, self._vectors.dtype.as_numpy_dtype)
        spread[places] = vectors
        self._vectors.assign(spread)
        position = np.full(len(spread), -1)
        position[places] = np.arange(len(places))
        total = np.zeros((len(directions), *vectors.shape))
        directions = tf.constant(directions, self._vectors.dtype)
        for size, batch in self._batches():
            for number, direction in enumerate(directions):
                found, values = self._product_step(direction, *batch)
                positions = position[found.numpy()]
                is_asked = positions >= 0
                values = size * values.numpy()[is_asked].astype(np.float64)
                total[number, positions[is_asked]] += values
        return total / self._samples

    def _batches(self) -> Iterator[tuple[int, tuple]]:
        # The decay is applied already, so lookups need no factors, whose derivatives take time.
        with tables.plain_reads(self._model.variables):
            for batch in self._data:
                x, y, weight = keras.utils.unpack_x_y_sample_weight(batch)
                if y is None:
                    raise ValueError("`data` has no targets. Pass batches (x, y).")
                yield len(tf.nest.flatten(x)[0]), (x, y, weight)

    # Traced.

    def _gradient_of_batch(self, x, y, weight):
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(self._shards)
            loss = self._mean_loss(x, y, weight)
        gradient = self._slices(tape.gradient(loss, self._shards))
        places, values, counts = self._summed(gradient)
        bounds = tf.constant(self._layer.offsets[1:-1], tf.int64)
        field = tf.searchsorted(bounds, tf.cast(gradient.indices, tf.int64), side="right")
        fields = len(self._layer.offsets) - 1
        lookups = tf.math.unsorted_segment_sum(tf.ones_like(field), field, fields)
        return places, values, counts, lookups

    def _product_of_batch(self, direction, x, y, weight):
        with tf.GradientTape(watch_accessed_variables=False) as outer:
            outer.watch(self._shards)
            with tf.GradientTape(watch_accessed_variables=False) as inner:
                inner.watch(self._shards)
                loss = self._mean_loss(x, y, weight)
            gradient = self._slices(inner.gradient(loss, self._shards))
            places, found = self._places(gradient.indices)
            vectors = tf.where(found[:, None], tf.gather(self._vectors, places) * direction, 0)
            total = tf.reduce_sum(values_of(gradient) * vectors)
        product = outer.gradient(total, self._shards)
        if product[0] is None:  # the loss is linear in the rows
            return tf.zeros([0], tf.int32), tf.zeros([0, self.width], self._vectors.dtype)
        return self._summed(self._slices(product))[:2]

    def _mean_loss(self, x: Any, y: Any, weight: Any) -> tf.Tensor:
        predictions = keras_access.forward(self._model, x, training=False)
        if self._loss is not None:
            return self._loss(y, predictions, sample_weight=weight)
        return keras_access.step_loss(self._model, x, y, predictions, weight, training=False)

    def _slices(self, gradients: list) -> tf.IndexedSlices:
        """Returns the gradients of the shards as one, with the rows of the whole table."""
        if gradients[0] is None:
            raise ValueError(f"The loss does not depend on the table of {self._layer.name!r}.")
        if not all(isinstance(gradient, tf.IndexedSlices) for gradient in gradients):
            raise ValueError(
                f"The model reads the whole table of {self._layer.name!r}, such as for a "
                "regularizer. Only lookups can be analyzed; remove the regularizer."
            )
        rows = [self._group.rows_of(i, gradient.indices) for i, gradient in enumerate(gradients)]
        values = [gradient.values for gradient in gradients]
        return tf.IndexedSlices(tf.concat(values, 0), tf.concat(rows, 0))

    def _places(self, indices: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns the positions of row numbers in `rows`, and whether `rows` contains them."""
        indices = tf.cast(indices, tf.int64)
        places = tf.minimum(tf.searchsorted(self._rows, indices), len(self._rows) - 1)
        return places, tf.equal(tf.gather(self._rows, places), indices)

    def _summed(self, slices: tf.IndexedSlices) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """Returns distinct positions in `rows`, the sum of their slices, and their number."""
        places, found = self._places(slices.indices)
        places = tf.boolean_mask(places, found)
        distinct, positions = tf.unique(places)
        number = tf.size(distinct)
        values = tf.boolean_mask(slices.values, found)
        values = tf.math.unsorted_segment_sum(values, positions, number)
        return (
            distinct,
            values,
            tf.math.unsorted_segment_sum(tf.ones_like(places), positions, number),
        )
