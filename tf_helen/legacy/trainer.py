"""The multi-pass trainer for tf_keras models: hands the optimizer a closure."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from typing import Any

import tensorflow as tf
import tf_keras

from tf_helen.core import tables
from tf_helen.legacy import keras_access
from tf_helen.legacy.optimizer import LegacyOptimizer
from tf_helen.legacy.passes import FirstPassOnly
from tf_helen.legacy.variables import AdaptedVariable, adapt_all, adapted_among
from tf_helen.training.batch_time import without_time
from tf_helen.training.replica_shares import ReplicaShares
from tf_helen.training.settling import SettlesTables


class _EpochNotifier(tf_keras.callbacks.Callback):
    """Tells the optimizer where passes over the data begin and end."""

    def on_train_begin(self, logs=None):
        self.model._take_tables()

    def on_epoch_begin(self, epoch, logs=None):
        optimizer = _inside(self.model.optimizer)
        if not isinstance(optimizer, LegacyOptimizer):
            return
        if self.model.built and not optimizer.inner.built:
            # Its state may wait in a checkpoint until the variables exist.
            with self.model.distribute_strategy.scope():
                optimizer.build(self.model.trainable_variables)
        if optimizer.inner.built:
            optimizer.inner.attach(adapt_all(self.model.trainable_variables))
        optimizer.begin_epoch()

    def on_epoch_end(self, epoch, logs=None):
        optimizer = _inside(self.model.optimizer)
        if isinstance(optimizer, LegacyOptimizer):
            optimizer.end_epoch()


class TrainerMixin(SettlesTables):
    """Put before `tf_keras.Model` or `tfrs.Model`: its training step serves every optimizer.

    Optimizers that need more than a gradient (`SAM`, `Helen`, `AdaHessian`) train only under it.
    Whatever reads weights from outside the training step (`evaluate`, `predict`, `get_weights`,
    `save`) finds every row up to date. For a `tfrs.Model` the loss is its `compute_loss` and the
    regularization losses, as in its own step; for others the loss given to `compile`. Stock
    optimizers train as under the model's own step. A class that defines `train_step` itself calls
    `optimizer.minimize(closure, variables)` in it.

    Metrics, the loss that is reported and the statistics of layers (batch normalization) count the
    first pass only: what layers and metrics keep in vectors and scalars of `add_weight(...,
    trainable=False)`, and the states of stateful recurrent layers, is put back before the second
    pass and after it. Other matrices, which may be whole tables, are not: a layer that updates one
    in its forward pass counts both passes (`SpectralNormalization` does). Both passes see the same
    dropout masks, compiled (`run_eagerly=False`) or with `tf.random.Generator`
    (`tf_keras.backend.experimental.enable_tf_random_generator()`); run eagerly with the stateful
    random operations that are tf_keras's default, which nothing can rewind, each pass draws its
    own. Random operations that a layer calls directly (`tf.random.uniform`) draw again in each
    pass too.

    Example:
        >>> class Net(tf_helen.legacy.TrainerMixin, tf_keras.Model):
        ...     def __init__(self):
        ...         super().__init__()
        ...         self.table = tf_helen.legacy.Embedding(10, 4)
        ...         self.top = tf_keras.layers.Dense(1)
        ...     def call(self, ids):
        ...         return self.top(self.table(ids))
        >>> model = Net()
        >>> model.compile(tf_helen.legacy.Helen(rho=0.01), "mse")
        >>> _ = model.fit(np.array([3, 5]), np.array([[1.0], [0.0]]), verbose=0)
    """

    def train_step(self, data):
        if _is_tfrs(self):
            return self._tfrs_train_step(self._without_time(data))
        x, y, sample_weight = tf_keras.utils.unpack_x_y_sample_weight(data)
        x = self._without_time(x)
        first_pass: dict[str, tf.Tensor] = {}
        shares = ReplicaShares(_rows_of(tf.nest.flatten(x)[0]), sample_weight)

        def closure():
            y_pred = self(x, training=True)
            first_pass.setdefault("y_pred", y_pred)
            loss = self.compute_loss(x, y, y_pred, sample_weight)
            return shares.of_global_loss(loss, _reductions(self), self.losses)

        def trial():
            self.compute_loss(x, y, self(x, training=True), sample_weight)

        self._make_variables(trial)
        loss = self._minimize(closure)
        keras_access.check_loss(self, y, loss)
        return self.compute_metrics(x, y, first_pass["y_pred"], sample_weight)

    def _without_time(self, x: Any) -> Any:
        optimizer = _inside(self.optimizer)
        return without_time(optimizer.inner, x) if isinstance(optimizer, LegacyOptimizer) else x

    def _tfrs_train_step(self, inputs):
        first_pass: dict[str, tf.Tensor] = {}

        def closure():
            loss = self.compute_loss(inputs, training=True)
            regularization = tf.reduce_sum([tf.reduce_sum(value) for value in self.losses])
            if not first_pass:
                first_pass.update(loss=loss, regularization_loss=regularization)
                first_pass["total_loss"] = loss + regularization
            return loss + regularization

        self._make_variables(lambda: self.compute_loss(inputs, training=True))
        self._minimize(closure)
        return {**{metric.name: metric.result() for metric in self.metrics}, **first_pass}

    def fit(self, *args, **kwargs):
        given = inspect.signature(tf_keras.Model.fit).bind(self, *args, **kwargs).arguments
        given.pop("self")
        callbacks = given.pop("callbacks", None)
        notifier = _EpochNotifier()
        if isinstance(callbacks, tf_keras.callbacks.CallbackList):
            callbacks.append(notifier)
            notifier.set_model(self)
        else:
            callbacks = [*tf.nest.flatten(callbacks or []), notifier]
        return super().fit(**given, callbacks=callbacks)

    def _make_variables(self, trial: Callable[[], object]) -> None:
        """The optimizer must know the variables before the first pass, not after it."""
        if self.__dict__.get("_tf_helen_variables_made"):
            return
        if not all(layer.built for layer in keras_access.layers_of(self, include_self=False)):
            keras_access.call_in_scratch_graph(trial)
        self.__dict__["_tf_helen_variables_made"] = True

    def train_on_batch(self, *args, **kwargs):
        self._take_tables()
        return super().train_on_batch(*args, **kwargs)

    def _take_tables(self) -> None:
        """Takes tables over from other optimizers, which steps that are traced already cannot.

        A table that this optimizer trained and that is frozen now is brought up to date and let go.
        """
        optimizer = _inside(getattr(self, "optimizer", None))
        trained = adapted_among(self.trainable_variables)
        if not isinstance(optimizer, LegacyOptimizer):
            for variable in trained:
                tables.release(variable)
        elif optimizer.inner.built:
            optimizer.inner.attach(adapt_all(self.trainable_variables))
            known = {id(variable) for variable in trained}
            others = adapted_among(self.variables)
            optimizer.inner.let_go(v for v in others if id(v) not in known)

    def _minimize(self, closure: Callable[[], tf.Tensor]) -> tf.Tensor:
        optimizer, variables = self.optimizer, self.trainable_variables
        if not variables:
            return closure()
        inner = _inside(optimizer)
        if not isinstance(inner, LegacyOptimizer):
            for variable in adapt_all(variables):
                tables.release(variable)
            with tf.GradientTape() as tape:
                loss = closure()
            optimizer.minimize(loss, variables, tape=tape)
            return loss
        if inner.inner.needs:  # it may run the closure again
            closure = FirstPassOnly(self, closure)
        if inner is optimizer:
            return inner.minimize(closure, variables)
        scale = optimizer.get_scaled_loss(tf.constant(1.0))
        loss, gradients = inner.run_passes(closure, variables, scale)
        gradients = optimizer.get_unscaled_gradients(gradients)
        with inner.inner.multi_pass():
            optimizer.apply_gradients(zip(gradients, variables, strict=True))
        return loss

    def table_variables(self) -> list[AdaptedVariable]:
        return adapted_among(self.variables)


def _inside(optimizer):
    """The optimizer inside one that scales the loss, or the optimizer itself."""
    scales = isinstance(optimizer, tf_keras.mixed_precision.LossScaleOptimizer)
    return optimizer.inner_optimizer if scales else optimizer


def _rows_of(batch: Any) -> tf.Tensor:
    if isinstance(batch, tf.RaggedTensor):
        return batch.nrows()
    shape = batch.dense_shape if isinstance(batch, tf.SparseTensor) else tf.shape(batch)
    return shape[0]


def _reductions(model: tf_keras.Model) -> set[str]:
    """The reductions of the losses that a model was compiled with, in the words of Keras 3."""
    found = {getattr(loss, "reduction", "auto") for loss in keras_access.compiled_losses(model)}
    return {"sum_over_batch_size" if one == "auto" else one for one in found}


def _is_tfrs(model: tf_keras.Model) -> bool:
    """Whether the loss is `compute_loss(inputs, training)`; asked without importing tfrs."""
    module = sys.modules.get("tensorflow_recommenders")
    return module is not None and isinstance(model, module.Model)
