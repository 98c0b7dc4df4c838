"""Helen: sharpness-aware minimization with a radius by feature frequency."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tf_helen.core import checks, replicas, tables
from tf_helen.core.rows import RowBlock, per_row, row_norms
from tf_helen.optimizers import frequency as frequencies
from tf_helen.optimizers.arguments import LearningRate
from tf_helen.optimizers.sam import SAM, scaled, total_norm, unit_scale
from tf_helen.optimizers.slots import HISTORY, add_slot

# Replaces counts in a config; they are saved with the state of the optimizer.
_SAVED = {"counts": "saved with the optimizer"}


@keras.saving.register_keras_serializable(package="tf_helen")
class Helen(SAM):
    """Frequency-wise Hessian eigenvalue regularization for click-through-rate models.

    ```
    dense weights:     eps_h = rho * g_h / ||g_h||
    row k of field j:  eps_k = rho * max(N_k / max_k' N_k', lower_bound) * g_k / ||g_k||
    ```

    The base optimizer applies the gradient at the perturbed weights to the original weights.
    Frequent features, which have the sharpest minima, are perturbed most. N is the number of
    occurrences of a row, and the maximum is over the rows of the same field. Only rows of the batch
    are perturbed, within the second pass only. Like `tf_helen.SAM`, it needs `tf_helen.Model`,
    `tf_helen.enable` or `minimize`.

    There are two versions. The **paper** (Eq. 7, 8) has N over the training set (counts as
    `frequency`), the norm of each row (`norm="row"`), and for dense weights their own norm
    (`dense_norm="dense"`). The **authors' code** has N in the batch (`frequency="batch"`), the norm
    of the field's whole table (`norm="table"`), tables of width 1 among the dense weights, and for
    dense weights the norm of the last table (`dense_norm="last_table"`), because its loop
    overwrites a variable; the likely intent is `dense_norm="global"`. Its default lower bound is
    0.3. The defaults here are the norms of the paper with frequencies of the batch, which need no
    pass over the data.

    Args:
        learning_rate: float or schedule of the base optimizer. Defaults to `None`: the default of
            the base optimizer, 1e-3 for "adam".
        rho: float, not negative, radius; the paper uses 0.05, 0.01, 0.005 and 0.001. Defaults to
            0.05.
        lower_bound: float in [0, 1], minimum of the relative frequency (xi in the paper, which uses
            0 and 0.5). Defaults to 0.
        base_optimizer: name or optimizer, as in `Helen(base_optimizer=AdamAR(...))`. Defaults to
            "adam".
        frequency: "batch"; "running" for counts since the start of training (4 bytes per row, in
            the row records of the base optimizer); or dict from variable path or field name to
            counts, such as the result of `zoo.load_counts`. Defaults to "batch".
        norm: "row" or "table". Defaults to "row".
        dense_norm: "dense", "global" or "last_table". Defaults to "dense".
        perturb_dense: boolean, whether to perturb dense weights. With `False` (Helen-m in the
            paper), they are trained with the gradient of the first pass. Defaults to `True`.
        perturbation: see `tf_helen.SAM`. Defaults to "global".
        adaptive: boolean, whether to multiply the perturbation of dense weights by w^2, an option
            of the authors' code. Defaults to `False`.
        name: string, name of the optimizer.
        **kwargs: passed to the base optimizer if it is given by name.

    Raises:
        ValueError: on a value out of range, or on counts that fit no table; as `tf_helen.SAM`.

    Reference: Zhu et al., WWW 2024 (arXiv 2403.00798), section 4, Algorithm 1.

    Example:
        >>> table = keras.Variable([[3.0], [4.0]])
        >>> optimizer = tf_helen.Helen(0.1, rho=0.5, base_optimizer="sgd")
        >>> def loss():  # row 0 occurs three times, row 1 once: its radius is a third
        ...     return tf.reduce_sum(tf.gather(table.value, [0, 0, 0, 1]) ** 2) / 2
        >>> _ = optimizer.minimize(loss, [table])  # 3 - .1 * 3 * 3.5, 4 - .1 * (4 + .5 / 3)
        >>> [round(float(x), 3) for x in table.numpy().ravel()]
        [1.95, 3.583]
    """

    fixed_settings: tuple[str, ...] = (
        *SAM.fixed_settings,
        "lower_bound",
        "frequency",
        "norm",
        "dense_norm",
        "perturb_dense",
    )

    def __init__(
        self,
        learning_rate: LearningRate | None = None,
        *,
        rho: float = 0.05,
        lower_bound: float = 0.0,
        base_optimizer: Any = "adam",
        frequency: str | Mapping[str, np.ndarray] = "batch",
        norm: str = "row",
        dense_norm: str = "dense",
        perturb_dense: bool = True,
        perturbation: str = "global",
        adaptive: bool = False,
        name: str = "helen",
        **kwargs: Any,
    ):
        super().__init__(
            learning_rate,
            rho=rho,
            base_optimizer=base_optimizer,
            adaptive=adaptive,
            perturbation=perturbation,
            name=name,
            **kwargs,
        )
        self.lower_bound = checks.number_in_range("lower_bound", lower_bound, 0, 1)
        self._given_counts: dict[str, np.ndarray] | None = None
        if isinstance(frequency, Mapping):
            if not frequency:
                raise ValueError("`frequency` must map tables to counts. Received: {}")
            if frequency != _SAVED:
                self._given_counts = dict(frequency)
            self.frequency = "given"
        else:
            self.frequency = checks.one_of("frequency", frequency, ("batch", "running"))
        self.norm = checks.one_of("norm", norm, ("row", "table"))
        self.dense_norm = checks.one_of("dense_norm", dense_norm, ("dense", "global", "last_table"))
        self.perturb_dense = bool(perturb_dense)

    @property
    def _counts_here(self) -> bool:
        # The base optimizer keeps running counts in its row records.
        return self.frequency == "given" or (self.frequency == "running" and not self._row_sparse())

    def build(self, variables):
        if self.built:
            return
        if self._counts_here:
            self._asked_history.add("count")
        elif self.frequency == "running":
            self.ask_history("count")
        super().build(variables)
        for places in tables.grouped(variables) if self.frequency != "batch" else ():
            variable = variables[places[0]]  # of a table with shards, the first has the maxima
            if len(variable.shape) == 0:  # a TensorShape is true for every rank
                continue
            fields = len(tables.of_or_single(variable).group.fields)
            self.slots_of(variable)["field_maximum"] = add_slot(
                self, variable, "field_maximum", (fields,), "float64", 0, of_table=True
            )
        if self._given_counts is not None:
            # Keras may build an optimizer while it traces a step, which must not include this.
            with tf.init_scope():
                self._store_counts(self._given_counts, variables)

    def _store_counts(
        self, given: Mapping[str, np.ndarray], variables: Sequence[keras.Variable]
    ) -> None:
        used = set()
        for places in tables.grouped(variables):
            variable = variables[places[0]]
            group = tables.of_or_single(variable).group
            keys = frequencies.keys_of(variable, given, group)
            used.update(keys)
            # Without `tf_helen.layers.Embedding`, a matrix may be a dense kernel without counts.
            if keys or (tables.of(variable) is not None and self._is_embedding(True, variable)):
                counts = frequencies.counts_for(variable, given, group)
                for rank, place in enumerate(places):
                    slot = self.slots_of(variables[place])[HISTORY]
                    slot.assign(group.part(counts, rank)[:, None])
                maximum = np.maximum.reduceat(counts, group.offsets[:-1])
                self.slots_of(variable)["field_maximum"].assign(maximum)
        if not used:
            raise ValueError(
                f"`frequency` names no table of the model: {', '.join(given)}. Tables "
                f"and weights: {', '.join(variable.path for variable in variables)}."
            )

    def compute_gradients(self, closure, variables, loss_scale=None, pass_state=()):
        variables = list(variables)
        self.build(variables)
        if self.frequency == "given" and self._given_counts is None:
            frequencies.check_loaded(self, variables)
        return super().compute_gradients(closure, variables, loss_scale, pass_state)

    def _is_embedding(self, is_sparse: bool, variable: keras.Variable) -> bool:
        narrow = variable.shape[-1] == 1 if len(variable.shape) > 1 else True
        return is_sparse and not (self.norm == "table" and narrow)

    def perturbations(self, blocks, variables):
        pairs = list(zip(blocks, variables, strict=True))
        embedding = [self._is_embedding(block.is_sparse, v) for block, v in pairs]
        epsilons = [None] * len(blocks)
        last_table_norm = None
        for places in tables.grouped(variables):
            if not embedding[places[0]]:
                continue
            shards = [variables[i] for i in places]
            parts, last_table_norm = self._perturb_table([blocks[i] for i in places], shards)
            for i, epsilon in zip(places, parts, strict=True):
                epsilons[i] = epsilon
        if self.perturb_dense:
            dense = [i for i, is_embedding in enumerate(embedding) if not is_embedding]
            weights = [self.rows_now(variables[i], blocks[i]) for i in dense if self.adaptive]
            scale = self._dense_scale(blocks, variables, dense, last_table_norm)
            for position, i in enumerate(dense):
                epsilon = scaled(blocks[i].values, scale)
                if self.adaptive:
                    epsilon *= tf.square(weights[position])
                epsilons[i] = epsilon
        return epsilons

    def _perturb_table(
        self, blocks: Sequence[RowBlock], shards: Sequence[keras.Variable]
    ) -> tuple[list[tf.Tensor], tf.Tensor]:
        """Returns the perturbations of a table's blocks, and the norm of its last field."""
        members = [tables.of_or_single(shard) for shard in shards]
        group = members[0].group
        block = group.join(blocks, [member.rank for member in members])
        share = frequencies.relative_frequency(
            block, group, self._stored(shards), include_batch=self.frequency != "given"
        )
        norms = row_norms(block.values)
        radius = self.rho * tf.cast(tf.maximum(share, self.lower_bound), norms.dtype)
        field = group.field_of_rows(block.ids)
        field_norms = tf.sqrt(
            tf.math.unsorted_segment_sum(tf.square(norms), field, len(group.fields))
        )
        if self.norm == "table":
            norms = tf.gather(field_norms, field)
        scale = radius * unit_scale(norms)
        epsilon = scaled(block.values, per_row(scale, block.values))
        return group.split(epsilon, blocks), field_norms[-1]

    def _dense_scale(
        self,
        blocks: Sequence[RowBlock],
        variables: Sequence[keras.Variable],
        dense: Sequence[int],
        last_table_norm: tf.Tensor | None,
    ) -> tf.Tensor:
        if self.dense_norm == "last_table":
            if last_table_norm is None:
                raise ValueError(
                    "`dense_norm='last_table'` needs an embedding table wider than 1, and the "
                    'model has none. Use `dense_norm="dense"`.'
                )
            return self.rho * unit_scale(last_table_norm)
        used = [blocks[i] for i in dense] if self.dense_norm == "dense" else list(blocks)
        if self.adaptive and self.dense_norm == "global":
            used = [
                block.with_values(block.values * tf.abs(self.rows_now(variable, block)))
                for block, variable in zip(blocks, variables, strict=True)
            ]
        return self.rho * unit_scale(total_norm(used)) if used else tf.constant(0.0)

    def _stored(self, shards: Sequence[keras.Variable]) -> frequencies.StoredCounts | None:
        if self.frequency == "batch":
            return None
        variable = shards[0]
        maximum = replicas.local(self.slots_of(variable)["field_maximum"])
        if self._counts_here:
            return frequencies.counts_of(self, shards, maximum, write=True)
        return frequencies.counts_of(self.record_owner(variable), shards, maximum, write=False)

    def before_base(self, grads, variables):
        if self.frequency != "running":
            return
        for places in tables.grouped(variables):
            if all(isinstance(grads[i], tf.IndexedSlices) for i in places):
                shards = [variables[i] for i in places]
                members = [tables.of_or_single(shard) for shard in shards]
                rows = [
                    member.rows_of(self.plain_gradient(grads[i], variables[i]).indices)
                    for i, member in zip(places, members, strict=True)
                ]
                stored = self._stored(shards)
                assert stored is not None
                frequencies.add_batch(tf.concat(rows, 0), members[0].group, stored)

    def _gradients_to_apply(self, first, second, variables):
        if self.perturb_dense:
            return second
        chosen = []
        for before, after, variable in zip(first, second, variables, strict=True):
            is_sparse = isinstance(before, tf.IndexedSlices)
            if before is not None and not self._is_embedding(is_sparse, variable):
                after = self.with_gradient(after, before, variable)
            chosen.append(after)
        return chosen

    def get_config(self):
        return {
            **super().get_config(),
            "lower_bound": self.lower_bound,
            "frequency": dict(_SAVED) if self.frequency == "given" else self.frequency,
            "norm": self.norm,
            "dense_norm": self.dense_norm,
            "perturb_dense": self.perturb_dense,
        }
