"""The base of every optimizer for tf_keras models: it holds one for Keras 3 and forwards.

It holds an optimizer and not the rule alone, because a rule is only the update of a block of rows.
All else is done by `RowSparseOptimizer` and the optimizers around it: slots, step counter and
learning rate, clipping, duplicates summed over replicas, the decay of absent rows, the passes of
SAM and Helen. They are subclasses of Keras 3's optimizer, with their state in `keras.Variable`s; a
tf_keras optimizer with the rule alone would need a second copy of all of them. So they run as they
are: `AdaptedVariable` shows them the model's `tf.Variable`s without a copy, and tf_keras saves
their variables as this optimizer's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import keras
import tensorflow as tf

from tf_helen.core import replicas
from tf_helen.legacy.arguments import floatx_of_tf_keras, translate
from tf_helen.legacy.keras_access import OptimizerAround
from tf_helen.legacy.variables import adapt_all

REMEDIES = (
    "Put `tf_helen.legacy.TrainerMixin` before the model class in the bases of the model, or use "
    "`optimizer.minimize(closure, variables)` in a custom loop."
)


class LegacyOptimizer(OptimizerAround):
    """A tf_keras optimizer that is one of this package inside.

    The rules, the state and the settings are those of the Keras 3 optimizer in `inner`; this class
    translates variables and arguments.

    Args:
        *args, **kwargs: the Keras 3 optimizer's. A `learning_rate` may be a schedule of tf_keras;
            a `base_optimizer` may be an optimizer of `tf_helen.legacy`.

    Raises:
        ValueError: as the Keras 3 optimizer.

    Example:
        >>> weights = tf.Variable([3.0, 4.0])
        >>> optimizer = tf_helen.legacy.SGD(0.5)
        >>> with tf.GradientTape() as tape:
        ...     loss = tf.reduce_sum(weights**2) / 2
        >>> _ = optimizer.apply_gradients([(tape.gradient(loss, weights), weights)])
        >>> weights.numpy().tolist()
        [1.5, 2.0]
    """

    # Set on each class that `tf_helen.legacy` makes.
    inner_class: type[keras.optimizers.Optimizer]

    def __init__(self, *args: Any, **kwargs: Any):
        kwargs.pop("is_legacy_optimizer", None)
        args, kwargs = translate(args, unwrap), translate(kwargs, unwrap)
        with floatx_of_tf_keras():
            self._hold(self.inner_class(*args, **kwargs))

    def _hold(self, inner: keras.optimizers.Optimizer) -> None:
        # Assigned after the base's constructor, whose attributes are properties here.
        super().__init__(name=inner.name, weight_decay=None, jit_compile=False)
        for name in [name for name in self.__dict__ if self._is_setting(inner, name)]:
            del self.__dict__[name]
        self.inner = inner
        inner.remedies = REMEDIES

    # Settings (`rho`, `alpha`, `weight_decay`, ...) are read and set on the inner optimizer.

    @classmethod
    def _is_setting(cls, inner: keras.optimizers.Optimizer | None, name: str) -> bool:
        return not name.startswith("_") and not hasattr(cls, name) and hasattr(inner, name)

    def __getattr__(self, name):
        inner = self.__dict__.get("inner")
        if inner is not None and self._is_setting(inner, name):
            return getattr(inner, name)
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def __setattr__(self, name, value):
        inner = self.__dict__.get("inner")
        if inner is not None and self._is_setting(inner, name):
            setattr(inner, name, value)
        else:
            super().__setattr__(name, value)

    # The state, which is the inner optimizer's.

    @property
    def iterations(self):
        return self.inner.iterations.value

    @iterations.setter
    def iterations(self, variable):
        raise RuntimeError(f"`iterations` of {type(self).__name__} cannot be replaced.")

    def held_variables(self) -> list[tf.Variable]:
        inner = self.__dict__.get("inner")
        return [] if inner is None else [variable.value for variable in inner.variables]

    @property
    def learning_rate(self):
        rate = self.inner.learning_rate
        return rate.value if isinstance(rate, keras.Variable) else rate

    @learning_rate.setter
    def learning_rate(self, learning_rate):
        self.inner.learning_rate = translate(learning_rate, unwrap)

    lr = learning_rate

    # Training.

    @tf.autograph.experimental.do_not_convert
    def build(self, var_list: Iterable[tf.Variable]) -> None:
        variables = adapt_all(var_list)
        if not self.inner.built:
            with tf.init_scope(), floatx_of_tf_keras():
                self.inner.build(variables)
        self.mark_built()

    def update_step(self, gradient, variable):
        raise NotImplementedError("The inner optimizer updates all variables together.")

    def aggregate_gradients(self, grads_and_vars):
        """Returns the gradients as they are: `apply_gradients` sums them over the replicas."""
        return list(grads_and_vars)

    @tf.autograph.experimental.do_not_convert
    def apply_gradients(
        self,
        grads_and_vars: Iterable[tuple[Any, tf.Variable]],
        name: str | None = None,
        skip_gradients_aggregation: bool = False,
        **kwargs: Any,
    ) -> tf.Variable:
        """Applies gradients, each a tensor or `IndexedSlices` with or without duplicates.

        Args:
            grads_and_vars: pairs of a gradient and its variable.
            name: ignored.
            skip_gradients_aggregation: only `False` with several replicas.

        Returns:
            The step counter.

        Raises:
            ValueError: for gradients that are summed over the replicas already.
            RuntimeError: if the optimizer needs more than one gradient per step.
        """
        skip = skip_gradients_aggregation or not kwargs.get(
            "experimental_aggregate_gradients", True
        )
        if skip and replicas.count() > 1:
            raise ValueError(
                f"{type(self).__name__} itself sums gradients over the replicas, each row once. "
                "Leave `skip_gradients_aggregation=False`; a loss-scaling optimizer of tf_keras, "
                'which sums them before, trains on one replica only (use "mixed_bfloat16").'
            )
        pairs = list(grads_and_vars)
        if pairs:
            gradients, variables = zip(*pairs, strict=True)
            self.build(variables)
            self.inner.apply(list(gradients), adapt_all(variables))
        return self.iterations

    def compute_gradients(self, loss, var_list, tape=None):
        """Runs the passes of this optimizer, for a closure; else as tf_keras."""
        if tape is not None or not callable(loss):
            return super().compute_gradients(loss, var_list, tape)
        _, gradients = self.run_passes(loss, var_list)
        return list(zip(gradients, var_list, strict=True))

    def run_passes(
        self,
        closure: Callable[[], tf.Tensor],
        variables: Sequence[tf.Variable],
        loss_scale: tf.Tensor | None = None,
    ) -> tuple[tf.Tensor, list]:
        """The loss of the first pass, and the gradients to apply (multiplied by `loss_scale`)."""
        self.build(variables)
        return self.inner.compute_gradients(closure, adapt_all(variables), loss_scale)

    def minimize(
        self,
        loss: Callable[[], tf.Tensor] | tf.Tensor,
        var_list: Sequence[tf.Variable],
        tape: tf.GradientTape | None = None,
    ) -> tf.Tensor | None:
        """One training step.

        Args:
            loss: a closure that runs the forward pass and returns the scalar loss, run as often as
                the optimizer needs; or a tensor recorded on `tape`, which allows one pass only.
            var_list: the variables to train.
            tape: the tape of a loss that has been computed.

        Returns:
            The loss before the step, for a closure.

        Raises:
            RuntimeError: for a tape, if the optimizer needs more than one gradient per step.

        Example:
            >>> weights = tf.Variable([3.0, 4.0])
            >>> optimizer = tf_helen.legacy.SAM(0.1, rho=0.5, base_optimizer="sgd")
            >>> float(optimizer.minimize(lambda: tf.reduce_sum(weights**2) / 2, [weights]))
            12.5
        """
        if tape is not None or not callable(loss):
            return super().minimize(loss, var_list, tape)
        self.build(var_list)
        return self.inner.minimize(loss, adapt_all(var_list))

    def begin_epoch(self) -> None:
        """What a custom loop calls before each pass over the data; `TrainerMixin` does in `fit`."""
        self.inner.begin_epoch()

    def end_epoch(self) -> None:
        """What a trainer calls after each pass over the data that was not broken off."""
        self.inner.end_epoch()

    def finalize_variable_values(self, var_list: Iterable[tf.Variable]) -> None:
        """Brings every row of the given variables up to date; tf_keras calls it after `fit`."""
        self.inner.finalize_variable_values(adapt_all(var_list))

    def exclude_from_weight_decay(
        self,
        var_list: Iterable[tf.Variable] | None = None,
        var_names: Iterable[str] | None = None,
    ) -> None:
        self.inner.exclude_from_weight_decay(adapt_all(var_list or ()), var_names)

    # Serialization: the inner optimizer's configuration.

    def get_config(self) -> dict[str, Any]:
        return {**self.inner.get_config(), "is_legacy_optimizer": False}

    @classmethod
    def from_config(cls, config, custom_objects=None):
        config = {key: value for key, value in config.items() if key != "is_legacy_optimizer"}
        optimizer = cls.__new__(cls)
        with floatx_of_tf_keras():
            optimizer._hold(cls.inner_class.from_config(config, custom_objects=custom_objects))
        return optimizer


def unwrap(optimizer: Any) -> Any:
    """The Keras 3 optimizer inside a `LegacyOptimizer`; anything else as it is."""
    return optimizer.inner if isinstance(optimizer, LegacyOptimizer) else optimizer
