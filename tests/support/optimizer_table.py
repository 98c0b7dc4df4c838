"""The one table: every optimizer, and how the shared tests drive it."""

import dataclasses
from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf

import tf_helen


@dataclasses.dataclass(frozen=True)
class Entry:
    """One optimizer under test.

    Attributes:
        make: builds it from Keras's keyword arguments.
        one_hot: builds it so that the same model on one-hot inputs must train alike.
        two_pass: needs the trainer seam.
        decays: rows change while they are away.
    """

    make: Callable
    one_hot: Callable | None = None
    two_pass: bool = False
    decays: bool = False


LR = 0.05
ENTRIES = {
    "SGD": Entry(lambda **k: tf_helen.SGD(**{"learning_rate": LR, **k})),
    "Momentum": Entry(lambda **k: tf_helen.Momentum(**{"learning_rate": LR, **k})),
    "Nesterov": Entry(
        lambda **k: tf_helen.Momentum(**{"learning_rate": LR, "nesterov": True, **k})
    ),
    "Adagrad": Entry(lambda **k: tf_helen.Adagrad(**{"learning_rate": LR, **k})),
    "Adam": Entry(lambda **k: tf_helen.Adam(**{"learning_rate": LR, **k})),
    "AMSGrad": Entry(lambda **k: tf_helen.Adam(**{"learning_rate": LR, "amsgrad": True, **k})),
    "AdamW": Entry(
        lambda **k: tf_helen.AdamW(**{"learning_rate": LR, "weight_decay": 0.1, **k}),
    ),
    "AdamAR": Entry(
        lambda **k: tf_helen.AdamAR(**{"learning_rate": LR, "alpha": 0.01, **k}), decays=True
    ),
    "AdagradAR": Entry(
        lambda **k: tf_helen.AdagradAR(**{"learning_rate": LR, "alpha": 0.01, **k}), decays=True
    ),
    "SAM": Entry(lambda **k: tf_helen.SAM(**{"learning_rate": LR, **k}), two_pass=True),
    "ASAM": Entry(
        lambda **k: tf_helen.ASAM(**{"learning_rate": LR, "rho": 0.2, **k}), two_pass=True
    ),
    "Helen": Entry(
        lambda **k: tf_helen.Helen(**{"learning_rate": LR, **k}),
        # One-hot inputs hide how often a feature occurs: equal frequencies, one norm.
        one_hot=lambda **k: tf_helen.Helen(
            **{"learning_rate": LR, "norm": "table", "lower_bound": 1.0, **k}
        ),
        two_pass=True,
    ),
    "Helen running": Entry(
        lambda **k: tf_helen.Helen(**{"learning_rate": LR, "frequency": "running", **k}),
        one_hot=lambda **k: tf_helen.Helen(
            **{
                "learning_rate": LR,
                "norm": "table",
                "frequency": "running",
                "lower_bound": 1.0,
                **k,
            }
        ),
        two_pass=True,
    ),
    "Helen(AdamAR)": Entry(
        lambda **k: tf_helen.Helen(
            base_optimizer=tf_helen.AdamAR(**{"learning_rate": LR, "alpha": 0.01, **k})
        ),
        one_hot=lambda **k: tf_helen.Helen(
            norm="table",
            lower_bound=1.0,
            base_optimizer=tf_helen.AdamAR(**{"learning_rate": LR, "alpha": 0.01, **k}),
        ),
        two_pass=True,
        decays=True,
    ),
}


def new_table(rows=7, width=3, dtype="float32", seed=0) -> keras.Variable:
    """A table of random rows, of which no layer of ours knows."""
    values = np.random.default_rng(seed).normal(size=(rows, width))
    return keras.Variable(values, dtype=dtype, name="table")


def take_step(optimizer, table, ids, weights) -> None:
    """One step on the loss `sum_i <weights_i, e_(ids_i)> + |e_(ids_i)|^2 / 2`."""
    ids = tf.cast(ids, tf.int32)
    weights = tf.constant(np.asarray(weights), table.dtype)

    def closure():
        rows = tf.gather(table.value, ids)
        return tf.reduce_sum(weights * rows) + tf.reduce_sum(tf.square(rows)) / 2

    optimizer.minimize(closure, [table])


def state_of(optimizer) -> list[np.ndarray]:
    """All the optimizer's variables."""
    return [np.array(v.numpy()) for v in optimizer.variables]
