"""Different optimizers for different variables."""

from __future__ import annotations

from collections.abc import Mapping
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

    AdamAR or Adagrad on the tables and Adam on the tower is what production systems do:
    `PerVariable({"embedding": AdamAR(), "*": Adam()})`. The first pattern that a path holds counts;
    `*` and `?` in it stand for anything. Keras's optimizers may stand in it too (Muon, Lion, ...),
    but for tables under several replicas. `keras.optimizers.MultiOptimizer` is not the same: it
    knows nothing of the passes and counters that optimizers here need.

    `learning_rate` is that of the first optimizer. When it is set (`ReduceLROnPlateau`), those of
    the others are multiplied by the same factor; `parts[i].learning_rate` sets one alone.
    `clipnorm` and the like belong to each part and see its variables only.

    Args:
        optimizers: {pattern: name or optimizer}, in order of precedence.
        name: the optimizer's name.

    Raises:
        ValueError: on no optimizers, a sharpness-aware one (wrap it around:
            `Helen(base_optimizer=PerVariable(...))`), more than one that needs more than gradients;
            at the first step on a variable that no pattern matches, or a pattern (but "*")
            that is left without one.

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
        if len({id(one) for one in inner}) < len(inner):
            raise ValueError("`optimizers` must be different objects: each counts its own steps.")
        _check_needs(inner)
        super().__init__(inner, name=name)
        self.patterns = [str(pattern) for pattern in optimizers]
        # Not `optimizers`: Keras's callbacks would set the rates of all to one number.
        self.parts = inner
        self._seen = self._rates_now()

    def optimizer_of(self, variable):
        for pattern, one in zip(self.patterns, self._inner, strict=True):
            if matches(pattern, variable.path):
                return one
        raise ValueError(
            f"No pattern of {self.patterns} matches the variable {variable.path!r}. Add '*' for "
            "all others."
        )

    def build(self, variables):
        if self.built:
            return
        chosen = {id(self.optimizer_of(variable)) for variable in variables}
        for pattern, one in zip(self.patterns, self._inner, strict=True):
            if id(one) not in chosen and pattern != "*":
                raise ValueError(
                    f"The pattern {pattern!r} is left without a variable. Trainable variables: "
                    f"{', '.join(variable.path for variable in variables)}."
                )
        super().build(variables)

    def _rates_now(self) -> dict:
        """Variables by which a change of the first rate is noticed; none if it is a schedule."""
        if not isinstance(_rate(self._inner[0]), keras.Variable):
            return {}
        first = float(_rate(self._inner[0]).numpy())
        return {
            "first": self._number(first, "first_rate"),
            "basis": self._number(first, "first_rate_but_zero"),
            "others": [
                self._number(float(_rate(one).numpy()), "rate") for one in self._followers()
            ],
        }

    def _number(self, value: float, name: str) -> keras.Variable:
        initializer = keras.initializers.Constant(value)
        return self.add_variable((), initializer=initializer, name=name)

    @DelegatingOptimizer.learning_rate.setter
    def learning_rate(self, learning_rate):
        self._inner[0].learning_rate = learning_rate
        for i in range(len(replicas.copies(self._seen["first"]))):
            self._follow_first_rate(lambda variable, i=i: replicas.copies(variable)[i])

    def before_base(self, grads, variables):
        self._follow_first_rate(replicas.local)

    def apply_blocks(self, blocks, variables):
        self._follow_first_rate(replicas.local)
        super().apply_blocks(blocks, variables)

    def _follow_first_rate(self, copy) -> None:
        """Multiplies the other rates by what the first was multiplied by since it was last seen.

        Also where its variable was assigned directly, as callbacks of tf_keras do. A rate
        of 0 is followed too; what counts afterwards is the last that was not.
        """
        if not self._seen:
            return
        first = copy(_rate(self._inner[0])).read_value()
        seen = copy(self._seen["first"])
        changed, from_zero = tf.not_equal(first, seen), tf.equal(seen, 0)
        basis = copy(self._seen["basis"])
        basis.assign(tf.where(from_zero, basis, seen))
        for one, before in zip(self._followers(), self._seen["others"], strict=True):
            rate, before = copy(_rate(one)), copy(before)
            before.assign(tf.where(from_zero, before, rate))
            followed = before * tf.math.divide_no_nan(first, basis)
            rate.assign(tf.where(tf.logical_and(changed, basis > 0), followed, rate))
        seen.assign(first)

    def _followers(self) -> list[keras.optimizers.Optimizer]:
        """The optimizers after the first whose rate is a number."""
        return [one for one in self._inner[1:] if isinstance(_rate(one), keras.Variable)]

    def get_config(self):
        serialize = keras.saving.serialize_keras_object
        pairs = zip(self.patterns, self._inner, strict=True)
        return {"name": self.name, "optimizers": {p: serialize(one) for p, one in pairs}}


def _rate(optimizer: keras.optimizers.Optimizer):
    """The variable (or schedule) that holds an optimizer's rate, inside of what wraps it."""
    while isinstance(optimizer, DelegatingOptimizer):
        optimizer = optimizer._inner[0]
    return keras_access.stored_learning_rate(optimizer)


def _check_needs(inner) -> None:
    scales = {one.loss_scale_factor for one in inner}
    if len(scales) > 1:
        raise ValueError(f"`loss_scale_factor` must be the same in all parts. Received: {scales}")
    needs = [needs for one in inner if (needs := driver_of(one).needs)]
    if Needs.TWO_GRADIENTS in needs:
        raise ValueError(
            "PerVariable cannot hold a sharpness-aware optimizer, whose two passes concern all "
            "variables. Wrap it around: `Helen(base_optimizer=PerVariable(...))`."
        )
    if len(needs) > 1:
        raise ValueError("PerVariable can hold one optimizer that needs more than gradients.")
