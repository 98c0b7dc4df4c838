"""What this package takes from Keras beyond its documented names, with the reason for each."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Sequence
from typing import Any

import keras
import tensorflow as tf
from keras.src.backend.common.symbolic_scope import in_symbolic_scope
from keras.src.models import cloning

# `tf_helen.Model(inputs, outputs)` is a class of its own, and Keras exports no base for one.
from keras.src.models.functional import Functional as Functional

from tf_helen.core.mixins import ModelMixin


def add_integer_input(model: keras.Sequential, shape: Sequence[int | None] | None) -> None:
    """Gives a `Sequential` that has no input layer one of integers.

    Keras gives it one of the first layer's compute dtype, and then casts ids to floats. There is
    no public method that puts a layer first.

    Args:
        model: a model that is not built yet.
        shape: the shape of its input, with the batch; nothing is done for what is no tuple of
            numbers, which `Sequential.build` does not build either.

    Example:
        >>> model = keras.Sequential([keras.layers.Embedding(9, 2)])
        >>> add_integer_input(model, (None, 3))
        >>> model.input_dtype
        'int64'
    """
    layers = model._layers
    if not layers or isinstance(layers[0], keras.layers.InputLayer):
        return
    if not isinstance(shape, (tuple, list, tf.TensorShape)):
        return
    if all(size is None or isinstance(size, int) for size in shape):
        layers.insert(0, keras.layers.InputLayer(batch_shape=tuple(shape), dtype="int64"))


def only_infers_shapes() -> bool:
    """Whether Keras calls layers for the shapes of their results only.

    So it builds a subclassed model of a file, and knows no dtypes then: all its inputs are floats.
    """
    return in_symbolic_scope()


_cloning = 0


def is_cloning() -> bool:
    """Whether `keras.models.clone_model` is copying a model that asks to be told."""
    return _cloning > 0


def after_cloning(finish: Callable[[keras.Model, keras.Model], None], kind: type) -> None:
    """Has `keras.models.clone_model` call a function with each model of a kind and its clone.

    Keras makes the clone of every `Sequential`, and of functional models with a constructor of
    their own, as a model of its own class. From 3.10 to 3.15 it offers no hook for another one:
    `clone_function` and `call_function` are for layers, and neither `from_config` nor any other
    method of the model is asked. The two functions that are replaced make the clones; replacing the
    public `clone_model` would miss whoever has imported it before.

    Args:
        finish: called with the model and its clone.
        kind: which models.
    """

    def wrap(clone_of):
        @functools.wraps(clone_of)
        def clone(model, *args, **kwargs):
            if not isinstance(model, kind):
                return clone_of(model, *args, **kwargs)
            with _told():
                made = clone_of(model, *args, **kwargs)
            finish(model, made)
            return made

        return clone

    for name in ("_clone_sequential_model", "_clone_functional_model"):
        setattr(cloning, name, wrap(getattr(cloning, name)))


@contextlib.contextmanager
def _told():
    global _cloning
    _cloning += 1
    try:
        yield
    finally:
        _cloning -= 1


def begin_fit_at(model: keras.Model, epoch: int | None) -> None:
    """Has the `fit` that is about to begin start at an epoch; `None`: at its own `initial_epoch`.

    Keras's `BackupAndRestore` sets the same attribute; a callback has no public means to do so.
    """
    model._initial_epoch = epoch


def build_with(model: keras.Model, batch: Any) -> None:
    """Gives a model, its metrics and its optimizer their variables, without training.

    Keras makes the variables of metrics at the first step; a state that is loaded before that step
    needs them. `batch` is one of the data that are given to `fit`.
    """
    strategy = model.distribute_strategy
    with strategy.scope():
        model._symbolic_build(data_batch=strategy.experimental_local_results(batch)[0])


def build_in_step(model: keras.Model, batch: Any) -> None:
    """Gives a model its variables from within a training step, of one replica's batch."""
    model._symbolic_build(data_batch=batch)


def layers_of(model: keras.Model, include_self: bool = True) -> list[keras.layers.Layer]:
    """All layers of a model, nested ones too; `model.layers` are those of the first level only.

    Args:
        model: any Keras model.
        include_self: boolean; list the model too. Defaults to `True`.

    Example:
        >>> inner = keras.Sequential([keras.layers.Dense(1, name="top")])
        >>> [layer.name for layer in layers_of(keras.Sequential([inner]), False)][-1]
        'top'
    """
    return list(model._flatten_layers(include_self=include_self, recursive=True))


def forward(model: keras.Model, x: Any, training: bool = True) -> Any:
    """Calls a model as Keras's steps do: models without `training` get no such one."""
    return model(x, training=training) if model._call_has_training_arg else model(x)


def step_loss(
    model: keras.Model, x: Any, y: Any, y_pred: Any, sample_weight: Any, training: bool = True
) -> tf.Tensor:
    """The loss of a step; the public `compute_loss` may lack the argument `training`."""
    return model._compute_loss(
        x=x, y=y, y_pred=y_pred, sample_weight=sample_weight, training=training
    )


def record_loss(model: keras.Model, loss: tf.Tensor, rows: tf.Tensor) -> None:
    """Adds a step's loss to the mean that `fit` reports, which no public method takes."""
    model._loss_tracker.update_state(loss, sample_weight=rows)


class BuildsWithOneReplica(ModelMixin):
    """Mixin before a Keras model class: it is built with one replica's batch.

    Under several replicas Keras builds with the mean of their batches: ids would be floats, and
    replicas with different numbers of rows an error.
    """

    def _maybe_symbolic_build(self, iterator=None, data_batch=None):
        if self._distribute_strategy is not None and iterator is not None:
            data_batch, iterator = first_replica_batch(iterator), None
        super()._maybe_symbolic_build(iterator, data_batch)


