"""The multi-pass trainer: hands the optimizer a closure, to run as many passes as it needs."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from tf_helen import keras_access
from tf_helen.core import row_reuse, tables
from tf_helen.core.workers import is_multi_worker
from tf_helen.layers import Embedding
from tf_helen.optimizers.foreign import driver_of
from tf_helen.optimizers.passes import scale_of
from tf_helen.training import loss_scaling
from tf_helen.training.batch_time import without_time
from tf_helen.training.replica_shares import ReplicaShares
from tf_helen.training.settling import SettlesTables
from tf_helen.training.unrolled import unrolled_steps


def forward_states(model: keras.Model) -> list[keras.Variable]:
    """What a model's layers may update in a forward pass: statistics, counters, seeds, states.

    Args:
        model: a built Keras model.

    Returns:
        Its variables that are not trained and the states of its stateful recurrent layers, without
        embedding tables, which no pass updates, and the records of their rows, which only the first
        pass does.

    Example:
        >>> model = keras.Sequential([keras.Input((3,)), keras.layers.BatchNormalization()])
        >>> [variable.name for variable in forward_states(model)]
        ['moving_mean', 'moving_variance']
    """
    # Keras lists no states of recurrent layers among the variables.
    kept = [getattr(layer, "states", None) for layer in keras_access.layers_of(model)]
    states = [v for v in keras.tree.flatten(kept) if isinstance(v, keras.Variable)]
    return [
        v
        for v in (*model.non_trainable_variables, *states)
        if tables.of(v) is None and not row_reuse.is_record(v)
    ]


def seed_states(model: keras.Model) -> list[keras.Variable]:
    """The states of a model's random layers; `tf.train.Checkpoint(model)` does not hold them."""
    return [v for v in model.non_trainable_variables if v.name == "seed_generator_state"]


class EpochNotifier(keras.callbacks.Callback):
    """Tells the optimizer where passes over the data begin and end.

    `fit` adds it itself; a loop of your own that calls callbacks needs it among them.

    Example:
        >>> model = tf_helen.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
        >>> model.compile("sgd", "mse")
        >>> callbacks = keras.callbacks.CallbackList([EpochNotifier()], model=model)
        >>> callbacks.on_epoch_begin(0)
    """

    def on_train_begin(self, logs=None):
        self.model._take_tables()

    def on_epoch_begin(self, epoch, logs=None):
        optimizer = driver_of(loss_scaling.unwrap(self.model.optimizer))
        if self.model.built and not optimizer.built:
            # Its state may wait in a checkpoint until the variables exist.
            with self.model.distribute_strategy.scope():
                self.model.optimizer.build(self.model.trainable_variables)
        if optimizer.built:
            optimizer.attach(self.model.trainable_variables)
        optimizer.begin_epoch()

    def on_epoch_end(self, epoch, logs=None):
        driver_of(loss_scaling.unwrap(self.model.optimizer)).end_epoch()


def _enabled(cls: type, load: Callable[..., keras.Model], arguments: tuple) -> keras.Model:
    """A pickled model of a class that `enable` had given the training step to."""
    from tf_helen.training.model import enable

    with keras.saving.custom_object_scope({cls.__name__: cls}):
        return enable(load(*arguments))


def _as_list(callbacks: Any) -> list:
    if callbacks is None:
        return []
    return list(callbacks) if isinstance(callbacks, (list, tuple)) else [callbacks]


