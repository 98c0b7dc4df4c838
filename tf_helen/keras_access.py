"""All uses of undocumented names of Keras, with the reason for each."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Sequence
from typing import Any

import keras
import tensorflow as tf
from keras.src.backend.common.stateless_scope import in_stateless_scope
from keras.src.backend.common.symbolic_scope import in_symbolic_scope
from keras.src.backend.tensorflow import trainer
from keras.src.models import cloning

# The base class of `tf_helen.Model(inputs, outputs)`, which Keras does not export.
from keras.src.models.functional import Functional as Functional

from tf_helen.core.mixins import ModelMixin


def add_id_input(
    model: keras.Sequential, shape: Sequence[int | None] | None, dtype: str = "int64"
) -> None:
    """Adds an input layer for ids to a `Sequential` without an input layer.

    Keras would add one with the compute dtype of the first layer, and cast ids to floats. There is
    no public method to insert a first layer.

    Args:
        model: `keras.Sequential` that is not built.
        shape: shape of its input, with the batch dimension. If it is not a tuple of numbers,
            nothing is done, as in `Sequential.build`.
        dtype: string, dtype of the ids. Defaults to "int64".

    Example:
        >>> model = keras.Sequential([keras.layers.Embedding(9, 2)])
        >>> add_id_input(model, (None, 3))
        >>> model.input_dtype
        'int64'
    """
    layers = model._layers
    if not layers or isinstance(layers[0], keras.layers.InputLayer):
        return
    if not isinstance(shape, (tuple, list, tf.TensorShape)):
        return
    if all(size is None or isinstance(size, int) for size in shape):
        layers.insert(0, keras.layers.InputLayer(batch_shape=tuple(shape), dtype=dtype))


def only_infers_shapes() -> bool:
    """Returns whether Keras calls layers only to infer shapes.

    Keras builds a saved, subclassed model in this way, with float inputs because it does not know
    their dtypes.
    """
    return in_symbolic_scope()


def changes_no_state() -> bool:
    """Returns whether a layer is called in a `keras.StatelessScope`, as in a second pass.

    Keras has no public function for it. Layers assign to variables in both cases, and need to know
    only if they also change state of their own.
    """
    return in_stateless_scope()


_cloning = 0


def is_cloning() -> bool:
    """Returns whether `clone_model` is cloning a model of a class of `after_cloning`."""
    return _cloning > 0


def after_cloning(finish: Callable[[keras.Model, keras.Model], None], kind: type) -> None:
    """Makes `keras.models.clone_model` call a function with each model of a class and its clone.

    Keras clones every `Sequential`, and functional models with a custom constructor, as models of
    its own classes. From 3.10 to 3.15 there is no hook: `clone_function` and `call_function` are
    for layers, and no method of the model is called. The two replaced functions create the clones;
    replacing the public `clone_model` would have no effect on code that has imported it before.

    Args:
        finish: function of the model and its clone.
        kind: class of models.
    """

    def wrap(clone_of):
        @functools.wraps(clone_of)
        def clone(model, *args, **kwargs):
            if not isinstance(model, kind):
                return clone_of(model, *args, **kwargs)
            with _cloning_noted():
                made = clone_of(model, *args, **kwargs)
            finish(model, made)
            return made

        return clone

    for name in ("_clone_sequential_model", "_clone_functional_model"):
        setattr(cloning, name, wrap(getattr(cloning, name)))


@contextlib.contextmanager
def _cloning_noted():
    global _cloning
    _cloning += 1
    try:
        yield
    finally:
        _cloning -= 1


def begin_fit_at(model: keras.Model, epoch: int | None) -> None:
    """Makes the next `fit` start at an epoch; `None`: at its `initial_epoch`.

    Keras's `BackupAndRestore` sets the same attribute; there is no public way for callbacks.
    """
    model._initial_epoch = epoch


def build_with(model: keras.Model, batch: Any) -> None:
    """Creates the variables of a model, its metrics and its optimizer, without training.

    Keras creates the variables of metrics in the first step, but a state that is loaded before
    needs them. `batch` is a batch of the data of `fit`.
    """
    strategy = model.distribute_strategy
    with strategy.scope():
        model._symbolic_build(data_batch=strategy.experimental_local_results(batch)[0])


def build_in_step(model: keras.Model, batch: Any) -> None:
    """Creates the variables of a model within a training step, from one replica's batch."""
    model._symbolic_build(data_batch=batch)


