"""Norms of embedding rows by frequency, zero rows, and the Rademacher bound."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TypeAlias

import keras
import numpy as np
from numpy.typing import ArrayLike

from tf_helen import keras_access
from tf_helen.analysis.frequency import Buckets
from tf_helen.analysis.tables import table_chunks, tables_of
from tf_helen.core.checks import whole_number
from tf_helen.core.tables import settle as settle_variables
from tf_helen.core.whole_state import ShardedTable, parts_of
from tf_helen.layers import Embedding
from tf_helen.training import settle

Table: TypeAlias = Embedding | keras.Variable | ShardedTable | np.ndarray


def row_norms(table: Table) -> np.ndarray:
    """Computes the Euclidean norm of each row of a table.

    Args:
        table: `tf_helen.layers.Embedding`, its variable, or an array `[rows, d]`. A pending decay
            is applied first. A variable is read in chunks of rows.

    Returns:
        float64 `[rows]`.

    Example:
        >>> tf_helen.analysis.row_norms(np.array([[3.0, 4.0], [0.0, 0.0]])).tolist()
        [5.0, 0.0]
    """
    if isinstance(table, Embedding):
        table = table.embeddings
    if not isinstance(table, keras.Variable | ShardedTable):
        rows = np.asarray(table, np.float64)
        return np.linalg.norm(rows.reshape(len(rows), -1), axis=1)
    settle_variables(parts_of(table))
    return np.concatenate([row_norms(rows) for _, rows in table_chunks(table)])


def embedding_norms(table: Table, buckets: Buckets | ArrayLike) -> dict[str, np.ndarray]:
    """Computes the norms of a table's rows by frequency bucket.

    Args:
        table: see `row_norms`.
        buckets: `Buckets` of the rows, or the bucket number of each row.

    Returns:
        Dict of arrays `[buckets]`: "rows", the number of rows; "sum" and "mean", those of the norms
        (the mean of an empty bucket is 0).

    Raises:
        ValueError: if `buckets` and the table differ in their number of rows.

    Reference: AdamAR (Li, Lyu, ICLR 2026): the cumulative norm of the embeddings grows as the test
        AUC falls, bucket by bucket.

    Example:
        >>> buckets = tf_helen.analysis.frequency_buckets([1, 20, 3])
        >>> norms = tf_helen.analysis.embedding_norms(np.array([[3.0], [5.0], [1.0]]), buckets)
        >>> norms["sum"].tolist(), norms["mean"].tolist()
        ([0.0, 4.0, 5.0], [0.0, 2.0, 5.0])
    """
    norms = row_norms(table)
    given = buckets.assignment if isinstance(buckets, Buckets) else buckets
    assignment = np.asarray(given, np.int64)
    if assignment.shape != norms.shape:
        raise ValueError(
            f"`buckets` must have one number per row of the table, [{len(norms)}]. Received the "
            f"shape {list(assignment.shape)}."
        )
    number = int(assignment.max(initial=-1)) + 1
    if isinstance(buckets, Buckets):
        number = len(buckets)
    rows = np.bincount(assignment, minlength=number)
    total = np.bincount(assignment, weights=norms, minlength=number)
    return {"rows": rows, "sum": total, "mean": total / np.maximum(rows, 1)}


def zero_rows(model: keras.Model) -> dict[str, float]:
    """Computes the share of rows that are exactly zero, per embedding table.

    Args:
        model: Keras model with `tf_helen.layers.Embedding`. A pending decay is applied first.

    Returns:
        Dict from table name (see `tables_of`) to a share from 0 to 1.

    Raises:
        ValueError: if the model has no such layer.

    Example:
        >>> inputs = keras.Input((1,), dtype="int32")
        >>> x = tf_helen.layers.Embedding(4, 2, name="ids")(inputs)
        >>> model = keras.Model(inputs, keras.layers.Flatten()(x))
        >>> model.get_layer("ids").set_weights([np.array([[1, 0], [0, 0], [0, 0], [0, 0]])])
        >>> tf_helen.analysis.zero_rows(model)
        {'ids': 0.75}
    """
    found = tables_of(model)
    settle(model)
    return {
        name: _number_of_zero_rows(layer) / int(layer.offsets[-1]) for name, layer in found.items()
    }


def _number_of_zero_rows(layer: Embedding) -> int:
    chunks = table_chunks(layer.embeddings)
    return sum(int(np.count_nonzero(~rows.any(axis=1))) for _, rows in chunks)


def rademacher_bound(
    model: keras.Model,
    samples: int,
    *,
    layers: Sequence[keras.layers.Dense] | None = None,
    fields: int | None = None,
) -> float:
    """Computes the upper bound of the Rademacher complexity that the AdamAR paper derives.

    The bound holds for an MLP on concatenated embeddings (`zoo.DNN`). In other models it ignores
    all layers except embeddings and dense layers, so it compares models of the same architecture
    only.

    Args:
        model: Keras model with `tf_helen.layers.Embedding`. A pending decay is applied first.
        samples: int, number of training samples T.
        layers: the L dense layers, including the output layer. Defaults to `None`: all
            `keras.layers.Dense` of the model.
        fields: int, number of fields S. Defaults to `None`: the distinct field names of all tables;
            a table with a single, unnamed field counts as one field.

    Returns:
        A float.

    Raises:
        ValueError: if the model has no dense layers or no embeddings.

    Equation:
        `R <= sqrt(S / T) (prod_l ||W_l||_F) sqrt(sum_k ||e_k||^2) (sqrt(2 log 2) L + 1)`, where the
        sum is over all rows of all tables.

    Reference: Li, Lyu, ICLR 2026 (OpenReview QFH5mwP9oH), after Golowich et al., COLT 2018, whose
        theorem 1 has the smaller factor `sqrt(2 log(2) L) + 1`. For a given model the ratio of the
        two is constant.

    Example:
        >>> inputs = keras.Input((2,), dtype="int32")
        >>> x = tf_helen.layers.Embedding([3, 5], 1, embeddings_initializer="ones")(inputs)
        >>> outputs = keras.layers.Dense(1, kernel_initializer="ones")(keras.layers.Flatten()(x))
        >>> round(tf_helen.analysis.rademacher_bound(keras.Model(inputs, outputs), 100), 4)
        1.2317
    """
    whole_number("samples", samples)
    tables = tables_of(model)
    settle(model)
    if layers is None:
        layers = [x for x in keras_access.layers_of(model) if isinstance(x, keras.layers.Dense)]
    if not layers:
        raise ValueError("The bound needs dense layers, and the model has none. Pass `layers`.")
    if fields is None:
        fields = _number_of_fields(list(tables.values()))
    dense = math.prod(np.linalg.norm(np.asarray(layer.kernel, np.float64)) for layer in layers)
    squares = sum(float(np.square(row_norms(layer)).sum()) for layer in tables.values())
    depth = math.sqrt(2 * math.log(2)) * len(layers) + 1
    return float(math.sqrt(whole_number("fields", fields) / samples * squares) * dense * depth)


def _number_of_fields(layers: list[Embedding]) -> int:
    named: set[str] = set()
    single = 0
    for layer in layers:
        single += layer.single
        named.update(() if layer.single else layer.fields)
    return len(named) + single
