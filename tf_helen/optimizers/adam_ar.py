"""AdamAR and AdagradAR: rows decay by how long they have not occurred."""

from __future__ import annotations

from typing import Unpack

import keras

from tf_helen.optimizers.arguments import CommonArguments, LearningRate
from tf_helen.optimizers.row_sparse import RowSparseOptimizer
from tf_helen.rules import AdagradRule, AdamRule, IntervalDecay


@keras.saving.register_keras_serializable(package="tf_helen")
class AdamAR(RowSparseOptimizer):
    """Adam whose embedding rows decay by how long they have not occurred.

    For every row k at every step t, with s_k the step of its last non-zero gradient:
    ```
    I      = t - s_k - 1
    lambda = min(1, alpha * I)
    e_k    = e_k - lambda * e_k - lr * m_hat / (sqrt(v_hat) + epsilon)
    ```
    The decay is decoupled and not multiplied by the learning rate. A row that is absent for n
    steps forgets by about `exp(-alpha n^2 / 2)` **before it is next read**, in training and
    evaluation alike; that is what prevents one-epoch overfitting. Dense weights never decay.

    `decay="continuous"` (default) is this rule at row cost: the decay of absent rows is a closed
    form of (t, s_k), which `tf_helen.layers.Embedding` applies to the rows it reads and the
    optimizer to the rows it updates. `finalize_variable_values` writes it to whole tables; Keras
    calls it at the end of `fit`, `tf_helen.Model` before validation, saving and export too, and
    `tf_helen.settle` at any time. Steps that do not train a table do not count for it. A
    `tf.train.Checkpoint` holds the stored rows with their counters and needs no sweep.
    With an embedding layer that is not ours, whose reads we do not see, whole tables are swept
    every `sweep_every` steps: one read and write of the table, and rows are read up to that many
    steps late. `decay="on_occurrence"` decays a row once, by its last interval, when it occurs:
    the other reading of the paper, measured to be worse than Adam; for comparison only.

    `alpha="auto"` finds alpha from the length of an epoch, E steps: the least decay by which a row
    that occurs once per epoch is forgotten before it is read again, `exp(-alpha n (n + 1) / 2) =
    2^-24` for `n = E - 1`, so `alpha = 33.3 / (E (E - 1))`. In the first epoch, where nothing is
    read again that the model could have memorized, no row decays; when the second one starts, E is
    known, and rows decay by their whole absence. On data that never repeat it is Adam.
    `tf_helen.Model.fit` tells the optimizer where epochs begin and end; a custom loop calls
    `begin_epoch()` and `end_epoch()`. E is that of the longest epoch so far, fewer than 5 steps not
    counted. Give `steps_per_epoch` if an epoch of `fit` is not one pass over the data.

    Absent rows' moments wait (`moments="lazy"`, default). `moments="dense"` is Algorithm 1 to the
    letter over whole tables, for comparison; then a row of any matrix whose gradient is exactly
    zero counts as absent. A row's first occurrence at step t has I = t - 1, so what it started
    from is decayed; with `decay_unseen=False` it is not. Memory: two slots like the table and 8
    bytes per row.

    Args:
        learning_rate: float, schedule or callable. Defaults to 1e-3.
        alpha: float in [0, 1], decay per step of absence; the paper searches 10^-6.5 to 10^-1; or
            "auto". Defaults to 1e-4.
        decay: "continuous" or "on_occurrence". Defaults to "continuous".
        decay_unseen: boolean; decay rows that have not occurred yet, as the paper does. `False`: a
            row keeps its initial value until it first occurs, and is not decayed then. Defaults to
            `True`.
        sweep_every: int, at least 1: steps between sweeps over tables whose layer is not ours.
            Defaults to 100.
        steps_per_epoch: int, for `alpha="auto"`: steps in which the data repeat. Defaults to
            `None`: those of the first epoch.
        beta_1, beta_2, epsilon, amsgrad, epsilon_hat: see `tf_helen.Adam`.
        name: string, the optimizer's name.
        **kwargs: see `tf_helen.RowSparseOptimizer`; `moments` among them.

    Raises:
        ValueError: on alpha outside [0, 1], an unknown `decay` or `moments`, `sweep_every` < 1.

    Reference: Li, Lyu, ICLR 2026 (OpenReview QFH5mwP9oH), Algorithm 1.

    Example:
        >>> table = keras.Variable([[1.0], [1.0]])
        >>> optimizer = tf_helen.AdamAR(learning_rate=0.0, alpha=0.5)
        >>> for _ in range(3):
        ...     optimizer.apply([tf.IndexedSlices(tf.ones([1, 1]), tf.constant([0]))], [table])
        >>> optimizer.finalize_variable_values([table])
        >>> table.numpy().ravel().tolist()  # row 1 was absent for I = 0, 1, 2
        [1.0, 0.0]
    """

    def __init__(
        self,
        learning_rate: LearningRate = 1e-3,
        *,
        alpha: float | str = 1e-4,
        decay: str = "continuous",
        decay_unseen: bool = True,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        amsgrad: bool = False,
        epsilon_hat: bool = False,
        sweep_every: int = 100,
        steps_per_epoch: int | None = None,
        name: str = "adam_ar",
        **kwargs: Unpack[CommonArguments],
    ):
        rule = AdamRule(
            beta_1=beta_1,
            beta_2=beta_2,
            epsilon=epsilon,
            amsgrad=amsgrad,
            epsilon_hat=epsilon_hat,
        )
        rule = IntervalDecay(rule, alpha=alpha, decay=decay, decay_unseen=decay_unseen)
        super().__init__(
            learning_rate,
            rule=rule,
            sweep_every=sweep_every,
            steps_per_epoch=steps_per_epoch,
            name=name,
            **kwargs,
        )