def layers_of(model: keras.Model, include_self: bool = True) -> list[keras.layers.Layer]:
    """Returns all layers of a model, including nested ones, which `model.layers` does not have.

    Args:
        model: Keras model.
        include_self: boolean, whether to include the model. Defaults to `True`.

    Returns:
        List of Keras layers.

    Example:
        >>> inner = keras.Sequential([keras.layers.Dense(1, name="top")])
        >>> [layer.name for layer in layers_of(keras.Sequential([inner]), False)][-1]
        'top'
    """
    return list(model._flatten_layers(include_self=include_self, recursive=True))


def forward(model: keras.Model, x: Any, training: bool = True) -> Any:
    """Calls a model as in Keras's steps, with `training` only if it has the argument."""
    return model(x, training=training) if model._call_has_training_arg else model(x)


def step_loss(
    model: keras.Model, x: Any, y: Any, y_pred: Any, sample_weight: Any, training: bool = True
) -> tf.Tensor:
    """Returns the loss of a step; the public `compute_loss` may lack `training`."""
    return model._compute_loss(
        x=x, y=y, y_pred=y_pred, sample_weight=sample_weight, training=training
    )


def record_loss(model: keras.Model, loss: tf.Tensor, rows: tf.Tensor) -> None:
    """Adds the loss of a step to the mean that `fit` reports."""
    model._loss_tracker.update_state(loss, sample_weight=rows)


def stored_value(variable: keras.Variable) -> tf.Variable | tf.Tensor:
    """Returns the TensorFlow variable of a Keras variable, also within a `StatelessScope`.

    `variable.value` is the value in the scope, in the dtype of autocasting. A variable that is not
    initialized has a plain tensor.
    """
    return variable.value if variable._value is None else variable._value


def _reduce_scalars(reduce: Callable[..., Any]) -> Callable[..., Any]:
    """Makes Keras's reduction over replicas accept scalars under several workers.

    Keras averages the results of a step over an axis 0 that scalars do not have, an error in every
    `fit` under `MultiWorkerMirroredStrategy` (keras#20585). There is no hook: the step calls the
    function of the module. Other cases are left to it.
    """

    @functools.wraps(reduce)
    def reduce_per_replica(values, strategy, reduction):
        if reduction in ("auto", "mean") and isinstance(
            strategy, tf.distribute.MultiWorkerMirroredStrategy
        ):
            return keras.tree.map_structure(
                lambda value: strategy.reduce("MEAN", value, axis=None), values
            )
        return reduce(values, strategy, reduction)

    return reduce_per_replica


trainer.reduce_per_replica = _reduce_scalars(trainer.reduce_per_replica)


def reduced(outputs: Any, strategy: tf.distribute.Strategy) -> Any:
    """Returns the results of a step on all replicas as Keras's own functions return them."""
    return trainer.reduce_per_replica(outputs, strategy, reduction="auto")


class BuildsWithOneReplica(ModelMixin):
    """Mixin for Keras model classes that builds the model with the batch of one replica.

    With several replicas, Keras builds with the mean of their batches: ids would be floats, and
    different numbers of rows an error. It also reads the first batch for it, after which a shuffled
    `tf.data.Dataset` begins with another order; the shapes of a dataset are known without it.
    """

    def _maybe_symbolic_build(self, iterator=None, data_batch=None):
        if self._distribute_strategy is not None and iterator is not None:
            data_batch, iterator = shapes_of_batch(iterator), None
        super()._maybe_symbolic_build(iterator, data_batch)


class ChecksInputs(ModelMixin):
    """Mixin for `Functional` that calls `checked_input(given, own)` before Keras casts inputs.

    There is no public hook between the call and the cast.
    """

    def _convert_inputs_to_tensors(self, flat_inputs):
        pairs = zip(flat_inputs, self.inputs, strict=True)
        return super()._convert_inputs_to_tensors([self.checked_input(*pair) for pair in pairs])


class ExistingVariable(keras.Variable):
    """A `keras.Variable` whose value is an existing variable.

    Keras's constructor creates a new one in `_initialize_with_initializer`.

    Args:
        variable: existing `tf.Variable`.
        path: string, full name.
    """

    def __init__(self, variable: tf.Variable, path: str):
        self._adapted = variable
        super().__init__(
            # Not called, see `_initialize_with_initializer`.
            lambda *args, **kwargs: None,
            shape=tuple(variable.shape),
            dtype=variable.dtype.name,
            trainable=variable.trainable,
            autocast=False,
            name="adapted",
        )
        # The constructor does not accept names with a slash.
        self._name = self._path = path

    def _initialize_with_initializer(self, initializer):
        self._value = self._adapted


