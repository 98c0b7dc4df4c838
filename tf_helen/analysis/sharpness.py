"""The sharpness of the loss per embedding row: top eigenvalues of the Hessian blocks."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterable, Sequence
from typing import Any

import keras
import numpy as np
from absl import logging

from tf_helen.analysis.derivatives import RowDerivatives
from tf_helen.analysis.eigenvalues import largest_eigenvalues
from tf_helen.analysis.tables import field_rows, find_table
from tf_helen.core.checks import nearest, number_above_zero, one_of, whole_number
from tf_helen.layers import Embedding

METHODS = ("auto", "blocks", "power")
_BLOCK_BYTES = 1 << 28  # size of the blocks that are in memory at once
Rows = str | Sequence[str] | Sequence[int] | np.ndarray | None


@dataclasses.dataclass(frozen=True)
class RowSharpness:
    """The result of `row_sharpness`, one entry per row.

    Attributes:
        rows: int64 `[n]`, row numbers in the table.
        counts: int64 `[n]`, how often each row is looked up in the data.
        gradient_norms: float64 `[n]`, `||g_k||`.
        eigenvalues: float64 `[n]`, the largest eigenvalue of the block of each row.
    """

    rows: np.ndarray
    counts: np.ndarray
    gradient_norms: np.ndarray
    eigenvalues: np.ndarray


def row_sharpness(
    model: keras.Model,
    data: Iterable[Any],
    embedding: str | keras.layers.Layer,
    *,
    rows: Rows = None,
    loss: keras.losses.Loss | None = None,
    method: str = "auto",
    iterations: int = 100,
    tolerance: float = 1e-5,
) -> RowSharpness:
    """Measures the loss around each row of a table: occurrences, gradient and top eigenvalue.

    The arguments are those of `top_eigenvalues`, which returns only the eigenvalues.

    Returns:
        `RowSharpness`, in the order of `rows`.

    Example:
        >>> inputs = keras.Input((1,), dtype="int32")
        >>> layer = tf_helen.layers.Embedding({"user": 3}, 2, embeddings_initializer="ones")
        >>> x = keras.layers.Flatten()(layer(inputs))
        >>> model = keras.Model(inputs, keras.ops.sum(x, axis=1))
        >>> data = [(np.array([[0], [0], [2]]), np.array([2.0, 2.0, 5.0]))]
        >>> mse = keras.losses.MeanSquaredError()
        >>> found = tf_helen.analysis.row_sharpness(model, data, layer, loss=mse)
        >>> found.counts.tolist(), found.gradient_norms.round(2).tolist()
        ([2, 0, 1], [0.0, 0.0, 2.83])
        >>> found.eigenvalues.round(2).tolist()
        [2.67, 0.0, 1.33]
    """
    one_of("method", method, METHODS)
    whole_number("iterations", iterations)
    number_above_zero("tolerance", tolerance)
    layer = find_table(model, embedding)
    asked = _row_numbers(layer, rows)
    distinct, places = np.unique(asked, return_inverse=True)
    derivatives = RowDerivatives(model, data, layer, distinct, loss)
    derivatives.first_pass()
    eigenvalues, missed = np.zeros(len(distinct)), 0
    for group in _groups(layer, distinct, derivatives, is_named=rows is not None):
        chunk = rows_at_once(layer.output_dim)
        products = layer.output_dim * -(-len(group) // chunk)
        if method == "blocks" or (method == "auto" and products <= iterations):
            for start in range(0, len(group), chunk):
                part = group[start : start + chunk]
                eigenvalues[part] = np.linalg.eigvalsh(derivatives.blocks(part))[:, -1]
            continue
        eigenvalues[group], found = largest_eigenvalues(
            functools.partial(derivatives.product, group),
            len(group),
            layer.output_dim,
            iterations=iterations,
            tolerance=tolerance,
        )
        missed += int(np.sum(~found))
    if missed:
        logging.warning(
            "the top eigenvalues of %d of %d rows changed by more than tolerance=%g in the last of "
            "%d iterations; use more iterations, or method='blocks'",
            missed,
            len(distinct),
            tolerance,
            iterations,
        )
    norms = np.linalg.norm(derivatives.gradient, axis=1)
    return RowSharpness(asked, derivatives.counts[places], norms[places], eigenvalues[places])


def rows_at_once(width: int) -> int:
    """Returns how many rows' blocks one pass over the data computes with `method="blocks"`.

    Args:
        width: int, width of the rows.

    Returns:
        An int, at least 1.

    Example:
        >>> rows_at_once(16)
        131072
    """
    return max(1, _BLOCK_BYTES // (8 * width**2))


def top_eigenvalues(
    model: keras.Model,
    data: Iterable[Any],
    embedding: str | keras.layers.Layer,
    *,
    rows: Rows = None,
    loss: keras.losses.Loss | None = None,
    method: str = "auto",
    iterations: int = 100,
    tolerance: float = 1e-5,
) -> np.ndarray:
    """Computes the top eigenvalue of the Hessian's diagonal block of each row of a table.

    The block of row k is `H_k = d^2 L / (d e_k)^2`, `[d, d]`, of the mean loss L over `data`. The
    model runs in inference mode. If each sample looks up one row of a field, the blocks of
    different rows share no samples, and one Hessian-vector product computes all rows of the field.
    If samples look up several rows (multi-valued fields, and fields that share rows with another
    field), each row needs a product, and the rows must be named in `rows`. Both are exact.

    Args:
        model: Keras model with a `tf_helen.layers.Embedding`, such as any model of `zoo`.
        data: batches `(x, y)` or `(x, y, sample_weight)`: a list or a `tf.data.Dataset`. It is read
            several times; each sample has the same weight.
        embedding: the embedding layer, a layer that contains exactly one, or its name (see
            `tables_of`).
        rows: row numbers in the table, a field name, or a list of field names. Defaults to `None`:
            all rows of the table.
        loss: `keras.losses.Loss`. Defaults to `None`: the loss that the model was compiled with.
        method: "power": power iteration on Hessian-vector products. It finds the largest
            eigenvalue, not the largest in magnitude; the matrix is shifted if its dominant
            eigenvalue is negative. "blocks": d products compute all blocks, in chunks of 256 MB;
            their eigenvalues are exact up to rounding. "auto": "blocks" if it needs at most
            `iterations` products, else "power". Defaults to "auto".
        iterations: int, maximum number of products of the power iteration. Defaults to 100.
        tolerance: float; an eigenvalue is found if it changes by at most this share of the norm of
            its block. Float32 tables allow 1e-6. Defaults to 1e-5.

    Returns:
        float64 array, one eigenvalue per row, in the order of `rows`; 0 for rows that do not occur
        in `data`.

    Raises:
        ValueError: on unknown rows, fields or layers, a model without loss, data that can be read
            only once, or `rows=None` for a table with a multi-valued field.

    Reference: Helen (Zhu et al., WWW 2024, arXiv 2403.00798), sections 3.2 and 4.3.

    Example:
        >>> inputs = keras.Input((2,), dtype="int32")
        >>> x = tf_helen.layers.Embedding({"user": 10, "item": 20}, 4, name="ids")(inputs)
        >>> model = tf_helen.Model(inputs, keras.layers.Dense(1)(keras.layers.Flatten()(x)))
        >>> model.compile("sgd", keras.losses.BinaryCrossentropy(from_logits=True))
        >>> data = [(np.array([[3, 5], [3, 6]]), np.array([[1.0], [0.0]]))]
        >>> values = tf_helen.analysis.top_eigenvalues(model, data, "ids", rows="user")
        >>> values.shape, np.flatnonzero(values > 1e-9).tolist()
        ((10,), [3])
    """
    return row_sharpness(
        model,
        data,
        embedding,
        rows=rows,
        loss=loss,
        method=method,
        iterations=iterations,
        tolerance=tolerance,
    ).eigenvalues


def gradient_norms(
    model: keras.Model,
    data: Iterable[Any],
    embedding: str | keras.layers.Layer,
    *,
    rows: Rows = None,
    loss: keras.losses.Loss | None = None,
) -> np.ndarray:
    """Computes the norm of the gradient of the mean loss with respect to each row of a table.

    Args:
        model, data, embedding, rows, loss: see `top_eigenvalues`; multi-valued fields need not be
            named.

    Returns:
        float64 array `||g_k||`, in the order of `rows`.

    Raises:
        ValueError: see `top_eigenvalues`.

    Example:
        >>> inputs = keras.Input((1,), dtype="int32")
        >>> layer = tf_helen.layers.Embedding({"user": 3}, 1, embeddings_initializer="ones")
        >>> model = keras.Model(inputs, keras.layers.Flatten()(layer(inputs)))
        >>> data = [(np.array([[0], [2]]), np.array([[0.0], [2.0]]))]
        >>> mse = keras.losses.MeanSquaredError()
        >>> tf_helen.analysis.gradient_norms(model, data, layer, loss=mse).tolist()
        [1.0, 0.0, 1.0]
    """
    layer = find_table(model, embedding)
    distinct, places = np.unique(_row_numbers(layer, rows), return_inverse=True)
    derivatives = RowDerivatives(model, data, layer, distinct, loss)
    derivatives.first_pass()
    return np.linalg.norm(derivatives.gradient, axis=1)[places]


def _row_numbers(layer: Embedding, rows: Rows) -> np.ndarray:
    total = int(layer.offsets[-1])
    if rows is None:
        return np.arange(total)
    names = [rows] if isinstance(rows, str) else list(rows)
    if names and all(isinstance(name, str) for name in names):
        ranges = field_rows(layer)
        for name in names:
            if name not in ranges:
                raise ValueError(
                    f"`rows` names an unknown field. Received: {name!r}.{nearest(name, ranges)} "
                    f"Fields: {', '.join(ranges)}."
                )
        return np.concatenate([np.arange(ranges[name].start, ranges[name].stop) for name in names])
    found = np.asarray(rows)
    is_flat = found.ndim == 1 and found.size and np.issubdtype(found.dtype, np.integer)
    if not is_flat or found.min() < 0 or found.max() >= total:
        raise ValueError(
            f"`rows` must be row numbers from 0 to {total - 1}, a field name, a list of field "
            f"names, or None. Received: rows={rows!r}"
        )
    return found.astype(np.int64)


def _groups(
    layer: Embedding, rows: np.ndarray, derivatives: RowDerivatives, is_named: bool
) -> list[np.ndarray]:
    """Returns the positions of rows that occur, in groups; no sample looks up two of a group."""
    field = np.searchsorted(layer.offsets[1:], rows, side="right")
    occurs = derivatives.counts > 0
    groups = []
    for number, has_several in enumerate(derivatives.has_several):
        places = np.flatnonzero(occurs & (field == number))
        if not len(places):
            continue
        if not has_several:
            groups.append(places)
            continue
        owned = [name for name in layer.fields if name not in layer.shared]
        if not is_named:
            raise ValueError(
                f"Samples have several ids of the field {owned[number]!r}, so each of its rows "
                "needs a separate product. Pass `rows`: row numbers, or names of fields. "
                f"Fields: {', '.join(layer.fields)}."
            )
        groups.extend(places[:, None])
    return groups
