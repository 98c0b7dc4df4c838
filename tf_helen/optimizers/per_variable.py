"""Different optimizers for different variables."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import tensorflow as tf

from tf_helen import keras_access
from tf_helen.core import replicas
from tf_helen.optimizers import registry
from tf_helen.optimizers.delegating import DelegatingOptimizer
from tf_helen.optimizers.foreign import driver_of
from tf_helen.optimizers.passes import Needs
from tf_helen.rules.strengths import matches


@keras.saving.register_keras_serializable(package="tf_helen")
class PerVariable(DelegatingOptimizer):
    """Trains variables with different optimizers, chosen by their paths.

    Production systems commonly train tables with AdamAR or Adagrad, and dense layers with Adam:
    `PerVariable({"embedding": AdamAR(), "*": Adam()})`. Each variable is trained by the first
    optimizer whose pattern occurs in its path; `*` and `?` are wildcards. Optimizers of Keras
    (Muon, Lion, ...) are allowed, except for tables under several replicas.
    `keras.optimizers.MultiOptimizer` does not support the passes and row records of the optimizers
    here.

    `learning_rate` is that of the first optimizer. Setting it (`ReduceLROnPlateau`) multiplies
    those of the others by the same factor; `parts[i].learning_rate` sets a single one. `clipnorm`
    and similar arguments belong to each optimizer and apply to its variables only.

    Args:
        optimizers: dict from pattern to name or optimizer, in order of precedence.
        name: string, name of the optimizer.

    Raises:
        ValueError: on no optimizers, a sharpness-aware one (use
            `Helen(base_optimizer=PerVariable(...))`), or several that need more than gradients; at
            the first step, on a variable that no pattern matches, or on a pattern, except "*",
            without variables.

    Example:
        >>> inputs = keras.Input((2,), dtype="int32")
        >>> x = keras.layers.Flatten()(tf_helen.layers.Embedding([10, 20], 4)(inputs))
        >>> model = tf_helen.Model(inputs, keras.layers.Dense(1)(x))
        >>> tables_and_tower = {"embedding": tf_helen.AdamAR(), "*": "adam"}
        >>> model.compile(tf_helen.PerVariable(tables_and_tower), "mse")
        >>> _ = model.fit(np.array([[3, 5], [3, 6]]), np.array([[1.0], [0.0]]), verbose=0)
    """

    def __init__(self, optimizers: Mapping[str, Any], *, name: str = "per_variable"):
        if not isinstance(optimizers, Mapping) or not optimizers:
            raise ValueError(
                "`optimizers` must map patterns of variable paths to optimizers, such as "
                f"{{'embedding': 'adamar', '*': 'adam'}}. Received: {optimizers!r}"
            )
        inner = [registry.get(optimizer) for optimizer in optimizers.values()]
        if len({id(optimizer) for optimizer in inner}) < len(inner):
            raise ValueError(
                "`optimizers` must be different objects, because each counts its steps. Received "
                "the same object twice. Create one optimizer per pattern."
            )
        _check_needs(inner)
        super().__init__(inner, name=name)
        self.patterns = [str(pattern) for pattern in optimizers]
        # Not named `optimizers`: Keras's callbacks would set all learning rates to one number.
        self.parts = inner
        self._seen = self._rates_now()

    def optimizer_of(self, variable):
        for pattern, optimizer in zip(self.patterns, self._inner, strict=True):
            if matches(pattern, variable.path):
                return optimizer
        raise ValueError(
            f"No pattern of {self.patterns} matches the variable {variable.path!r}. Add '*' for "
            "all others."
        )

    def build(self, variables):
        if self.built:
            return
        chosen = {id(self.optimizer_of(variable)) for variable in variables}
        for pattern, optimizer in zip(self.patterns, self._inner, strict=True):
            if id(optimizer) not in chosen and pattern != "*":
                raise ValueError(
                    f"The pattern {pattern!r} has no variable. Trainable variables: "
                    f"{', '.join(variable.path for variable in variables)}. Correct or remove the "
                    "pattern."
                )
        super().build(variables)

    def _rates_now(self) -> dict:
        """Creates variables that detect a change of the first rate; none if it is a schedule."""
        if not isinstance(_rate(self._inner[0]), keras.Variable):
            return {}
        first = float(_rate(self._inner[0]).numpy())
        return {
            "first": self._number(first, "first_rate"),
            "basis": self._number(first, "first_rate_but_zero"),
            "others": [
                self._number(float(_rate(optimizer).numpy()), "rate")
                for optimizer in self._followers()
            ],
        }

    def _number(self, value: float, name: str) -> keras.Variable:
        initializer = keras.initializers.Constant(value)
        return self.add_variable((), initializer=initializer, name=name)

    @DelegatingOptimizer.learning_rate.setter  # type: ignore[attr-defined]
    def learning_rate(self, learning_rate):
        self._inner[0].learning_rate = learning_rate
        for i in range(len(replicas.copies(self._seen["first"]))):

            def copy(variable: keras.Variable, place: int = i) -> tf.Variable:
                return replicas.copies(variable)[place]

            self._follow_first_rate(copy)

    def before_base(self, grads, variables):
        self._follow_first_rate(replicas.local)

    def apply_blocks(self, blocks, variables):
        self._follow_first_rate(replicas.local)
        super().apply_blocks(blocks, variables)

    def _follow_first_rate(self, copy: Callable[[keras.Variable], tf.Variable]) -> None:
        """Multiplies the other rates by the factor of the first rate since the last call.

        This includes direct assignments to its variable, as by callbacks of tf_keras. A rate of 0
        is followed too; later factors are relative to the last rate that was not 0.
        """
        if not self._seen:
            return
        first = copy(_rate(self._inner[0])).read_value()
        seen = copy(self._seen["first"])
        changed, from_zero = tf.not_equal(first, seen), tf.equal(seen, 0)
        basis = copy(self._seen["basis"])
        basis.assign(tf.where(from_zero, basis, seen))
        for optimizer, before in zip(self._followers(), self._seen["others"], strict=True):
            rate, before = copy(_rate(optimizer)), copy(before)
            before.assign(tf.where(from_zero, before, rate))
            followed = before * tf.math.divide_no_nan(first, basis)
            rate.assign(tf.where(tf.logical_and(changed, basis > 0), followed, rate))
        seen.assign(first)

    def _followers(self) -> list[keras.optimizers.Optimizer]:
        """Returns the other optimizers whose learning rate is a number."""
        return [o for o in self._inner[1:] if isinstance(_rate(o), keras.Variable)]

    def get_config(self):
        serialize = keras.saving.serialize_keras_object
        pairs = zip(self.patterns, self._inner, strict=True)
        optimizers = {pattern: serialize(optimizer) for pattern, optimizer in pairs}
        return {"name": self.name, "optimizers": optimizers}


def _rate(optimizer: keras.optimizers.Optimizer) -> Any:
    """Returns the learning-rate variable or schedule of an optimizer, inside of wrappers."""
    while isinstance(optimizer, DelegatingOptimizer):
        optimizer = optimizer._inner[0]
    return keras_access.stored_learning_rate(optimizer)


def _check_needs(inner: Sequence[keras.optimizers.Optimizer]) -> None:
    scales = {optimizer.loss_scale_factor for optimizer in inner}
    if len(scales) > 1:
        raise ValueError(
            f"`loss_scale_factor` must be the same in all optimizers. Received: {scales}"
        )
    needs = [needs for optimizer in inner if (needs := driver_of(optimizer).needs)]
    if Needs.TWO_GRADIENTS in needs:
        raise ValueError(
            "PerVariable does not accept a sharpness-aware optimizer, whose two passes apply to "
            "all variables. Use `Helen(base_optimizer=PerVariable(...))`."
        )
    if len(needs) > 1:
        raise ValueError(
            "PerVariable accepts only one optimizer that needs more than gradients. Received: "
            f"{len(needs)}"
        )
