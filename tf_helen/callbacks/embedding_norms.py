"""EmbeddingNorms: the norms of embedding rows by frequency, after each epoch."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tf_helen.analysis import (
    embedding_norms,
    frequency_buckets,
    rademacher_bound,
    table_counts,
    tables_of,
)
from tf_helen.callbacks.scalars import EpochScalars


class EmbeddingNorms(EpochScalars):
    """Measures the norms of embedding rows by frequency bucket at the end of each epoch.

    The logs get `embedding_norm/<table>/<bucket>/sum` and `.../mean` for every bucket with rows,
    such as `embedding_norm/ids/10-99/mean`, where table is a name of `tf_helen.analysis.tables_of`.
    The tables are read once per epoch, in chunks; a pending decay is applied first.

    Args:
        counts: dict from field name to the number of occurrences of each id in the training set,
            such as `zoo.load_counts` returns. Defaults to `None`: all rows are in one bucket,
            "all".
        edges, quantiles: the buckets, see `tf_helen.analysis.frequency_buckets`.
        samples: int, number of training samples; the logs get `rademacher_bound`, see
            `tf_helen.analysis.rademacher_bound`. Defaults to `None`: no bound.
        log_dir: string, folder for TensorBoard. Defaults to `None`.

    Raises:
        ValueError: at the start of training, if the model has no `tf_helen.layers.Embedding` or the
            counts do not fit.

    Reference: Li, Lyu, ICLR 2026 (OpenReview QFH5mwP9oH): while a model overfits, the norms of rare
        rows grow.

    Example:
        >>> inputs = keras.Input((1,), dtype="int32")
        >>> layer = tf_helen.layers.Embedding({"user": 5}, 2, name="ids")
        >>> x = keras.layers.Dense(1)(keras.layers.Flatten()(layer(inputs)))
        >>> model = tf_helen.Model(inputs, x)
        >>> model.compile(tf_helen.Adam(), "mse")
        >>> norms = tf_helen.callbacks.EmbeddingNorms({"user": [0, 3, 20, 1, 0]})
        >>> x, y = np.array([[3], [2]]), np.array([[1.0], [0.0]])
        >>> logs = model.fit(x, y, verbose=0, callbacks=[norms]).history
        >>> sorted(logs)[:3]
        ['embedding_norm/ids/0/mean', 'embedding_norm/ids/0/sum', 'embedding_norm/ids/1-9/mean']
    """

    def __init__(
        self,
        counts: Mapping[str, Sequence[int]] | None = None,
        *,
        edges: Sequence[int] | None = None,
        quantiles: int | None = None,
        samples: int | None = None,
        log_dir: str | os.PathLike[str] | None = None,
    ):
        super().__init__(log_dir)
        self.counts, self.samples = counts, samples
        frequency_buckets([0], edges=edges, quantiles=quantiles)  # raises an error on bad values
        self._how: dict[str, Any] = {"edges": edges, "quantiles": quantiles}
        self._buckets: dict[str, tuple[np.ndarray, list[str]]] = {}

    def on_train_begin(self, logs=None):
        self._buckets = {}
        for name, layer in tables_of(self.model).items():
            if self.counts is None:
                self._buckets[name] = np.zeros(int(layer.offsets[-1]), np.int64), ["all"]
                continue
            found = frequency_buckets(table_counts(layer, self.counts), **self._how)
            self._buckets[name] = found.assignment, found.labels

    def measure(self):
        measured = {}
        tables = tables_of(self.model)
        for name, (assignment, labels) in self._buckets.items():
            norms = embedding_norms(tables[name], assignment)
            for label, rows, total, mean in zip(labels, *norms.values(), strict=False):
                if rows:
                    measured[f"embedding_norm/{name}/{label}/sum"] = float(total)
                    measured[f"embedding_norm/{name}/{label}/mean"] = float(mean)
        if self.samples is not None:
            measured["rademacher_bound"] = rademacher_bound(self.model, self.samples)
        return measured
