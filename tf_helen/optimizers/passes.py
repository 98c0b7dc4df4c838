"""Forward and backward passes of a closure."""

from __future__ import annotations

import contextlib
import enum
from collections.abc import Callable, Sequence

import keras
import tensorflow as tf

from tf_helen import keras_access
from tf_helen.core.mixins import OptimizerMixin
from tf_helen.core.replicas import Gradient
from tf_helen.core.rows import RowBlock, as_block, with_dtype
from tf_helen.core.rule import compute_dtype


def gradients_of(
    closure: Callable[[], tf.Tensor],
    variables: Sequence[keras.Variable],
    loss_scale: tf.Tensor | None = None,
) -> tuple[tf.Tensor, list]:
    """Computes the loss of a closure and its gradients.

    Args:
        closure: callable that returns the scalar loss.
        variables: sequence of Keras variables.
        loss_scale: scalar factor of the gradients. Defaults to `None`: 1.

    Returns:
        The unscaled loss, and the gradient of each variable (`IndexedSlices` for tables).
    """
    with tf.GradientTape() as tape:
        loss = closure()
        scaled = loss if loss_scale is None else loss * tf.cast(loss_scale, loss.dtype)
    # Keras variables themselves have no handle within a `StatelessScope`.
    return loss, tape.gradient(scaled, [keras_access.stored_value(v) for v in variables])


def scale_of(optimizer: keras.optimizers.Optimizer) -> tf.Tensor | None:
    """Returns the factor of the gradients that an optimizer expects, or `None` for 1."""
    one = tf.constant(1.0)
    scaled = optimizer.scale_loss(one)
    return None if scaled is one else tf.convert_to_tensor(scaled)


def summed_blocks(
    gradients: Sequence[tf.Tensor | tf.IndexedSlices],
    variables: Sequence[keras.Variable],
    loss_scale: tf.Tensor | float | None = None,
) -> list[RowBlock]:
    """Returns gradients with duplicates summed, unscaled, in the dtype of the rules.

    Args:
        gradients: sequence of gradients, one per variable.
        variables: sequence of Keras variables.
        loss_scale: scalar factor of the gradients. Defaults to `None`: 1.

    Returns:
        List of `RowBlock`, one per variable.
    """
    blocks = []
    for gradient, variable in zip(gradients, variables, strict=True):
        # Before duplicates are summed, which half precision would do wrong.
        block = as_block(with_dtype(gradient, compute_dtype(variable)))
        values = block.values
        if loss_scale is not None:
            values = values / tf.cast(loss_scale, values.dtype)
        blocks.append(block.with_values(values))
    return blocks


class Needs(enum.Enum):
    """What a step of an optimizer needs in addition to one gradient."""

    HESSIAN_VECTOR_PRODUCT = "a Hessian-vector product"
    TWO_GRADIENTS = "two gradients"


class TrainerError(RuntimeError):
    """Raised if the optimizer needs more than the one gradient that a trainer computes."""

    # AutoGraph keeps the class of an error only if it has the constructor of `Exception`.
    __init__ = Exception.__init__


class ClosureTraining(OptimizerMixin):
    """The interface of optimizers for trainers: an optimizer runs the passes that it needs."""

    # What a step needs in addition to one gradient, or `None`.
    needs: Needs | None = None
    # The last sentence of the error of `check_trainer`; `tf_helen.legacy` has a different one.
    remedies = (
        "Build the model as a `tf_helen.Model`, or call `tf_helen.enable(model)` before `compile`, "
        "or use `optimizer.minimize(closure, variables)` in a custom loop."
    )
    _multi_pass_depth = 0

    @contextlib.contextmanager
    def multi_pass(self):
        """Context in which a trainer applies the gradients of `compute_gradients`."""
        self._multi_pass_depth += 1
        try:
            yield
        finally:
            self._multi_pass_depth -= 1

    def check_trainer(self) -> None:
        """Raises `TrainerError` if a step needs more than one gradient, outside `multi_pass`."""
        if self.needs and not self._multi_pass_depth:
            raise TrainerError(
                f"{type(self).__name__} needs {self.needs.value} per step, and this trainer "
                f"computes one gradient. {self.remedies}"
            )

    def begin_epoch(self) -> None:
        """Called by a trainer before each pass over the data."""

    def end_epoch(self) -> None:
        """Called by a trainer after each finished pass over the data."""

    def epoch_state(self) -> list[int]:
        """Returns the state of the current epoch that is not in the optimizer's variables."""
        return []

    def set_epoch_state(self, state: list[int]) -> None:
        """Restores the result of `epoch_state`, to continue in the middle of an epoch."""

    def compute_gradients(
        self,
        closure: Callable[[], tf.Tensor],
        variables: Sequence[keras.Variable],
        loss_scale: tf.Tensor | None = None,
        pass_state: Sequence[keras.Variable] = (),
    ) -> tuple[tf.Tensor, list]:
        """Runs the closure as often as the optimizer needs, and returns the gradients to apply.

        Args:
            closure: callable that runs the forward pass and returns the scalar loss.
            variables: sequence of Keras variables to train.
            loss_scale: scalar factor of the returned gradients, for mixed precision. Defaults to
                `None`: 1.
            pass_state: sequence of Keras variables, such as dropout seeds, that have the same
                values at the start of every pass. Defaults to `()`.

        Returns:
            The unscaled loss of the first pass, and the list of gradients.
        """
        return gradients_of(closure, variables, loss_scale)

    def plain_gradient(self, gradient: Gradient, variable: keras.Variable) -> Gradient:
        """Returns the gradient in a result of `compute_gradients` for a variable."""
        return gradient

    def with_gradient(
        self, gradient: Gradient, plain: Gradient, variable: keras.Variable
    ) -> Gradient:
        """Replaces the gradient in a result of `compute_gradients` for a variable."""
        return plain

    def minimize(
        self,
        closure: Callable[[], tf.Tensor],
        variables: Sequence[keras.Variable],
        pass_state: Sequence[keras.Variable] = (),
    ) -> tf.Tensor:
        """Performs one training step of a custom loop.

        Args:
            closure: callable that runs the forward pass and returns the scalar loss. A
                sharpness-aware optimizer calls it twice; the state of Keras layers is updated by
                the first call only.
            variables: sequence of Keras variables to train.
            pass_state: sequence of Keras variables that have the same values at the start of every
                pass. For a Keras model, pass `tf_helen.training.forward_states(model)`, so that
                both passes use the same dropout masks and states. Defaults to `()`.

        Returns:
            The loss before the step.

        Example:
            >>> w = keras.Variable([3.0])
            >>> loss = tf_helen.SGD(0.5).minimize(lambda: tf.reduce_sum(w.value**2) / 2, [w])
            >>> float(loss), w.numpy().tolist()
            (4.5, [1.5])
        """
        variables = list(variables)
        self.build(variables)
        scale = scale_of(self)
        loss, gradients = self.compute_gradients(closure, variables, scale, pass_state)
        with self.multi_pass():
            self.apply(gradients, variables)
        return loss
