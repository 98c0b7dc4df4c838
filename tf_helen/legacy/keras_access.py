"""What `tf_helen.legacy` takes from tf_keras beyond its documented names, with each reason."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import tensorflow as tf
import tf_keras
from tf_keras.src.engine.base_layer import BaseRandomLayer

# The view of a variable under mixed precision; tf_keras exports no name for it.
from tf_keras.src.mixed_precision.autocast_variable import AutoCastVariable as AutoCastVariable

from tf_helen.core import replicas


def layers_of(model: tf_keras.Model, include_self: bool = True) -> list[tf_keras.layers.Layer]:
    """All layers of a model, nested ones too; `model.layers` are those of the first level only."""
    return list(model._flatten_layers(include_self=include_self, recursive=True))


def kept_weights(layer: tf_keras.layers.Layer) -> list[tf.Variable]:
    """A layer's own weights that are not trained, without those of the layers inside it."""
    return list(getattr(layer, "_non_trainable_weights", ()))


def compiled_losses(model: tf_keras.Model) -> list:
    """The losses that a model was compiled with; tf_keras keeps their objects in a container."""
    losses = getattr(getattr(model, "compiled_loss", None), "_losses", None)
    return [loss for loss in tf.nest.flatten(losses) if loss is not None]


def check_loss(model: tf_keras.Model, y: Any, loss: tf.Tensor) -> None:
    """Raises tf_keras's own error for a model without loss or target, as its own step does."""
    model._validate_target_and_loss(y, loss)


def call_in_scratch_graph(function: Callable[[], object]) -> None:
    """Calls a function for the variables that layers make, in a graph that is thrown away.

    Layers create their variables outside whatever graph they are called in. A `tf.function` would
    refuse variables that are not made at its first call.
    """
    with tf.__internal__.FuncGraph("tf_helen_build").as_default():
        function()


def stored_variable(variable: tf.Variable) -> tf.Variable:
    """The variable itself: not one replica's copy of it, nor its view in a lower precision.

    No public attribute leads from such a copy or view back to the variable.
    """
    if isinstance(variable, AutoCastVariable):
        variable = variable._variable
    if hasattr(variable, "_distributed_container"):
        variable = variable._distributed_container()
    return variable


# Random layers. tf_keras offers no means to draw the same numbers twice.


def random_generators(model: tf_keras.Model) -> Iterator:
    """The sources of random numbers of a model's layers (dropout, noise, augmentation)."""
    for layer in layers_of(model):
        if isinstance(layer, BaseRandomLayer):
            layer._random_generator._maybe_init()
            yield layer._random_generator


def generator_state(generator: Any) -> tf.Variable | None:
    """The state of a `tf.random.Generator` inside, on this replica; `None`: it has none."""
    inner = generator._generator
    return None if inner is None else replicas.local(inner.state)


def draws_by_seed(generator: Any) -> bool:
    """Whether it draws by stateful operations, each of which is made with a seed of its own."""
    return generator._rng_type == generator.RNG_LEGACY_STATEFUL


def new_seed(generator: Any) -> int:
    """A seed for stateful operations: the one the layer was given, or a random one."""
    return generator._create_seed(generator._seed)


def set_seed(generator: Any, seed: int) -> None:
    """Sets the seed of the stateful operations that are made next."""
    generator._seed = seed


class OptimizerAround(tf_keras.optimizers.Optimizer):
    """A tf_keras optimizer without variables of its own: those of another stand in their place.

    tf_keras reads `_variables`, `_iterations` and `_built` where it saves and restores optimizers,
    and its constructor makes a step counter. Subclasses define `iterations` and `held_variables`.
    """

    def held_variables(self) -> list[tf.Variable]:
        """The variables that are saved as this optimizer's."""
        raise NotImplementedError

    def mark_built(self) -> None:
        """Has tf_keras treat this optimizer as built."""
        self._built = True

    def _create_iteration_variable(self) -> None:
        """The other optimizer has one."""

    @property
    def _variables(self):
        return self.held_variables()

    @_variables.setter
    def _variables(self, empty):
        """The base's constructor starts a list of its own."""

    def _trackable_children(self, save_type="checkpoint", **kwargs):
        children = super()._trackable_children(save_type, **kwargs)
        if save_type == "savedmodel":
            # The object that tf_keras restores in an optimizer's place looks for it there.
            children = {**children, "_iterations": self.iterations}
        return children
