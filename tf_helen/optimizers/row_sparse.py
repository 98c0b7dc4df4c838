"""The base class of optimizers, which applies a rule to blocks of rows, sparse or dense."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tf_helen import keras_access
from tf_helen.core import checks, replicas, row_reuse, tables
from tf_helen.core.clipping import clip_blocks
from tf_helen.core.history import RowHistory, as_columns, ordered
from tf_helen.core.rows import RowBlock, read_rows
from tf_helen.core.rule import Rule, compute_dtype, settings
from tf_helen.core.whole_state import ShardedTable
from tf_helen.optimizers.absent_rows import make_absent_rows
from tf_helen.optimizers.arguments import LearningRate, checked_arguments, of_today
from tf_helen.optimizers.clock import HasClock
from tf_helen.optimizers.dense_averages import DenseAverages
from tf_helen.optimizers.embedding_rate import EmbeddingRate
from tf_helen.optimizers.passes import ClosureTraining, summed_blocks
from tf_helen.optimizers.refused import refuse, refuse_float8
from tf_helen.optimizers.row_resets import ResetsRows
from tf_helen.optimizers.rule_settings import RuleSettings
from tf_helen.optimizers.slots import HISTORY, SlotsByVariable, make_slots
from tf_helen.optimizers.still_rows import Written
from tf_helen.optimizers.update import prepared, update_variable
from tf_helen.optimizers.whole_files import SavesWholeTables


@keras.saving.register_keras_serializable(package="tf_helen")
class RowSparseOptimizer(
    SavesWholeTables,
    ResetsRows,
    ClosureTraining,
    HasClock,
    RuleSettings,
    keras.optimizers.Optimizer,
):
    """Base class of Keras optimizers whose step costs O(rows in the batch).

    The update is a `Rule`, a pure function of a block of rows. This class sums the duplicates of an
    `IndexedSlices` gradient, reads the rows and their slots, applies the rule and writes the
    result. For a dense gradient, the block is the whole variable. The semantics are "lazy": rows
    that do not occur in the batch and their slots do not change, and the step number of bias
    corrections is that of the optimizer. Subclasses define a constructor.

    Args:
        learning_rate: float, Keras schedule, or callable. Defaults to 1e-3.
        rule: `tf_helen.rules.Rule`.
        embedding_learning_rate: float or schedule, learning rate of embedding tables. If both
            learning rates are numbers, it keeps its ratio when `learning_rate` is changed. Defaults
            to `None`: `learning_rate`.
        coupled_weight_decay: float, not negative: `g <- g + coupled_weight_decay * e` on the rows
            of the batch and on dense weights. Defaults to 0.
        moments: "lazy", or "dense" to update absent rows with a zero gradient, as in the dense
            implementations of papers. "dense" reads and writes whole tables; use it for comparison.
            Defaults to "lazy".
        track_rows: boolean, whether to keep the number of occurrences and the last step of each
            row, for `row_history`; takes 8 bytes per row. Defaults to `False`.
        sweep_every: int, for rules with decay of absent rows, steps between updates of whole tables
            that are not read by `tf_helen.layers.Embedding`. Defaults to 100.
        steps_per_epoch: int, for `alpha="auto"`, steps of one pass over the data. Defaults to
            `None`: those of the first epoch.
        clock, time_unit: see `tf_helen.AdamAR`. Default to "steps" and 1.
        weight_decay, clipnorm, global_clipnorm, clipvalue, loss_scale_factor: floats, as in Keras,
            applied to the rows of the batch with duplicates summed. Default to `None`.
        use_ema, ema_momentum, ema_overwrite_frequency: as in Keras, but for dense weights only:
            embedding tables keep their own values and have no average. Default to `False`, 0.99 and
            `None`.
        name: string, name of the optimizer. Defaults to the snake-cased class name.
        **kwargs: other entries of Keras's configurations, at their defaults.

    Raises:
        ValueError: on a value out of range, and on `gradient_accumulation_steps`, whose cost
            depends on the size of the table.
        TypeError: on an unknown argument.

    Example:
        >>> import dataclasses
        >>> @dataclasses.dataclass(frozen=True)
        ... class SignRule(tf_helen.rules.Rule):
        ...     def update(self, rows, gradient, slots, step):
        ...         return rows - step.learning_rate * tf.sign(gradient), slots
        >>> table = keras.Variable([[1.0], [1.0], [1.0]])
        >>> slices = tf.IndexedSlices(tf.constant([[3.0], [-1.0]]), tf.constant([2, 2]))
        >>> tf_helen.RowSparseOptimizer(0.5, rule=SignRule()).apply([slices], [table])
        >>> table.numpy().ravel().tolist()
        [1.0, 1.0, 0.5]
    """

    def __init__(
        self,
        learning_rate: LearningRate = 1e-3,
        *,
        rule: Rule,
        embedding_learning_rate: LearningRate | None = None,
        coupled_weight_decay: float = 0.0,
        moments: str = "lazy",
        track_rows: bool = False,
        sweep_every: int = 100,
        steps_per_epoch: int | None = None,
        clock: str = "steps",
        time_unit: float = 1.0,
        weight_decay: float | None = None,
        clipnorm: float | None = None,
        global_clipnorm: float | None = None,
        clipvalue: float | None = None,
        loss_scale_factor: float | None = None,
        use_ema: bool = False,
        ema_momentum: float = 0.99,
        ema_overwrite_frequency: int | None = None,
        name: str | None = None,
        **kwargs: Any,
    ):
        refuse(type(self), kwargs)
        shared = checked_arguments(
            weight_decay=weight_decay,
            clipnorm=clipnorm,
            global_clipnorm=global_clipnorm,
            clipvalue=clipvalue,
            loss_scale_factor=loss_scale_factor,
        )
        shared |= {
            "use_ema": use_ema,
            "ema_momentum": ema_momentum,
            "ema_overwrite_frequency": ema_overwrite_frequency,
        }
        if isinstance(learning_rate, (int, float)):
            learning_rate = checks.number_in_range("learning_rate", learning_rate)
        super().__init__(learning_rate=learning_rate, name=name, **shared)
        self._embedding_rate = None
        if embedding_learning_rate is not None:
            self._embedding_rate = EmbeddingRate(
                embedding_learning_rate, keras_access.stored_learning_rate(self)
            )
            for _ in range(2 if self._embedding_rate.variable is not None else 0):
                # Twice, as in files of version 0.1.
                keras_access.track(self, self._embedding_rate.variable)
        coupled = checks.number_in_range("coupled_weight_decay", coupled_weight_decay)
        self._coupled_weight_decay = coupled
        self.moments = checks.one_of("moments", moments, ("lazy", "dense"))
        self.track_rows = bool(track_rows)
        self._slots = SlotsByVariable()
        self._asked_history: set[str] = set()
        self._averages = DenseAverages(self)
        self.rule = self.step_rule = rule
        self.absent_rows = make_absent_rows(self, sweep_every, steps_per_epoch, clock, time_unit)

    # Whether this optimizer updates rows itself; `False` for wrappers.
    owns_rows = True
    use_ema: bool

    @property
    def coupled_weight_decay(self) -> float:
        """The strength of the coupled weight decay."""
        return settings(self.rule).get("coupled_weight_decay", self._coupled_weight_decay)

    @property
    def embedding_learning_rate(self) -> Any:
        """The current learning rate of tables; `learning_rate` if none was given."""
        return self.current_rate(is_table=True)

    @embedding_learning_rate.setter
    def embedding_learning_rate(self, rate: float) -> None:
        if self._embedding_rate is None:
            raise TypeError(
                "`embedding_learning_rate` can be set only if it was given as a number at "
                "construction. It is: None"
            )
        self._embedding_rate.assign(rate)

    def current_rate(self, is_table: bool) -> tf.Tensor:
        rate = keras_access.current_learning_rate(self)
        if not is_table or self._embedding_rate is None:
            return rate
        return self._embedding_rate.at(rate, keras_access.own_iterations(self))

    # State.

    def build(self, variables: Sequence[keras.Variable]) -> None:
        if self.built:
            return
        variables = list(variables)
        refuse_float8(type(self), variables)
        self.rule.check_paths([variable.path for variable in variables])
        use_ema, self.use_ema = self.use_ema, False  # Keras adds averages of tables too
        super().build(variables)
        self.use_ema = use_ema
        if self.owns_rows:
            for variable in variables:
                tables.release(variable)
        self._slots.by_index = [make_slots(self, variable) for variable in variables]
        self.absent_rows.build(variables)
        self._averages.build(variables)
        self.note_reuse(variables)

    def attach(self, variables: Sequence[keras.Variable]) -> None:
        """Prepares the variables of a step, which another optimizer may have trained before."""
        self.absent_rows.attach(variables)
        self.note_reuse(variables)

    def let_go(self, variables: Iterable[keras.Variable]) -> None:
        """Applies and detaches the decay of this optimizer from some variables."""
        for variable in variables:
            if self in tables.decaying(variable):
                tables.release(variable)

    def slots_of(self, variable: keras.Variable) -> dict[str, keras.Variable]:
        """Returns the slot variables of a variable by name."""
        return self._slots.by_index[keras_access.index_of(self, variable)]

    # Step.

    def apply(self, grads: Sequence, trainable_variables: Sequence | None = None) -> None:
        if len(grads) == 0:
            return
        variables = self._known_variables(grads, trainable_variables)
        grads, variables = keras_access.without_empty_gradients(self, grads, variables)
        with tf.name_scope(self.name):
            grads = replicas.all_reduce_sum(grads)
            self.apply_blocks(self.blocks_of(grads, variables), variables)

    def blocks_of(self, gradients: Sequence, variables: Sequence[keras.Variable]) -> list[RowBlock]:
        """Converts gradients, summed over the replicas, to unscaled blocks."""
        return summed_blocks(gradients, variables, self.loss_scale_factor)

    def apply_blocks(self, blocks: Sequence[RowBlock], variables: Sequence[keras.Variable]) -> None:
        """Performs a step with the same gradients on every replica."""
        blocks = clip_blocks(
            prepared(self, blocks, variables),
            tables=tables.grouped(variables),
            clipnorm=self.clipnorm,
            global_clipnorm=self.global_clipnorm,
            clipvalue=self.clipvalue,
        )
        for block, variable in zip(blocks, variables, strict=True):
            update_variable(self, block, variable)
        keras_access.own_iterations(self).assign_add(1)
        self.absent_rows.after_step(blocks, variables)
        self._averages.after_step(blocks, variables)
        row_reuse.tick(variables)

    def _known_variables(self, grads: Sequence, variables: Sequence | None) -> list[keras.Variable]:
        if variables is not None:
            variables = list(variables)
            self.build(variables)
            keras_access.check_known(self, variables)
            self.attach(variables)
            return variables
        if not self.built:
            raise ValueError(
                f"{type(self).__name__} is not built. Pass the variables to `apply`, or call "
                "`optimizer.build(variables)` first."
            )
        variables = list(keras_access.trained_variables(self))
        if len(grads) != len(variables):
            raise ValueError(f"Received {len(grads)} gradients for {len(variables)} variables.")
        self.attach(variables)
        return variables

    def step_number(self) -> tf.Tensor:
        """Returns the number of the current step, from 1, int64."""
        return tf.cast(replicas.local(keras_access.own_iterations(self)).read_value(), tf.int64) + 1

    def steps_done(self) -> int:
        """Returns the number of finished steps, outside of a step."""
        return int(replicas.copies(self.iterations)[0].numpy())

    def begin_epoch(self) -> None:
        """Must be called before each pass over the data; `fit` of `tf_helen.Model` does this.

        With `alpha="auto"`, it sets alpha from the length of the finished epochs. Rows do not decay
        in the first epoch; then they decay by their whole absence.
        """
        self.absent_rows.begin_epoch()

    def end_epoch(self) -> None:
        """Must be called after each finished pass over the data; `fit` does this."""
        self.absent_rows.end_epoch()

    def epoch_state(self) -> list[int]:
        return self.absent_rows.epoch_state()

    def set_epoch_state(self, state: list[int]) -> None:
        self.absent_rows.set_epoch_state(state)

    # Row records.

    def ask_history(self, *names: str) -> None:
        """Adds columns of `RowHistory` for another optimizer; must be called before `build`."""
        missing = set(names) - set(self.history_columns())
        if self.built and missing:
            raise ValueError(
                f"{type(self).__name__} has trained already and has no row records "
                f"{sorted(missing)}. Wrap a new optimizer, or one with `track_rows=True`."
            )
        self._asked_history.update(names)

    def history_columns(self) -> tuple[str, ...]:
        """Returns the columns of the row records, in order."""
        tracked = {"last_step", "count"} if self.track_rows else set()
        return ordered(set(self.step_rule.history()) | self._asked_history | tracked)

    def record_owner(self, variable: keras.Variable) -> RowSparseOptimizer | None:
        """Returns the optimizer with the row records of a variable, or `None`."""
        return self

    def stored_history(self, variable: keras.Variable, ids: tf.Tensor | None) -> RowHistory:
        """Returns the records of some rows of a variable, on this replica."""
        record = read_rows(replicas.local(self.slots_of(variable)[HISTORY]), ids)
        return RowHistory(self.history_columns(), record)

    def row_history(self, variable: keras.Variable | ShardedTable) -> dict[str, np.ndarray]:
        """Returns the occurrences of each row, for example to evict rows.

        Args:
            variable: Keras variable of an embedding table that this optimizer trains, or
                `layer.embeddings` of a table with several shards.

        Returns:
            Dict with those of the following that are kept (all with `track_rows=True`): `count`,
            uint32 `[rows]`, occurrences so far; `last_step`, uint32 `[rows]`, the last step with a
            non-zero gradient, 0 for none; `idle`, int64 `[rows]`, the steps since `last_step`.

        Raises:
            ValueError: if no records are kept.

        Example:
            >>> table = keras.Variable(np.ones((3, 2)))
            >>> optimizer = tf_helen.SGD(track_rows=True)
            >>> gradient = tf.IndexedSlices(tf.ones([2, 2]), tf.constant([1, 1]))
            >>> for _ in range(2):
            ...     optimizer.apply([gradient], [table])
            >>> history = optimizer.row_history(table)
            >>> history["count"].tolist(), history["idle"].tolist()
            ([0, 4, 0], [2, 0, 2])
        """
        if isinstance(variable, ShardedTable):
            parts = [self.row_history(part) for part in variable.variables]
            return {name: variable.group.whole([p[name] for p in parts]) for name in parts[0]}
        owner = self.record_owner(variable)
        if owner is None or not owner.history_columns():
            raise ValueError(
                f"{type(self).__name__} has no row records. Construct it with `track_rows=True`."
            )
        record = replicas.copies(owner.slots_of(variable)[HISTORY])[0].numpy()
        done = owner.absent_rows.table_steps_done(variable)
        return as_columns(owner.history_columns(), record, done)

    # Rows.

    def rows_as_read(self, variable: keras.Variable, ids: tf.Tensor | None) -> tf.Tensor:
        """Returns rows of a variable as the forward pass reads them, in the dtype of rules."""
        rows = tf.cast(read_rows(replicas.local(variable), ids), compute_dtype(variable))
        return self.absent_rows.settle_stored(rows, variable, ids)

    def bring_up_to_date(self, block: RowBlock, variable: keras.Variable) -> list[Written]:
        """Applies the pending decay to the rows of a block; returns the previous values."""
        return self.absent_rows.bring_up_to_date(block, variable)

    def finalize_variable_values(self, var_list: Sequence[keras.Variable]) -> None:
        """Applies the pending decay to all rows, and sets dense weights to their averages.

        Keras calls it at the end of `fit`. `tf_helen.Model` also applies the decay before
        validation, saving and export. A second call changes nothing. If absent rows decay, it reads
        and writes whole tables, in chunks. Averages exist with `use_ema=True` only.

        Args:
            var_list: sequence of Keras variables; others than those trained are ignored.
        """
        self.absent_rows.finalize(var_list)
        self._averages.finalize(var_list)

    # Files.

    def get_config(self) -> dict[str, Any]:
        rate, named = self._embedding_rate, inspect.signature(type(self)).parameters
        config = {
            **super().get_config(),
            "embedding_learning_rate": None if rate is None else rate.config(),
            "coupled_weight_decay": self.coupled_weight_decay,
            "moments": self.moments,
            "track_rows": self.track_rows,
            **{name: value for name, value in settings(self.rule).items() if name in named},
        }
        if "rule" in named:
            config["rule"] = keras.saving.serialize_keras_object(self.rule)
        return {**config, **self.absent_rows.config()}

    @classmethod
    def from_config(cls, config, custom_objects=None):
        config = of_today(config, cls)
        if isinstance(config.get("rule"), dict):
            config["rule"] = keras.saving.deserialize_keras_object(config["rule"], custom_objects)
        return super().from_config(config, custom_objects)
