"""AdamW and AdagradW: decoupled weight decay, with row counters on demand."""

from __future__ import annotations

import keras

from tf_helen.optimizers.adagrad import Adagrad
from tf_helen.optimizers.adam import Adam
from tf_helen.optimizers.counter_decay import CounterDecay


@keras.saving.register_keras_serializable(package="tf_helen")
class AdamW(CounterDecay, Adam):
    """Row-sparse Adam with decoupled weight decay on the rows of the batch.

    `e <- (1 - lr * weight_decay * f) e`, then Adam's step. A row that is away does not decay (see
    `tf_helen.AdamAR` for one that does). f is 1, or with `counter_halflife=h` it is `h / c`, c the
    row's recent count, `c <- 1 + 2^(-(t - s) / h) c`: rare rows decay more, as in FBGEMM's
    counter-based regularization. Memory: two slots like the table; with counters 8 bytes per row.

    Args:
        learning_rate: step size.
        weight_decay: strength, not negative.
        counter_halflife: h, in steps; `None`: no counters.
        **kwargs: see `tf_helen.Adam`. `exclude_from_weight_decay` works as in Keras.

    Raises:
        ValueError: on a negative `weight_decay` or a `counter_halflife` below 1.

    Reference: Loshchilov, Hutter, ICLR 2019, Algorithm 2; FBGEMM's rowwise Adagrad with counter
    (decoupled mode) for `counter_halflife`.

    Example:
        >>> w = keras.Variable([1.0])
        >>> tf_helen.AdamW(0.5, weight_decay=0.1).apply([tf.constant([2.0])], [w])
        >>> round(float(w.numpy()[0]), 4)
        0.45
    """

    def __init__(
        self,
        learning_rate=1e-3,
        weight_decay=4e-3,
        counter_halflife=None,
        *,
        name="adamw",
        **kwargs,
    ):
        super().__init__(
            learning_rate,
            weight_decay=weight_decay,
            counter_halflife=counter_halflife,
            name=name,
            **kwargs,
        )


@keras.saving.register_keras_serializable(package="tf_helen")
class AdagradW(CounterDecay, Adagrad):
    """Row-sparse Adagrad with decoupled weight decay on the rows of the batch.

    `e <- (1 - lr * weight_decay * f) e`, then Adagrad's step; f as in `tf_helen.AdamW`. Memory: one
    slot like the table; with counters 8 bytes per row.

    Args:
        learning_rate: step size.
        weight_decay: strength, not negative.
        counter_halflife: see `tf_helen.AdamW`.
        **kwargs: see `tf_helen.Adagrad`.

    Raises:
        ValueError: as `tf_helen.AdamW` and `tf_helen.Adagrad`.

    Reference: FBGEMM's rowwise Adagrad with counter, decoupled mode; here per weight.

    Example:
        >>> w = keras.Variable([1.0])
        >>> tf_helen.AdagradW(0.5, weight_decay=0.1).apply([tf.constant([2.0])], [w])
        >>> round(float(w.numpy()[0]), 4)
        0.45
    """

    def __init__(
        self,
        learning_rate=1e-2,
        weight_decay=4e-3,
        counter_halflife=None,
        *,
        name="adagradw",
        **kwargs,
    ):
        super().__init__(
            learning_rate,
            weight_decay=weight_decay,
            counter_halflife=counter_halflife,
            name=name,
            **kwargs,
        )