@keras.saving.register_keras_serializable(package="tf_helen")
class AdagradAR(RowSparseOptimizer):
    """Adagrad whose embedding rows decay by how long they have not occurred.

    `e_k <- e_k - min(1, alpha I) e_k - lr * g / (sqrt(G) + epsilon)`; see `tf_helen.AdamAR` for
    the decay. Adagrad leaves absent rows alone, so `decay="continuous"` equals the paper's
    Algorithm 1 over whole tables to rounding. Memory: one slot like the table and 8 bytes per row.

    Args:
        learning_rate: float, schedule or callable. Defaults to 1e-2.
        alpha: float in [0, 1], decay per step of absence, or "auto": see `tf_helen.AdamAR`.
            Defaults to 1e-4.
        decay: "continuous" or "on_occurrence". Defaults to "continuous".
        decay_unseen: boolean, see `tf_helen.AdamAR`. Defaults to `True`.
        sweep_every, steps_per_epoch: see `tf_helen.AdamAR`.
        initial_accumulator_value, epsilon, epsilon_inside: see `tf_helen.Adagrad`.
        name: string, the optimizer's name.
        **kwargs: see `tf_helen.RowSparseOptimizer`.

    Raises:
        ValueError: as `tf_helen.AdamAR`.

    Reference: Li, Lyu, ICLR 2026 (OpenReview QFH5mwP9oH), Algorithm 1.

    Example:
        >>> table = keras.Variable([[1.0], [1.0]])
        >>> optimizer = tf_helen.AdagradAR(learning_rate=0.5, alpha=0.25)
        >>> for _ in range(3):
        ...     optimizer.apply([tf.IndexedSlices(tf.ones([1, 1]), tf.constant([0]))], [table])
        >>> optimizer.finalize_variable_values([table])
        >>> round(float(table.numpy()[1, 0]), 4)  # (1 - .25) * (1 - .5)
        0.375
    """

    def __init__(
        self,
        learning_rate: LearningRate = 1e-2,
        *,
        alpha: float | str = 1e-4,
        decay: str = "continuous",
        decay_unseen: bool = True,
        initial_accumulator_value: float = 0.0,
        epsilon: float = 1e-10,
        epsilon_inside: bool = False,
        sweep_every: int = 100,
        steps_per_epoch: int | None = None,
        name: str = "adagrad_ar",
        **kwargs: Unpack[CommonArguments],
    ):
        rule = AdagradRule(
            initial_accumulator_value=initial_accumulator_value,
            epsilon=epsilon,
            epsilon_inside=epsilon_inside,
        )
        rule = IntervalDecay(rule, alpha=alpha, decay=decay, decay_unseen=decay_unseen)
        super().__init__(
            learning_rate,
            rule=rule,
            sweep_every=sweep_every,
            steps_per_epoch=steps_per_epoch,
            name=name,
            **kwargs,
        )
