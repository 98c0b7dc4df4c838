"""MEDA: embedding tables start anew in every epoch."""

from __future__ import annotations

import keras

from tf_helen import keras_access
from tf_helen.callbacks.slot_check import check_slots
from tf_helen.layers import Embedding
from tf_helen.layers.initializing import draw
from tf_helen.training import loss_scaling


class MEDA(keras.callbacks.Callback):
    """Draws embedding tables anew, and forgets their slots, before every epoch but the first.

    What a model learns in one epoch is kept in the dense weights; the tables, which would have
    memorized the rows of the last epoch, learn again. It is the case of `tf_helen.AdamAR` in which
    every row is fully decayed at an epoch's end and not at all within it. Epochs that
    follow an interrupted training (`initial_epoch > 0`) count as later ones. It costs one write of
    each table and slot per epoch.

    Args:
        layers: names of the embedding layers; `None`: every `tf_helen.layers.Embedding` and
            `keras.layers.Embedding` of the model that is not frozen.
        seed: of the draws; epoch n of every training draws the same rows.

    Raises:
        ValueError: at the start of training, if the model has no such layer.
        TypeError: if the model's optimizer is one of Keras, which cannot forget single slots.

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

    def __init__(self, layers: list[str] | None = None, seed: int = 0):
        super().__init__()
        self.layer_names = None if layers is None else list(layers)
        self.seed = int(seed)
        self._embeddings: list[keras.layers.Layer] = []

    def on_train_begin(self, logs=None):
        kinds = (Embedding, keras.layers.Embedding)
        layers = [layer for layer in keras_access.layers_of(self.model) if isinstance(layer, kinds)]
        # What is frozen, such as a pretrained table, keeps its rows.
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
            raise ValueError("MEDA needs a trainable embedding layer, and the model has none.")
        self._embeddings = found
        check_slots(self.model, found, "MEDA")  # now, not after the first epoch

    def on_epoch_begin(self, epoch, logs=None):
        if epoch == 0:
            return
        optimizer = loss_scaling.unwrap(self.model.optimizer)
        for i, layer in enumerate(self._embeddings):
            if not layer.built:
                continue
            initializer = _reseeded(layer.embeddings_initializer, hash((self.seed, epoch, i)))
            draw(layer.embeddings, initializer)
            if optimizer.built:
                optimizer.reset_slots(layer.embeddings)


def _reseeded(
    initializer: keras.initializers.Initializer, seed: int
) -> keras.initializers.Initializer:
    """The same distribution, drawn from another seed."""
    config = initializer.get_config()
    if "seed" in config:
        config["seed"] = abs(seed) % (1 << 31)
    return type(initializer).from_config(config)
