"""A `tf.Variable` of a tf_keras model, as the optimizers of this package see variables."""

from __future__ import annotations

from collections.abc import Iterable

import keras
import tensorflow as tf
from tf_keras.src.mixed_precision.autocast_variable import AutoCastVariable

from tf_helen.core.tables import ADAPTED


class AdaptedVariable(keras.Variable):
    """A `keras.Variable` whose value is a variable that exists already.

    Args:
        variable: the variable of a tf_keras layer.

    Example:
        >>> weights = tf.Variable([1.0, 2.0], name="dense/kernel")
        >>> adapted = AdaptedVariable(weights)
        >>> float(adapted.assign([3.0, 4.0])[0]), adapted.value is weights, adapted.path
        (3.0, True, 'dense/kernel')
    """

    def __init__(self, variable: tf.Variable):
        self._adapted = variable
        path = variable.name.split(":")[0]
        super().__init__(
            # Keras calls no initializer whose result it need not store: see below.
            lambda *args, **kwargs: None,
            shape=tuple(variable.shape),
            dtype=variable.dtype.name,
            trainable=variable.trainable,
            autocast=False,
            name="adapted",
        )
        # The full name, as `exclude_from_weight_decay` of tf_keras searches it.
        self._name = self._path = path
        self.constraint = getattr(variable, "constraint", None)

    def _initialize_with_initializer(self, initializer):
        self._value = self._adapted


def stored(variable: tf.Variable) -> tf.Variable:
    """The variable itself: not one replica's copy of it, nor its view in a lower precision."""
    if isinstance(variable, AutoCastVariable):
        variable = variable._variable
    if hasattr(variable, "_distributed_container"):
        variable = variable._distributed_container()
    return variable


def adapt(variable: tf.Variable) -> AdaptedVariable:
    """Returns the one `AdaptedVariable` of a variable.

    One, because layers and optimizers leave notes for each other on it.

    Args:
        variable: a variable of a tf_keras model.

    Returns:
        The same object for the same variable, whoever asks.

    Raises:
        TypeError: if it is not a `tf.Variable`, or one in shards (a parameter server's).

    Example:
        >>> weights = tf.Variable([1.0])
        >>> adapt(weights) is adapt(weights)
        True
    """
    if isinstance(variable, AdaptedVariable):
        return variable
    if not isinstance(variable, (tf.Variable, AutoCastVariable)):
        raise TypeError(
            "An optimizer of `tf_helen.legacy` trains whole `tf.Variable`s, as tf_keras models "
            f"have them. Received: {type(variable).__name__}. Models of Keras 3 take the "
            "optimizers of `tf_helen`."
        )
    variable = stored(variable)
    adapted = getattr(variable, ADAPTED, None)
    if adapted is None or adapted.value is not variable:
        with tf.init_scope():
            adapted = AdaptedVariable(variable)
        setattr(variable, ADAPTED, adapted)
    return adapted


def adapt_all(variables: Iterable[tf.Variable]) -> list[AdaptedVariable]:
    """`adapt` for each of several variables."""
    return [adapt(variable) for variable in variables]


def adapted_among(variables: Iterable[tf.Variable]) -> list[AdaptedVariable]:
    """Those of `adapt` that exist already: layers and optimizers have left notes on no others.

    Args:
        variables: variables of a tf_keras model.

    Returns:
        Their `AdaptedVariable`s, as far as they were made before.

    Example:
        >>> weights = tf.Variable([1.0])
        >>> adapted_among([weights]), adapted_among([adapt(weights).value])[0] is adapt(weights)
        ([], True)
    """
    found = [getattr(stored(variable), ADAPTED, None) for variable in variables]
    return [adapted for adapted in found if adapted is not None]
