"""A `tf.Variable` of a tf_keras model, as the optimizers of this package see variables."""

from __future__ import annotations

from collections.abc import Iterable

import tensorflow as tf

from tf_helen import keras_access
from tf_helen.core.tables import ADAPTED
from tf_helen.legacy.keras_access import AutoCastVariable, stored_variable


class AdaptedVariable(keras_access.ExistingVariable):
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
        # The full name, as `exclude_from_weight_decay` of tf_keras searches it.
        super().__init__(variable, path=variable.name.split(":")[0])
        self.constraint = getattr(variable, "constraint", None)


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
    variable = stored_variable(variable)
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
    found = [getattr(stored_variable(variable), ADAPTED, None) for variable in variables]
    return [adapted for adapted in found if adapted is not None]
