"""Base class of optimizers that wrap other optimizers."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

import keras

from tf_helen import keras_access
from tf_helen.core.history import ordered
from tf_helen.core.rule import Rule
from tf_helen.optimizers.foreign import ForeignOptimizer, driver_of
from tf_helen.optimizers.row_sparse import RowSparseOptimizer
from tf_helen.optimizers.update import prepared


class DelegatingOptimizer(RowSparseOptimizer):
    """An optimizer whose weights are updated by inner optimizers.

    Args:
        inner: sequence of optimizers, of tf_helen or Keras. The first one counts the steps.
        name: string, name of the optimizer.
        rule: `Rule` whose `prepare` changes the gradients before the inner optimizers apply them.
            Defaults to `None`.
    """

    owns_rows = False

    def __init__(
        self,
        inner: Sequence[keras.optimizers.Optimizer],
        *,
        name: str,
        rule: Rule | None = None,
    ):
        super().__init__(0.0, rule=rule or Rule(), name=name)
        self._inner = list(inner)

    def optimizer_of(self, variable: keras.Variable) -> keras.optimizers.Optimizer:
        """Returns the inner optimizer that updates a variable."""
        return self._inner[0]

    @property
    def _drivers(self) -> list[RowSparseOptimizer | ForeignOptimizer]:
        return [driver_of(optimizer) for optimizer in self._inner]

    def _driver_of(self, variable: keras.Variable) -> RowSparseOptimizer | ForeignOptimizer:
        return driver_of(self.optimizer_of(variable))

    def _row_sparse(self) -> list[RowSparseOptimizer]:
        return [driver for driver in self._drivers if not isinstance(driver, ForeignOptimizer)]

    def ask_history(self, *names):
        for driver in self._drivers:
            driver.ask_history(*names)

    def wrap_rule(self, kind, **settings):
        for driver in self._drivers:
            driver.wrap_rule(kind, **settings)

    def history_columns(self):
        # What a rule needs is kept by the held optimizers.
        return ordered(self._asked_history)

    def build(self, variables):
        if self.built:
            return
        variables = list(variables)
        super().build(variables)
        for optimizer, driver in zip(self._inner, self._drivers, strict=True):
            share = [v for v in variables if self.optimizer_of(v) is optimizer]
            driver.build(share)

    def attach(self, variables):
        for optimizer, driver in zip(self._inner, self._drivers, strict=True):
            driver.attach([v for v in variables if self.optimizer_of(v) is optimizer])

    def let_go(self, variables):
        variables = list(variables)
        for driver in self._drivers:
            driver.let_go(variables)

    @property
    def needs_time(self):
        return any(driver.needs_time for driver in self._drivers)

    def advance_clock(self, time):
        for driver in self._drivers:
            driver.advance_clock(time)

    def record_owner(self, variable):
        return self._driver_of(variable).record_owner(variable)

    def rows_as_read(self, variable, ids):
        return self._driver_of(variable).rows_as_read(variable, ids)

    def bring_up_to_date(self, block, variable):
        return self._driver_of(variable).bring_up_to_date(block, variable)

    def reset_slots(self, variable, ids=None):
        self._driver_of(variable).reset_slots(variable, ids)

    @contextlib.contextmanager
    def multi_pass(self):
        with contextlib.ExitStack() as stack:
            stack.enter_context(super().multi_pass())
            for driver in self._drivers:
                stack.enter_context(driver.multi_pass())
            yield

    @property
    def variables(self):
        inner = [variable for optimizer in self._inner for variable in optimizer.variables]
        return keras_access.own_variables(self) + inner

    @property
    def iterations(self):
        return self._inner[0].iterations

    @property
    def learning_rate(self):
        return self._inner[0].learning_rate

    @learning_rate.setter
    def learning_rate(self, learning_rate):
        self._inner[0].learning_rate = learning_rate

    @property
    def embedding_learning_rate(self):
        return self._first_row_sparse().embedding_learning_rate

    @embedding_learning_rate.setter
    def embedding_learning_rate(self, rate):
        self._first_row_sparse().embedding_learning_rate = rate

    def _first_row_sparse(self) -> RowSparseOptimizer:
        if not self._row_sparse():
            raise TypeError(
                f"{type(self._inner[0]).__name__} of Keras has one learning rate for all "
                "weights. Use an optimizer of tf_helen for an `embedding_learning_rate`."
            )
        return self._row_sparse()[0]

    def begin_epoch(self):
        for driver in self._drivers:
            driver.begin_epoch()

    def end_epoch(self):
        for driver in self._drivers:
            driver.end_epoch()

    def epoch_state(self):
        return [value for driver in self._drivers for value in driver.epoch_state()]

    def set_epoch_state(self, state):
        for driver in self._drivers:
            count = len(driver.epoch_state())
            driver.set_epoch_state(state[:count])
            state = state[count:]

    def scale_loss(self, loss):
        return self._inner[0].scale_loss(loss)

    def finalize_variable_values(self, var_list):
        for optimizer in self._inner:
            # Optimizers of Keras accept only the variables that they were built with.
            share = [v for v in var_list if self.optimizer_of(v) is optimizer]
            optimizer.finalize_variable_values(share)

    def exclude_from_weight_decay(self, var_list=None, var_names=None):
        for optimizer in self._inner:
            optimizer.exclude_from_weight_decay(var_list, var_names)

    # Step: each inner optimizer updates its share of the variables.

    def compute_gradients(self, closure, variables, loss_scale=None, pass_state=()):
        special = [driver for driver in self._drivers if driver.needs]
        compute = special[0].compute_gradients if special else super().compute_gradients
        return compute(closure, variables, loss_scale, pass_state)

    @property
    def needs(self):  # type: ignore[override]
        return next((driver.needs for driver in self._drivers if driver.needs), None)

    def _shares(
        self, values: Sequence, variables: Sequence[keras.Variable]
    ) -> Iterator[tuple[Any, list[int], list, list[keras.Variable]]]:
        """Yields each driver with the positions of its variables, their values and themselves."""
        for optimizer in self._inner:
            chosen = [i for i, v in enumerate(variables) if self.optimizer_of(v) is optimizer]
            if chosen:
                yield (
                    driver_of(optimizer),
                    chosen,
                    [values[i] for i in chosen],
                    [variables[i] for i in chosen],
                )

    def apply(self, grads, trainable_variables=None):
        grads = list(grads)
        if not grads:
            return
        self.check_trainer()
        variables = self._known_variables(grads, trainable_variables)
        self.before_base(grads, variables)
        for driver, _, gradients, trained in self._shares(grads, variables):
            if any(gradient is not None for gradient in gradients):
                driver.apply(gradients, trained)

    def before_base(self, grads: Sequence, variables: Sequence[keras.Variable]) -> None:
        """Hook for other changes of a step, which are skipped together with the step."""

    def blocks_of(self, gradients, variables):
        blocks = [None] * len(variables)
        for driver, positions, share, trained in self._shares(gradients, variables):
            for i, block in zip(positions, driver.blocks_of(share, trained), strict=True):
                blocks[i] = block
        return blocks

    def plain_gradient(self, gradient, variable):
        return self._driver_of(variable).plain_gradient(gradient, variable)

    def with_gradient(self, gradient, plain, variable):
        return self._driver_of(variable).with_gradient(gradient, plain, variable)

    def apply_blocks(self, blocks, variables):
        blocks = prepared(self, blocks, variables)
        for driver, _, share, trained in self._shares(blocks, variables):
            driver.apply_blocks(share, trained)

    def _settle_known_tables(self):
        for driver in self._row_sparse():
            driver._settle_known_tables()

    # Keras also stores the inner optimizers, so `variables` would be stored twice.

    def saved_variables(self):
        return keras_access.own_variables(self)
