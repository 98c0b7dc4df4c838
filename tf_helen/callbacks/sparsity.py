"""Sparsity: the share of embedding rows that are zero, after each epoch."""

from __future__ import annotations

from tf_helen.analysis import tables_of, zero_rows
from tf_helen.callbacks.scalars import EpochScalars


class Sparsity(EpochScalars):
    """Measures the share of embedding rows that are exactly zero at the end of each epoch.

    The logs get `zero_rows/<table>`, from 0 to 1, where table is a name of
    `tf_helen.analysis.tables_of`. The tables are read once per epoch, in chunks; a pending decay is
    applied first.

    Args:
        log_dir: string, folder for TensorBoard. Defaults to `None`.

    Raises:
        ValueError: at the start of training, if the model has no `tf_helen.layers.Embedding`.

    Reference: Yue et al., ECML PKDD 2021 (arXiv 2107.14432) compare optimizers at equal shares of
        zero rows.

    Example:
        >>> inputs = keras.Input((1,), dtype="int32")
        >>> layer = tf_helen.layers.Embedding(4, 2, embeddings_initializer="zeros", name="ids")
        >>> x = keras.layers.Flatten()(layer(inputs))
        >>> model = tf_helen.Model(inputs, keras.layers.Dense(1)(x))
        >>> model.compile(tf_helen.Adam(), "mse")
        >>> x, y, callbacks = np.array([[3]]), np.array([[1.0]]), [tf_helen.callbacks.Sparsity()]
        >>> model.fit(x, y, verbose=0, callbacks=callbacks).history["zero_rows/ids"]
        [0.75]
    """

    def on_train_begin(self, logs=None):
        tables_of(self.model)

    def measure(self):
        return {f"zero_rows/{name}": share for name, share in zero_rows(self.model).items()}
