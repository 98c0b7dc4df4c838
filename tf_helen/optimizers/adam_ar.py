"""AdamAR and AdagradAR: rows decay with the time that they are absent."""

from __future__ import annotations

from typing import Unpack

import keras

from tf_helen.optimizers.arguments import CommonArguments, LearningRate
from tf_helen.optimizers.row_sparse import RowSparseOptimizer
from tf_helen.rules import AdagradRule, AdamRule, IntervalDecay, Rule
from tf_helen.rules.interval_decay import Alpha


@keras.saving.register_keras_serializable(package="tf_helen")
class AdamAR(RowSparseOptimizer):
    """Adam whose embedding rows decay with the time that they are absent.

    For every row k at every step t, with s_k the step of its last non-zero gradient:
    ```
    I      = t - s_k - 1
    lambda = min(1, alpha * I)
    e_k    = e_k - lambda * e_k - lr * m_hat / (sqrt(v_hat) + epsilon)
    ```
    The decay is decoupled and not multiplied by the learning rate. A row that is absent for n
    steps is multiplied by about `exp(-alpha n^2 / 2)` **before it is next read**, in training and
    evaluation, which prevents one-epoch overfitting. Dense weights do not decay.

    With `decay="continuous"`, the decay of absent rows is a closed form of (t, s_k), so a step
    costs as much as the rows of the batch. `tf_helen.layers.Embedding` applies the pending decay to
    the rows that it reads, and the optimizer to the rows that it updates.
    `finalize_variable_values` applies it to whole tables; Keras calls it at the end of `fit`,
    `tf_helen.Model` also before validation, saving and export. `tf_helen.settle` applies it at any
    time. Steps that do not train a table do not count for it. A `tf.train.Checkpoint` stores rows
    and their records without applying the decay. With other embedding layers, whole tables are read
    and written every `sweep_every` steps, and rows may be read up to that many steps late.
    `decay="on_occurrence"` decays a row once, by its last interval, when it occurs. This is another
    reading of the paper, which was worse than Adam in our measurements; use it for comparison only.

    `alpha="auto"` derives alpha from the length of an epoch, E steps. It is the smallest alpha for
    which a row that occurs once per epoch decays to nothing before it is read again: `exp(-alpha n
    (n + 1) / 2) = 2^-24` for `n = E - 1`, so `alpha = 33.3 / (E (E - 1))`. In the first epoch, rows
    do not decay. When the second epoch starts, E is known, and rows decay by their whole absence.
    On data that never repeat, the optimizer is Adam. `tf_helen.Model.fit` calls `begin_epoch()` and
    `end_epoch()`, as a custom loop must. E is the length of the longest epoch so far; epochs of
    fewer than 5 steps are ignored. Pass `steps_per_epoch` if an epoch of `fit` is not one pass over
    the data.

    With a mapping, every row has its own alpha, such as 0 for all rows but the rare ones. This
    costs 4 bytes per row, and the decay is `P(n) = exp(-alpha n (n + 1) / 2)`, as with "auto".
    Arrays are saved with the state of the optimizer; its configuration does not contain them.

    The moments of absent rows do not change (`moments="lazy"`, the default). `moments="dense"` is
    Algorithm 1 on whole tables, for comparison; rows of any matrix with a zero gradient then count
    as absent. If a row first occurs at step t, I is t - 1, so its initial values are decayed; with
    `decay_unseen=False` they are not. Memory: two slots of the size of the table and 8 bytes per
    row.

    Args:
        learning_rate: float, schedule or callable. Defaults to 1e-3.
        alpha: float in [0, 1], decay per step of absence (the paper searches 10^-6.5 to 10^-1);
            "auto"; or a dict from the path of a table, the end of the path, or the names of all its
            fields to a float or an array `[rows]`; the key "*", with a float, sets all other
            tables. Defaults to 1e-4.
        decay: "continuous" or "on_occurrence". Defaults to "continuous".
        decay_unseen: boolean, whether to decay rows that have not occurred yet, as in the paper. If
            `False`, a row keeps its initial value until it first occurs. Defaults to `True`.
        sweep_every: int, at least 1, steps between updates of whole tables that are not read by
            `tf_helen.layers.Embedding`. Defaults to 100.
        steps_per_epoch: int, for `alpha="auto"`, steps of one pass over the data. Defaults to
            `None`: those of the first epoch.
        clock: "steps", or "event": alpha is the decay per unit of time of absence instead of per
            step. The time of a step is the latest of its batch, which `tf_helen.Model.fit` reads
            from the input "time"; a custom loop calls `advance_clock`. Defaults to "steps".
        time_unit: float, above 0, the time in one unit of `clock="event"`, such as 3600 for hours
            if times are seconds. Defaults to 1.
        beta_1, beta_2, epsilon, amsgrad, epsilon_hat: see `tf_helen.Adam`.
        name: string, name of the optimizer.
        **kwargs: see `tf_helen.RowSparseOptimizer`, including `moments`.

    Raises:
        ValueError: on alpha outside [0, 1], an unknown `decay` or `moments`, `sweep_every` < 1; at
            the first step on alphas that fit no table, or a table that has none.

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
        alpha: Alpha = 1e-4,
        decay: str = "continuous",
        decay_unseen: bool = True,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        amsgrad: bool = False,
        epsilon_hat: bool = False,
        sweep_every: int = 100,
        steps_per_epoch: int | None = None,
        clock: str = "steps",
        time_unit: float = 1.0,
        name: str = "adam_ar",
        **kwargs: Unpack[CommonArguments],
    ):
        rule: Rule = AdamRule(
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
            clock=clock,
            time_unit=time_unit,
            name=name,
            **kwargs,
        )


@keras.saving.register_keras_serializable(package="tf_helen")
class AdagradAR(RowSparseOptimizer):
    """Adagrad whose embedding rows decay with the time that they are absent.

    `e_k <- e_k - min(1, alpha I) e_k - lr * g / (sqrt(G) + epsilon)`; see `tf_helen.AdamAR` for
    the decay. Adagrad does not change absent rows, so `decay="continuous"` equals the paper's
    Algorithm 1 on whole tables up to rounding. Memory: one slot of the size of the table and 8
    bytes per row.

    Args:
        learning_rate: float, schedule or callable. Defaults to 1e-2.
        alpha: float in [0, 1], decay per step of absence, "auto" or a mapping: see
            `tf_helen.AdamAR`. Defaults to 1e-4.
        decay: "continuous" or "on_occurrence". Defaults to "continuous".
        decay_unseen: boolean, see `tf_helen.AdamAR`. Defaults to `True`.
        sweep_every, steps_per_epoch, clock, time_unit: see `tf_helen.AdamAR`.
        initial_accumulator_value, epsilon, epsilon_inside: see `tf_helen.Adagrad`.
        name: string, name of the optimizer.
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
        alpha: Alpha = 1e-4,
        decay: str = "continuous",
        decay_unseen: bool = True,
        initial_accumulator_value: float = 0.0,
        epsilon: float = 1e-10,
        epsilon_inside: bool = False,
        sweep_every: int = 100,
        steps_per_epoch: int | None = None,
        clock: str = "steps",
        time_unit: float = 1.0,
        name: str = "adagrad_ar",
        **kwargs: Unpack[CommonArguments],
    ):
        rule: Rule = AdagradRule(
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
            clock=clock,
            time_unit=time_unit,
            name=name,
            **kwargs,
        )