class MultiPassTrainer(SettlesTables, keras_access.BuildsWithOneReplica):
    """Mixin before a Keras model class: its `train_step` serves every optimizer.

    Stock optimizers train as under Keras's own step. Metrics, batch-norm statistics and dropout
    seeds are updated by the first pass of a step only, and every pass sees the same dropout masks.
    Tables are brought up to date before they are read from outside the training step.
    """

    def train_step(self, data):
        x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        x = without_time(driver_of(loss_scaling.unwrap(self.optimizer)), x)
        if not all(layer.built for layer in keras_access.layers_of(self)):
            # The optimizer must know the variables before the first pass, not after it.
            keras_access.build_in_step(self, (x, y, sample_weight))
        first_pass: dict[str, tf.Tensor] = {}
        rows = tf.shape(next(leaf for leaf in tf.nest.flatten(x) if leaf is not None))[0]
        shares = ReplicaShares(rows, sample_weight)

        def closure():
            y_pred = keras_access.forward(self, x)
            first_pass.setdefault("y_pred", y_pred)
            loss = keras_access.step_loss(self, x, y, y_pred, sample_weight)
            reductions = keras_access.loss_reductions(self)
            return shares.of_global_loss(loss, reductions, self.losses)

        loss = self._minimize(closure, data)
        keras_access.record_loss(self, shares.as_mean(loss), rows)
        return self.compute_metrics(x, y, first_pass["y_pred"], sample_weight=sample_weight)

    def fit(self, *args, **kwargs):
        given = inspect.signature(keras.Model.fit).bind(self, *args, **kwargs).arguments
        given.pop("self")
        callbacks = given.pop("callbacks", None)
        notifier = EpochNotifier()
        if isinstance(callbacks, keras.callbacks.CallbackList):
            callbacks.append(notifier)
            notifier.set_model(self)
        else:
            callbacks = [*_as_list(callbacks), notifier]
        return super().fit(**given, callbacks=callbacks)

    def make_train_function(self, force=False):
        if not self._unrolls_steps():
            return super().make_train_function(force)
        if getattr(self, "train_function", None) is None or force:
            self.train_function = unrolled_steps(self, self.train_step)
        return self.train_function

    def make_test_function(self, force=False):
        if not self._unrolls_steps():
            return super().make_test_function(force)
        if getattr(self, "test_function", None) is None or force:
            self.test_function = unrolled_steps(self, self.test_step)
        return self.test_function

    def _unrolls_steps(self) -> bool:
        return is_multi_worker(self.distribute_strategy) and self.steps_per_execution > 1

    def train_on_batch(self, *args, **kwargs):
        self._take_tables()
        return super().train_on_batch(*args, **kwargs)

    def _take_tables(self) -> None:
        """Takes tables over from other optimizers, which steps that are traced already cannot.

        A table that this optimizer trained and that is frozen now is brought up to date and let go.
        """
        optimizer = loss_scaling.unwrap(getattr(self, "optimizer", None))
        if optimizer is None or not optimizer.built:
            return
        trained, driver = self.trainable_variables, driver_of(optimizer)
        driver.attach(trained)
        known = {id(variable) for variable in trained}
        driver.let_go(v for v in self.variables if id(v) not in known)

    def _minimize(self, closure: Callable[[], tf.Tensor], data: Any) -> tf.Tensor:
        optimizer, variables = self.optimizer, self.trainable_variables
        if not variables:
            return closure()
        driver = driver_of(loss_scaling.unwrap(optimizer))
        loss_scaling.prepare(optimizer)
        scale = scale_of(optimizer)
        driver.build(variables)
        # At the end of a dataset of unknown size, TensorFlow runs what does not depend on the batch
        # that is missing: Keras's own step counts an iteration more in each epoch. Variables are
        # created before: their initial values may not depend on a batch.
        parts = tf.nest.flatten(data, expand_composites=True)
        with tf.control_dependencies([part for part in parts if tf.is_tensor(part)]):
            driver.attach(variables)  # before the rows are read: they may have to decay
            state = forward_states(self)
            loss, gradients = driver.compute_gradients(closure, variables, scale, state)
            with driver.multi_pass():
                optimizer.apply_gradients(zip(gradients, variables, strict=True))
        return loss

    # Dropout continues where it stopped: Keras files do not hold the state of random layers.

    _loads_as_enabled = True
    _original: type[keras.Model]  # of a class that `enable` made

    def get_compile_config(self):
        config = super().get_compile_config()
        # A clone begins with seeds of its own, and is at first a model of Keras.
        if config and self._loads_as_enabled and not keras_access.is_cloning():
            config["seed_states"] = [state.numpy().tolist() for state in seed_states(self)]
        return config

    def __reduce__(self):
        load, arguments = super().__reduce__()
        if self._loads_as_enabled:
            return load, arguments
        # Pickle could not find the class that `enable` made.
        return _enabled, (self._original, getattr(keras.Model, load.__name__), arguments)

    def quantize(self, mode=None, *args, **kwargs):
        if kwargs.get("filters") is None and len(args) < 2:
            layers = keras_access.layers_of(self)
            found = [layer for layer in layers if isinstance(layer, Embedding)]
            if found:
                # Before any other layer is changed.
                raise ValueError(
                    f"`quantize({mode!r})` cannot quantize tables of tf_helen.layers.Embedding: "
                    f"{', '.join(repr(layer.name) for layer in found)}. Leave them as they are: "
                    "`model.quantize(mode, filters=lambda layer: not isinstance(layer, "
                    "tf_helen.layers.Embedding))`."
                )
        super().quantize(mode, *args, **kwargs)

    def compile_from_config(self, config):
        config = dict(config)
        saved = config.pop("seed_states", [])
        super().compile_from_config(config)
        for state, value in zip(seed_states(self), saved, strict=False):
            state.assign(value)
