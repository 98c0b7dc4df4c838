"""MEDA: embedding tables are re-initialized in every epoch."""

from __future__ import annotations

import keras

from tf_helen import keras_access
from tf_helen.callbacks.slot_check import check_slots
from tf_helen.core.whole_state import parts_of
from tf_helen.layers import Embedding
from tf_helen.layers.initializing import draw
from tf_helen.training import loss_scaling


class MEDA(keras.callbacks.Callback):
    """Re-initializes embedding tables and their slots before each epoch except the first.

    With `continual=True` also before the first epoch, for a model that was trained on earlier data.

    Dense weights are kept, while tables, which would have memorized the rows of the last epoch, are
    trained again. This corresponds to `tf_helen.AdamAR` with full decay at the end of an epoch and
    none within it. Epochs after a resumed training (`initial_epoch > 0`) are not the first one. The
    cost is one write of each table and slot per epoch.

    Args:
        layers: list of names of embedding layers. Defaults to `None`: every trainable
            `tf_helen.layers.Embedding` and `keras.layers.Embedding` of the model.
        seed: int, seed of the initial values, which depend on it and on the epoch. Defaults to 0.
        continual: boolean, whether to re-initialize before the first epoch too. Defaults to
            `False`.

    Raises:
        ValueError: at the start of training, if the model has no such layer.
        TypeError: if the optimizer is one of Keras, which cannot reset the slots of one table.

    Reference: Fan et al., "Multi-epoch learning with data augmentation for deep click-through rate
    prediction", 2023; as the special case: Li, Lyu, ICLR 2026 (OpenReview QFH5mwP9oH).

    Example:
        >>> inputs = keras.Input((2,), dtype="int32")
        >>> x = keras.layers.Flatten()(tf_helen.layers.Embedding([10, 20], 4)(inputs))
        >>> model = tf_helen.Model(inputs, keras.layers.Dense(1)(x))
        >>> model.compile(tf_helen.Adam(), "mse")
        >>> x, y = np.array([[3, 5], [3, 6]]), np.array([[1.0], [0.0]])
        >>> _ = model.fit(x, y, epochs=3, verbose=0, callbacks=[tf_helen.callbacks.MEDA()])
    """

    def __init__(self, layers: list[str] | None = None, seed: int = 0, continual: bool = False):
        super().__init__()
        self.layer_names = None if layers is None else list(layers)
        self.seed = int(seed)
        self.continual = bool(continual)
        self._embeddings: list[keras.layers.Layer] = []

    def on_train_begin(self, logs=None):
        kinds = (Embedding, keras.layers.Embedding)
        layers = [layer for layer in keras_access.layers_of(self.model) if isinstance(layer, kinds)]
        # Frozen tables, such as pretrained ones, are not re-initialized.
        found = [layer for layer in layers if layer.trainable]
        if self.layer_names is not None:
            known = {layer.name: layer for layer in found}
            unknown = sorted(set(self.layer_names) - set(known))
            if unknown:
                raise ValueError(
                    f"MEDA finds no trainable embedding layers named {unknown}. "
                    f"Known: {sorted(known)}."
                )
            found = [known[name] for name in self.layer_names]
        if not found:
            raise ValueError(
                "MEDA needs a trainable embedding layer. The model has none; remove the callback."
            )
        self._embeddings = found
        check_slots(self.model, found, "MEDA")  # before the first epoch

    def on_epoch_begin(self, epoch, logs=None):
        if epoch == 0 and not self.continual:
            return
        optimizer = loss_scaling.unwrap(self.model.optimizer)
        for i, layer in enumerate(self._embeddings):
            if not layer.built:
                continue
            initializer = _reseeded(layer.embeddings_initializer, hash((self.seed, epoch, i)))
            draw(layer.embeddings, initializer)
            if optimizer.built:
                for part in parts_of(layer.embeddings):
                    optimizer.reset_slots(part)


def _reseeded(
    initializer: keras.initializers.Initializer, seed: int
) -> keras.initializers.Initializer:
    """Returns the initializer with another seed."""
    config = initializer.get_config()
    if "seed" in config:
        config["seed"] = abs(seed) % (1 << 31)
    return type(initializer).from_config(config)
