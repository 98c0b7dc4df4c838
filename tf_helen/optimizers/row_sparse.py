"""The base of every optimizer here: one rule for a block of rows, sparse or dense alike."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import keras
import tensorflow as tf

from tf_helen import checks, replicas, tables
from tf_helen.optimizers.clipping import clip_blocks
from tf_helen.optimizers.embedding_rate import EmbeddingRate
from tf_helen.optimizers.history import RowHistory
from tf_helen.optimizers.passes import ClosureTraining, summed_blocks
from tf_helen.optimizers.refused import refuse
from tf_helen.optimizers.rule import Rule
from tf_helen.optimizers.slots import HISTORY, SlotBook, make_slots
from tf_helen.optimizers.step import Step
from tf_helen.optimizers.stored_rows import StoredRows
from tf_helen.rows import RowBlock, densify, per_row, read_rows, write_rows

_NOT_NEGATIVE = ("weight_decay", "clipnorm", "global_clipnorm", "clipvalue", "loss_scale_factor")


class RowSparseOptimizer(
    Rule, EmbeddingRate, StoredRows, ClosureTraining, keras.optimizers.Optimizer
):
    """A Keras optimizer whose step costs O(rows in the batch), correct on repeated ids.

    A subclass writes its update once, in `direction` or `update_rows`, as a pure function of a
    block of rows. This class sums the duplicates of an `IndexedSlices` gradient, reads the rows
    and their slots, applies the rule and writes them back; for a dense gradient the block is the
    whole variable. "Lazy" semantics: a row that does not occur is not touched, its slots included;
    the step number of bias corrections is the optimizer's.

    Args:
        learning_rate: float, Keras schedule, or callable.
        embedding_learning_rate: for embedding tables; `None`: `learning_rate`. A number keeps its
            ratio to a `learning_rate` that is a number when that is changed while training.
        l2: coupled L2 strength, `g <- g + l2 * e` on the rows of the batch (and dense weights).
        moments: "lazy", or "dense": absent rows take part with a zero gradient, as in the dense
            implementations of papers. "dense" reads and writes whole tables; it is for comparison.
        track_rows: keep each row's number of occurrences and last step, for `row_history`:
            8 bytes per row.
        name: the optimizer's name.
        **kwargs: Keras's `weight_decay` (decoupled, on the rows of the batch only), `clipnorm`,
            `global_clipnorm`, `clipvalue` (all on summed rows), `loss_scale_factor`.

    Raises:
        ValueError: on a value out of range, and on `gradient_accumulation_steps` and `use_ema`,
            which cannot be had at row cost.

    Example:
        >>> class SignSGD(RowSparseOptimizer):
        ...     def update_rows(self, rows, gradient, slots, step):
        ...         return rows - step.learning_rate * tf.sign(gradient), slots
        >>> table = keras.Variable([[1.0], [1.0], [1.0]])
        >>> slices = tf.IndexedSlices(tf.constant([[3.0], [-1.0]]), tf.constant([2, 2]))
        >>> SignSGD(learning_rate=0.5).apply([slices], [table])
        >>> table.numpy().ravel().tolist()
        [1.0, 1.0, 0.5]
    """

    def __init__(
        self,
        learning_rate: Any = 1e-3,
        *,
        embedding_learning_rate: Any = None,
        l2: float = 0.0,
        moments: str = "lazy",
        track_rows: bool = False,
        name: str | None = None,
        **kwargs: Any,
    ):
        refuse(type(self).__name__, kwargs)
        for argument in _NOT_NEGATIVE:
            if kwargs.get(argument) is not None:
                kwargs[argument] = checks.number_in_range(argument, kwargs[argument])
        if isinstance(learning_rate, (int, float)):
            learning_rate = checks.number_in_range("learning_rate", learning_rate)
        super().__init__(learning_rate=learning_rate, name=name, **kwargs)
        self._set_up_embedding_rate(embedding_learning_rate)
        self.l2 = self.coupled_l2 = checks.number_in_range("l2", l2)
        if self.loss_scale_factor == 0:
            raise ValueError("`loss_scale_factor` must be positive. Received: loss_scale_factor=0")
        self.moments = checks.one_of("moments", moments, ("lazy", "dense"))
        self.track_rows = bool(track_rows)
        self._slot_book = SlotBook()
        self._asked_history: set[str] = set()

    # Whether this optimizer itself changes rows, or leaves that to one that it wraps.
    owns_rows = True

    def build(self, variables: Sequence[keras.Variable]) -> None:
        if self.built:
            return
        variables = list(variables)
        for variable in variables:
            if getattr(variable, "overwrite_with_gradient", False):
                raise ValueError(
                    f"{type(self).__name__} cannot train layers in float8: the gradient of "
                    f"{variable.path} is its new value. Use an optimizer of Keras for this model."
                )
        super().build(variables)
        if self.owns_rows:
            for variable in variables:
                tables.release(variable)
        self._slot_book.by_index = [make_slots(self, variable) for variable in variables]

    def attach(self, variables: Sequence[keras.Variable]) -> None:
        """Takes up the variables of a step, which another optimizer may have had in between."""
        if self.owns_rows:
            for variable in variables:
                tables.release(variable)

    def let_go(self, variables: Iterable[keras.Variable]) -> None:
        """Brings those variables up to date whose decay is this optimizer's, and leaves them."""
        for variable in variables:
            if self in tables.decaying(variable):
                tables.release(variable)

    def slots_of(self, variable: keras.Variable) -> dict[str, keras.Variable]:
        """The slot variables of one variable, by name."""
        return self._slot_book.by_index[self._get_variable_index(variable)]

    def apply(self, grads, trainable_variables=None) -> None:
        if len(grads) == 0:
            return
        variables = self._known_variables(grads, trainable_variables)
        grads, variables = self._filter_empty_gradients(grads, variables)
        with tf.name_scope(self.name):
            grads = replicas.all_reduce_sum(grads)
            self.apply_blocks(self.blocks_of(grads, variables), variables)

    def blocks_of(self, gradients, variables: Sequence[keras.Variable]) -> list[RowBlock]:
        """Summed gradients of all replicas -> blocks, unscaled."""
        return summed_blocks(gradients, variables, self.loss_scale_factor)

    def apply_blocks(self, blocks: Sequence[RowBlock], variables: Sequence[keras.Variable]) -> None:
        """Takes the step whose gradients are `blocks`, alike on every replica."""
        blocks = clip_blocks(
            blocks,
            clipnorm=self.clipnorm,
            global_clipnorm=self.global_clipnorm,
            clipvalue=self.clipvalue,
        )
        for block, variable in zip(blocks, variables, strict=True):
            self._update_variable(block, variable)
        self._iterations.assign_add(1)

    def _known_variables(self, grads, variables) -> list[keras.Variable]:
        if variables is not None:
            variables = list(variables)
            self.build(variables)
            self._check_variables_are_known(variables)
            self.attach(variables)
            return variables
        if not self.built:
            raise ValueError(
                f"{type(self).__name__} is not built. Pass the variables to `apply`, or call "
                "`optimizer.build(variables)` first."
            )
        if len(grads) != len(self._trainable_variables):
            raise ValueError(
                f"Received {len(grads)} gradients for {len(self._trainable_variables)} variables."
            )
        self.attach(self._trainable_variables)
        return list(self._trainable_variables)

    def is_table(self, block: RowBlock, variable: keras.Variable) -> bool:
        """Whether rows without a gradient were absent, rather than weights at rest."""
        return block.is_sparse

    def _update_variable(self, block: RowBlock, variable: keras.Variable) -> None:
        is_table = self.is_table(block, variable)
        is_embedding = block.is_sparse or tables.of(variable) is not None
        if self.moments == "dense":
            block = densify(block, tf.TensorShape(variable.shape))
        target = replicas.local(variable)
        slot_variables = {n: replicas.local(v) for n, v in self.slots_of(variable).items()}
        slots = {name: read_rows(slot, block.ids) for name, slot in slot_variables.items()}
        record, dtype = slots.pop(HISTORY, None), block.values.dtype
        step = Step(
            number=self.step_number(),
            table_step=self.table_step(variable),
            learning_rate=tf.cast(self._current_rate(is_embedding), dtype),
            raw_gradient=block.values,
            is_table=is_table,
            path=variable.path,
            history=None if record is None else RowHistory(self.history_columns(), record),
            curvature=block.curvature,
        )
        rows = tf.cast(read_rows(target, block.ids), dtype)
        if is_table:
            rows = self.settle_rows(rows, step.history, step.table_step)
        gradient = block.values + self.coupled_l2 * rows if self.coupled_l2 else block.values
        if self.weight_decay is not None and self._use_weight_decay(variable):
            strength = tf.convert_to_tensor(self.decay_strength(step), dtype)
            strength = per_row(strength, rows) if strength.shape.rank else strength
            rows = rows * (1 - step.learning_rate * strength)
        rows, slots = self.update_rows(rows, gradient, slots, step)
        if variable.constraint is not None:
            rows = variable.constraint(rows)
        write_rows(target, block.ids, rows)
        for name, value in slots.items():
            write_rows(slot_variables[name], block.ids, value)
        if is_table and step.history is not None:
            record = self.new_history(step, block.counts).record
            write_rows(slot_variables[HISTORY], block.ids, record)

    def step_number(self) -> tf.Tensor:
        """int64 scalar: the number of the step under way, from 1."""
        return tf.cast(replicas.local(self._iterations).read_value(), tf.int64) + 1

    def table_step(self, variable: keras.Variable) -> tf.Tensor:
        """int64 scalar: the number of the step under way among those that train a variable."""
        return self.step_number()

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "embedding_learning_rate": self._embedding_rate_config(),
            "l2": self.l2,
            "moments": self.moments,
            "track_rows": self.track_rows,
        }
