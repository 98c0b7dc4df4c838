"""A Keras model of your own, trained with Keras's Adam, with tf_helen's Adam, and with Helen.

`python examples/own_model.py` prints the validation AUC after each epoch. The model is not changed
for Helen: `tf_helen.enable` gives it the training step of two gradients.
"""

import keras
import numpy as np

import tf_helen

FIELDS = {"user": 3000, "item": 1000}


def clicks(rows: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns ids [rows, 2] whose frequencies follow a power law, and labels [rows, 1]."""
    taste = np.random.default_rng(0).normal(size=(sum(FIELDS.values()), 4))
    rng = np.random.default_rng(seed)
    columns = [(size * rng.random(rows) ** 2).astype(int) for size in FIELDS.values()]
    user, item = taste[columns[0]], taste[FIELDS["user"] + columns[1]]
    logit = (user * item).sum(axis=1) + item[:, 0] - 1
    label = rng.random(rows) < 1 / (1 + np.exp(-logit))
    return np.stack(columns, axis=1), label[:, None].astype("float32")


def own_model() -> keras.Model:
    """Returns a stock Keras model; only the embedding layer is tf_helen's."""
    inputs = keras.Input((len(FIELDS),), dtype="int32")
    x = tf_helen.layers.Embedding(FIELDS, 16)(inputs)  # one table, one row range per field
    x = keras.layers.Flatten()(x)
    x = keras.layers.Dense(64, activation="relu")(x)
    return keras.Model(inputs, keras.layers.Dense(1)(x))


def aucs(optimizer: keras.optimizers.Optimizer, epochs: int = 3) -> list[float]:
    """Returns the validation AUC after each epoch."""
    keras.utils.set_random_seed(0)
    model = own_model()
    tf_helen.enable(model)  # before `compile`; only Helen and SAM need it
    metrics = [tf_helen.metrics.AUC(from_logits=True, name="auc")]
    loss = keras.losses.BinaryCrossentropy(from_logits=True)
    model.compile(optimizer, loss, metrics=metrics)
    train, valid = clicks(60_000, seed=1), clicks(10_000, seed=2)
    fitted = model.fit(*train, batch_size=256, epochs=epochs, validation_data=valid, verbose=0)
    return fitted.history["val_auc"]


if __name__ == "__main__":
    for name, optimizer in {
        "keras.optimizers.Adam": keras.optimizers.Adam(1e-3),
        "tf_helen.Adam": tf_helen.Adam(1e-3),
        "tf_helen.Helen(AdamAR)": tf_helen.Helen(
            rho=0.01, base_optimizer=tf_helen.AdamAR(1e-3, alpha=1e-5)
        ),
    }.items():
        print(f"{name:24}", *(f"{auc:.4f}" for auc in aucs(optimizer)))
