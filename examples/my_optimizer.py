"""An optimizer of your own: Lion, row-sparse, with AdamAR's decay and Helen around it.

`python examples/my_optimizer.py` trains a small model and prints its loss per epoch.
"""

import dataclasses

import keras
import numpy as np
import tensorflow as tf

import tf_helen
from tf_helen.rules import Direction, IntervalDecay, Rule


@dataclasses.dataclass(frozen=True)
class LionRule(Rule):
    """`e <- e - lr * sign(b1 m + (1 - b1) g)`, `m <- b2 m + (1 - b2) g` (Chen et al., 2023)."""

    beta_1: float = 0.9
    beta_2: float = 0.99

    def slots(self):
        return {"moment": 0.0}

    def direction(self, gradient, slots, step):
        ahead = self.beta_1 * slots["moment"] + (1 - self.beta_1) * gradient
        moment = self.beta_2 * slots["moment"] + (1 - self.beta_2) * gradient
        return Direction(tf.sign(ahead), None, {"moment": moment})


@keras.saving.register_keras_serializable(package="my_optimizer")
class LionAR(tf_helen.RowSparseOptimizer):
    """Lion whose embedding rows decay while they are absent."""

    def __init__(self, learning_rate=1e-3, *, beta_1=0.9, beta_2=0.99, alpha=1e-4, **kwargs):
        rule = IntervalDecay(LionRule(beta_1, beta_2), alpha=alpha)
        super().__init__(learning_rate, rule=rule, **kwargs)


if __name__ == "__main__":
    rng = np.random.default_rng(0)
    ids, labels = rng.integers(0, 100, (2048, 2)), rng.integers(0, 2, (2048, 1))
    inputs = keras.Input((2,), dtype="int32")
    rows = tf_helen.layers.Embedding({"user": 100, "item": 100}, 8)(inputs)
    model = tf_helen.Model(inputs, keras.layers.Dense(1)(keras.layers.Flatten()(rows)))
    optimizer = tf_helen.Helen(rho=0.01, base_optimizer=LionAR(1e-3))
    model.compile(optimizer, keras.losses.BinaryCrossentropy(from_logits=True))
    history = model.fit(ids, labels, batch_size=128, epochs=3, verbose=0)
    print([round(loss, 4) for loss in history.history["loss"]])