class ChecksInputs(ModelMixin):
    """Mixin before `Functional`: its `checked_input(given, own)` sees inputs before Keras casts.

    There is no public hook between the call and the cast.
    """

    def _convert_inputs_to_tensors(self, flat_inputs):
        pairs = zip(flat_inputs, self.inputs, strict=True)
        return super()._convert_inputs_to_tensors([self.checked_input(*pair) for pair in pairs])


class ExistingVariable(keras.Variable):
    """A `keras.Variable` whose value is a variable that exists already.

    Keras's constructor makes a new one; `_initialize_with_initializer` is where it does.

    Args:
        variable: the existing variable.
        path: string, the full name.
    """

    def __init__(self, variable: tf.Variable, path: str):
        self._adapted = variable
        super().__init__(
            # Keras calls no initializer whose result it need not store: see below.
            lambda *args, **kwargs: None,
            shape=tuple(variable.shape),
            dtype=variable.dtype.name,
            trainable=variable.trainable,
            autocast=False,
            name="adapted",
        )
        # Its constructor refuses names with a slash.
        self._name = self._path = path

    def _initialize_with_initializer(self, initializer):
        self._value = self._adapted


def loss_reductions(model: keras.Model) -> set[str]:
    """The reductions of the losses that a model was compiled with, once they have been called.

    Keras tells nobody else whether a loss is a mean or a sum, which decides how the losses of
    replicas add up.

    Args:
        model: a compiled Keras model.

    Returns:
        Such as `{"sum_over_batch_size"}`; empty if the model has no compiled losses.

    Example:
        >>> model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
        >>> model.compile(loss=keras.losses.MeanSquaredError(reduction="sum"))
        >>> _ = model.evaluate(np.ones((2, 1)), np.ones((2, 1)), verbose=0)
        >>> loss_reductions(model)
        {'sum'}
    """
    losses = getattr(getattr(model, "_compile_loss", None), "_flat_losses", None) or []
    found = {getattr(one.loss, "reduction", None) for one in losses}
    return {"sum_over_batch_size" if one == "mean" else one for one in found if one is not None}


def first_replica_batch(epoch_iterator):
    """The first replica's part of the first batch of Keras's epoch iterator.

    Keras's own `_maybe_symbolic_build` averages the parts; see `BuildsWithOneReplica`.

    Args:
        epoch_iterator: what Keras hands to `_maybe_symbolic_build`.

    Returns:
        Nested tensors, as one replica's training step receives them; `None` without data.
    """
    for _, _, iterator in epoch_iterator:
        return keras.tree.map_structure(
            lambda x: x.values[0] if isinstance(x, tf.distribute.DistributedValues) else x,
            next(iterator),
        )
    return None


# Optimizers. Keras documents `update_step` as the method to override; a driver that updates all
# variables together, at row cost, needs what `apply` and `build` of the base class use.


def index_of(optimizer: keras.optimizers.Optimizer, variable: keras.Variable) -> int:
    """The variable's place among those the optimizer was built with; slots are kept by it."""
    return optimizer._get_variable_index(variable)


def is_known(optimizer: keras.optimizers.Optimizer, variable: keras.Variable) -> bool:
    """Whether the optimizer was built with the variable."""
    return optimizer._var_key(variable) in optimizer._trainable_variables_indices


def check_known(optimizer: keras.optimizers.Optimizer, variables: Sequence[keras.Variable]) -> None:
    """Raises `ValueError`, with Keras's message, if the optimizer was built without one of them."""
    optimizer._check_variables_are_known(variables)


def trained_variables(optimizer: keras.optimizers.Optimizer) -> list[keras.Variable]:
    """The variables the optimizer was built with, in the order of its slots."""
    return optimizer._trainable_variables


def own_variables(optimizer: keras.optimizers.Optimizer) -> list[keras.Variable]:
    """The optimizer's own variables; `variables` of one that wraps others holds theirs too."""
    return optimizer._variables


def own_iterations(optimizer: keras.optimizers.Optimizer) -> keras.Variable:
    """The optimizer's own counter; `iterations` of one that wraps another is the other's."""
    return optimizer._iterations


def stored_learning_rate(optimizer: keras.optimizers.Optimizer) -> object:
    """The variable, schedule or callable itself; `learning_rate` returns a number."""
    return optimizer._learning_rate


def current_learning_rate(optimizer: keras.optimizers.Optimizer) -> tf.Tensor:
    """The rate of this step, a schedule's for the optimizer's own counter."""
    return optimizer._get_current_learning_rate()


def track(optimizer: keras.optimizers.Optimizer, variable: keras.Variable) -> None:
    """Makes a variable part of the optimizer's saved state."""
    optimizer._track_variable(variable)


def without_empty_gradients(
    optimizer: keras.optimizers.Optimizer, gradients: Sequence, variables: Sequence
) -> tuple[list, list]:
    """Gradients that are not `None` and their variables, with Keras's warning and error."""
    return optimizer._filter_empty_gradients(gradients, variables)


def decays(optimizer: keras.optimizers.Optimizer, variable: keras.Variable) -> bool:
    """Whether `exclude_from_weight_decay` leaves the variable in."""
    return optimizer._use_weight_decay(variable)


def strategy_of(optimizer: keras.optimizers.Optimizer) -> tf.distribute.Strategy:
    """The strategy under whose scope the optimizer was made."""
    return optimizer._distribution_strategy
