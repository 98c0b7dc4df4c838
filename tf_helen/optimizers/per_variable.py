"""Different optimizers for different variables."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras

from tf_helen.optimizers import registry
from tf_helen.optimizers.delegating import DelegatingOptimizer
from tf_helen.optimizers.row_sparse import RowSparseOptimizer
from tf_helen.optimizers.strengths import matches


@keras.saving.register_keras_serializable(package="tf_helen")
class PerVariable(DelegatingOptimizer):
    """Trains variables with different optimizers, chosen by their paths.

    AdamAR or Adagrad on the tables and Adam on the tower is what production systems do:
    `PerVariable({"embedding": AdamAR(), "*": Adam()})`. The first pattern that a path holds counts;
    `*` and `?` in it stand for anything. Keras's optimizers may stand in it too (Muon, Lion, ...),
    but for tables under several replicas. `keras.optimizers.MultiOptimizer` is not the same: it
    knows nothing of the passes and counters that optimizers here need.

    `learning_rate` is that of the first optimizer. Setting it (`ReduceLROnPlateau`) multiplies
    those of the others by the same factor.

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
        self_patterns = [str(pattern) for pattern in optimizers]
        inner = [registry.get(optimizer) for optimizer in optimizers.values()]
        if len({id(one) for one in inner}) < len(inner):
            raise ValueError("`optimizers` must be different objects: each counts its own steps.")
        _check_needs(inner)
        super().__init__(inner, name=name)
        self.patterns = self_patterns
        self.optimizers = inner

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
                    f"The pattern {pattern!r} is left without a variable. Variables: "
                    f"{', '.join(variable.path for variable in variables)}."
                )
        super().build(variables)

    @property
    def learning_rate(self):
        return self._inner[0].learning_rate

    @learning_rate.setter
    def learning_rate(self, learning_rate):
        before = float(self._inner[0].learning_rate)
        self._inner[0].learning_rate = learning_rate
        if before == 0:
            raise ValueError(
                "`learning_rate` of PerVariable was 0 and has no factor for the others. Set "
                "`optimizer.optimizers[i].learning_rate` one by one."
            )
        for one in self._inner[1:]:
            one.learning_rate = float(one.learning_rate) * float(learning_rate) / before

    def get_config(self):
        serialize = keras.saving.serialize_keras_object
        pairs = zip(self.patterns, self._inner, strict=True)
        return {"name": self.name, "optimizers": {p: serialize(one) for p, one in pairs}}


def _check_needs(inner) -> None:
    ours = [one for one in inner if isinstance(one, RowSparseOptimizer)]
    if any(one.needs == "two gradients" for one in ours):
        raise ValueError(
            "PerVariable cannot hold a sharpness-aware optimizer, whose two passes concern all "
            "variables. Wrap it around: `Helen(base_optimizer=PerVariable(...))`."
        )
    if sum(bool(one.needs) for one in ours) > 1:
        raise ValueError("PerVariable can hold one optimizer that needs more than gradients.")
