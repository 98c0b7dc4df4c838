"""IdCounts: admitted, evicted and refused ids of dynamic tables, after each epoch."""

from __future__ import annotations

from tf_helen import keras_access
from tf_helen.callbacks.scalars import EpochScalars
from tf_helen.layers import DynamicEmbedding


class IdCounts(EpochScalars):
    """Adds the numbers of ids of each `tf_helen.layers.DynamicEmbedding` to the logs of each epoch.

    The logs get, for each field with own rows, `ids/<layer>/<field>/admitted`, `.../evicted` and
    `.../refused`, the numbers of ids since the layer was created (an id that is refused in several
    batches counts in each), and `.../fill`, the share of its rows that have an id.

    Args:
        log_dir: string, folder for TensorBoard. Defaults to `None`.

    Raises:
        ValueError: at the start of training, if the model has no such layer.

    Example:
        >>> inputs = keras.Input((1,), dtype="int64")
        >>> layer = tf_helen.layers.DynamicEmbedding({"user": 4}, 2, name="table")
        >>> x = keras.layers.Flatten()(layer(inputs))
        >>> model = tf_helen.Model(inputs, keras.layers.Dense(1)(x))
        >>> model.compile(tf_helen.Adam(), "mse")
        >>> x, y, callbacks = np.array([[33]]), np.array([[1.0]]), [tf_helen.callbacks.IdCounts()]
        >>> logs = model.fit(x, y, verbose=0, callbacks=callbacks).history
        >>> logs["ids/table/user/admitted"], logs["ids/table/user/fill"]
        ([1], [0.25])
    """

    def on_train_begin(self, logs=None):
        if not self._dynamic():
            raise ValueError(
                "IdCounts needs a `tf_helen.layers.DynamicEmbedding`. The model has none; remove "
                "the callback."
            )

    def measure(self):
        measured = {}
        for layer in self._dynamic():
            for field, state in layer.table_state().items():
                name = f"ids/{layer.name}/{field}"
                for what in ("admitted", "evicted", "refused"):
                    measured[f"{name}/{what}"] = state[what]
                measured[f"{name}/fill"] = len(state["row"]) / state["capacity"]
        return measured

    def _dynamic(self) -> list[DynamicEmbedding]:
        layers = keras_access.layers_of(self.model)
        return [layer for layer in layers if isinstance(layer, DynamicEmbedding)]
