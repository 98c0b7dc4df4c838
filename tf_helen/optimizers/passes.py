"""Forward-backward passes over a closure."""

from __future__ import annotations

import contextlib
import enum
from collections.abc import Callable, Sequence

import keras
import tensorflow as tf

from tf_helen.core.rows import RowBlock, as_block
from tf_helen.core.rule import compute_dtype


def gradients_of(
    closure: Callable[[], tf.Tensor],
    variables: Sequence[keras.Variable],
    loss_scale: tf.Tensor | None = None,
) -> tuple[tf.Tensor, list]:
    """Runs the closure under a tape.

    Args:
        closure: returns the scalar loss.
        variables: what to differentiate by.
        loss_scale: multiplies the loss before differentiation, not the loss returned.

    Returns:
        The loss, and its gradient by each variable (`IndexedSlices` for looked-up tables).
    """
    with tf.GradientTape() as tape:
        loss = closure()
        scaled = loss if loss_scale is None else loss * tf.cast(loss_scale, loss.dtype)
    return loss, tape.gradient(scaled, list(variables))


def scale_of(optimizer: keras.optimizers.Optimizer) -> tf.Tensor | None:
    """What the gradients that an optimizer takes must come multiplied by, or `None` for 1."""
    one = tf.constant(1.0)
    scaled = optimizer.scale_loss(one)
    return None if scaled is one else tf.convert_to_tensor(scaled)


def summed_blocks(
    gradients: Sequence[tf.Tensor | tf.IndexedSlices],
    variables: Sequence[keras.Variable],
    loss_scale: tf.Tensor | float | None = None,
) -> list[RowBlock]:
    """Gradients with duplicates summed, in the dtype of the rules, unscaled.

    Args:
        gradients: one per variable.
        variables: what they are the gradients of.
        loss_scale: what the gradients come multiplied by; `None`: 1.

    Returns:
        A block per variable.
    """
    blocks = []
    for gradient, variable in zip(gradients, variables, strict=True):
        block = as_block(gradient)
        values = tf.cast(block.values, compute_dtype(variable))
        if loss_scale is not None:
            values = values / tf.cast(loss_scale, values.dtype)
        blocks.append(block.with_values(values))
    return blocks


class Needs(enum.Enum):
    """What an optimizer's step needs beyond one gradient."""

    HESSIAN_VECTOR_PRODUCT = "a Hessian-vector product"
    TWO_GRADIENTS = "two gradients"


class TrainerError(RuntimeError):
    """Raised where a trainer computes one gradient per step and the optimizer needs more."""

    # AutoGraph raises an error as its own class only if the constructor is that of `Exception`.
    __init__ = Exception.__init__


class ClosureTraining:
    """What an optimizer offers to trainers: it runs the passes that it needs itself."""

    # What a step needs beyond one gradient; `None`: nothing.
    needs: Needs | None = None
    # How the message of `check_trainer` ends; `tf_helen.legacy` has a text of its own.
    remedies = (
        "Build the model as a `tf_helen.Model`, or call `tf_helen.enable(model)` before `compile`, "
        "or use `optimizer.minimize(closure, variables)` in a custom loop."
    )
    _multi_pass_depth = 0

    @contextlib.contextmanager
    def multi_pass(self):
        """Held while a trainer applies gradients that it took from `compute_gradients`."""
        self._multi_pass_depth += 1
        try:
            yield
        finally:
            self._multi_pass_depth -= 1

    def check_trainer(self) -> None:
        """Raises `TrainerError` if this step needs more than the one gradient it was given."""
        if self.needs and not self._multi_pass_depth:
            raise TrainerError(
                f"{type(self).__name__} needs {self.needs.value} per step, and this trainer "
                f"computes one gradient. {self.remedies}"
            )

    def begin_epoch(self) -> None:
        """What a trainer calls before each pass over the data."""

    def end_epoch(self) -> None:
        """What a trainer calls after each pass over the data that was not broken off."""

    def epoch_state(self) -> list[int]:
        """What this optimizer remembers of the current epoch outside its variables."""
        return []

    def set_epoch_state(self, state: list[int]) -> None:
        """Takes what `epoch_state` returned, to go on in the middle of an epoch."""

    def compute_gradients(
        self,
        closure: Callable[[], tf.Tensor],
        variables: Sequence[keras.Variable],
        loss_scale: tf.Tensor | None = None,
        pass_state: Sequence[keras.Variable] = (),
    ) -> tuple[tf.Tensor, list]:
        """Runs the closure as often as this optimizer needs and returns the gradients to apply.

        Args:
            closure: runs the forward pass and returns the scalar loss.
            variables: what to differentiate by.
            loss_scale: the gradients come back multiplied by it (mixed precision).
            pass_state: variables, such as dropout seeds, that every pass must find alike.

        Returns:
            The unscaled loss of the first pass, and the gradients.
        """
        return gradients_of(closure, variables, loss_scale)

    def plain_gradient(self, gradient, variable: keras.Variable):
        """The gradient alone, of what `compute_gradients` returned for a variable."""
        return gradient

    def with_gradient(self, gradient, plain, variable: keras.Variable):
        """What `compute_gradients` returned for a variable, with another gradient in it."""
        return plain

    def minimize(
        self,
        closure: Callable[[], tf.Tensor],
        variables: Sequence[keras.Variable],
        pass_state: Sequence[keras.Variable] = (),
    ) -> tf.Tensor:
        """One training step of a custom loop.

        Args:
            closure: runs the forward pass and returns the scalar loss. A sharpness-aware optimizer
                calls it twice; state that Keras layers update counts the first call only.
            variables: Keras variables to train.
            pass_state: variables that every pass must find alike. For a Keras model give
                `tf_helen.training.forward_states(model)`: both passes then draw the same dropout
                masks and begin with the same state.

        Returns:
            The loss, before the step.

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