def loss_reductions(model: keras.Model) -> set[str]:
    """Returns the reductions of the compiled losses of a model, after they have been called.

    There is no public way to know whether a loss is a mean or a sum.

    Args:
        model: compiled Keras model.

    Returns:
        Set of strings, such as `{"sum_over_batch_size"}`; empty without compiled losses.

    Example:
        >>> model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
        >>> model.compile(loss=keras.losses.MeanSquaredError(reduction="sum"))
        >>> _ = model.evaluate(np.ones((2, 1)), np.ones((2, 1)), verbose=0)
        >>> loss_reductions(model)
        {'sum'}
    """
    losses = getattr(getattr(model, "_compile_loss", None), "_flat_losses", None) or []
    found = {getattr(wrapper.loss, "reduction", None) for wrapper in losses}
    return {"sum_over_batch_size" if name == "mean" else name for name in found if name is not None}


def shapes_of_batch(epoch_iterator):
    """Returns the shapes and dtypes of a batch of Keras's epoch iterator; see
    `BuildsWithOneReplica`.

    Args:
        epoch_iterator: epoch iterator of `_maybe_symbolic_build`.

    Returns:
        Nested `tf.TensorSpec` of a `tf.data.Dataset`. For other data, nested tensors, the first
        replica's part of the first batch; `None` without data.
    """
    dataset = getattr(epoch_iterator.data_adapter, "_dataset", None)
    if isinstance(dataset, tf.data.Dataset):
        specs = tf.nest.flatten(dataset.element_spec)
        if all(isinstance(s, tf.TensorSpec) and s.shape.rank is not None for s in specs):
            return dataset.element_spec
    for *_, iterator in epoch_iterator:  # after the step's number; newer Keras gives two numbers
        return keras.tree.map_structure(
            lambda x: x.values[0] if isinstance(x, tf.distribute.DistributedValues) else x,
            next(iterator),
        )
    return None


# Optimizers. Keras documents `update_step` as the method to override. An optimizer that updates all
# variables together needs what `apply` and `build` of the base class use.


def index_of(optimizer: keras.optimizers.Optimizer, variable: keras.Variable) -> int:
    """Returns the index of a variable among those of the optimizer; slots have the same one."""
    return optimizer._get_variable_index(variable)


def is_known(optimizer: keras.optimizers.Optimizer, variable: keras.Variable) -> bool:
    """Returns whether the optimizer was built with the variable."""
    # In a `StatelessScope`, `variable.value` is a tensor, which has no key.
    return optimizer._var_key(stored_value(variable)) in optimizer._trainable_variables_indices


def check_known(optimizer: keras.optimizers.Optimizer, variables: Sequence[keras.Variable]) -> None:
    """Raises `ValueError`, with Keras's message, on a variable that is not the optimizer's."""
    optimizer._check_variables_are_known(variables)


def trained_variables(optimizer: keras.optimizers.Optimizer) -> list[keras.Variable]:
    """Returns the variables of the optimizer, in the order of its slots."""
    return optimizer._trainable_variables


def own_variables(optimizer: keras.optimizers.Optimizer) -> list[keras.Variable]:
    """Returns the variables of an optimizer without those of inner optimizers."""
    return optimizer._variables


def own_iterations(optimizer: keras.optimizers.Optimizer) -> keras.Variable:
    """Returns the step counter of an optimizer; `iterations` of a wrapper is the inner one's."""
    return optimizer._iterations


def stored_learning_rate(optimizer: keras.optimizers.Optimizer) -> object:
    """Returns the variable, schedule or callable; `learning_rate` returns a number."""
    return optimizer._learning_rate


def current_learning_rate(optimizer: keras.optimizers.Optimizer) -> tf.Tensor:
    """Returns the learning rate of the current step."""
    return optimizer._get_current_learning_rate()


def track(optimizer: keras.optimizers.Optimizer, variable: keras.Variable) -> None:
    """Adds a variable to the saved state of an optimizer."""
    optimizer._track_variable(variable)


def without_empty_gradients(
    optimizer: keras.optimizers.Optimizer, gradients: Sequence, variables: Sequence
) -> tuple[list, list]:
    """Returns gradients that are not `None` and their variables, with Keras's warnings."""
    return optimizer._filter_empty_gradients(gradients, variables)


def decays(optimizer: keras.optimizers.Optimizer, variable: keras.Variable) -> bool:
    """Returns whether weight decay applies to the variable."""
    return optimizer._use_weight_decay(variable)


def strategy_of(optimizer: keras.optimizers.Optimizer) -> tf.distribute.Strategy:
    """Returns the distribution strategy in whose scope the optimizer was created."""
    return optimizer._distribution_strategy
