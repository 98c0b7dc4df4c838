"""`tf_helen.Model`, and its training step for existing Keras models."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from tf_helen import keras_access
from tf_helen.core import tables
from tf_helen.keras_access import Functional
from tf_helen.layers import Embedding
from tf_helen.layers.ids import check_cast, fitting
from tf_helen.training.multi_pass import MultiPassTrainer


def _is_functional_call(args: tuple, kwargs: dict[str, Any]) -> bool:
    return len(args) >= 2 or (len(args) == 1 and "outputs" in kwargs) or "inputs" in kwargs


class Model(MultiPassTrainer, keras.Model):
    """A `keras.Model` whose training step serves every optimizer of this package.

    Use it as `keras.Model`: `Model(inputs, outputs)`, or subclass it and write `call`. Optimizers
    that need two passes (`SAM`, `ASAM`, `Helen`) train only under it, `tf_helen.Sequential`,
    or a model given to `tf_helen.enable`. Whatever reads weights from outside the training step
    (`evaluate`, `predict`, `get_weights`, `save`, `export`) finds every row up to date.

    Args:
        *args, **kwargs: as `keras.Model`.

    Example:
        >>> inputs = keras.Input((2,), dtype="int32")
        >>> x = keras.layers.Flatten()(tf_helen.layers.Embedding([10, 20], 4)(inputs))
        >>> model = tf_helen.Model(inputs, keras.layers.Dense(1)(x))
        >>> model.compile(tf_helen.Helen(), keras.losses.BinaryCrossentropy(from_logits=True))
        >>> _ = model.fit(np.array([[3, 5], [3, 6]]), np.array([[1.0], [0.0]]), verbose=0)
    """

    def __new__(cls, *args, **kwargs):
        if cls is Model and _is_functional_call(args, kwargs):
            # Python then calls its `__init__`, as it is a `Model`.
            return FunctionalModel.__new__(FunctionalModel, *args, **kwargs)
        return super().__new__(cls)

    def __init__(self, *args, **kwargs):
        if _is_functional_call(args, kwargs):
            # Keras would make this very class functional, for all its subclasses.
            raise TypeError(
                f"{type(self).__name__}: call `super().__init__()` without inputs and outputs and "
                "write `call`, or subclass `tf_helen.training.model.FunctionalModel` for a "
                "functional model with methods of its own."
            )
        super().__init__(*args, **kwargs)


@keras.saving.register_keras_serializable(package="tf_helen")
class FunctionalModel(Model, keras_access.ChecksInputs, Functional):
    """What `tf_helen.Model(inputs, outputs)` returns.

    Its inputs of integers refuse floats, which Keras would round, and numbers that do not fit.
    """

    # The arguments are those of Keras's class: by them it knows that it can make a clone.
    def __init__(self, inputs, outputs, name=None, **kwargs):
        Functional.__init__(self, inputs, outputs, name=name, **kwargs)

    def compute_output_spec(self, inputs, training=None, mask=None):
        for given, own in zip(keras.tree.flatten(inputs), self.inputs, strict=False):
            check_cast(given, own.dtype, own.name)
        return super().compute_output_spec(inputs, training=training, mask=mask)

    def checked_input(self, given, own):
        return _checked(given, own.dtype, own.name)


@keras.saving.register_keras_serializable(package="tf_helen")
class Sequential(Model, keras.Sequential):
    """A `keras.Sequential` whose training step serves every optimizer of this package.

    Args:
        layers: list of Keras layers.
        trainable: whether their weights are trained.
        name: the model's name.

    Example:
        >>> model = tf_helen.Sequential([keras.layers.Dense(1)])
        >>> model.compile(tf_helen.SAM(), "mse")
        >>> _ = model.fit(np.ones((4, 2)), np.ones((4, 1)), verbose=0)
    """

    def __init__(self, layers=None, trainable=True, name=None):
        keras.Sequential.__init__(self, layers=layers, trainable=trainable, name=name)

    def build(self, input_shape=None):
        self._take_integers(input_shape)
        super().build(input_shape)

    def _take_integers(self, input_shape: Any) -> None:
        if not self.built and self.layers and isinstance(self.layers[0], Embedding):
            keras_access.add_integer_input(self, input_shape)

    def __call__(self, inputs, *args, **kwargs):
        # Here too: a model that was made by Keras and enabled later has the `build` of its class.
        self._take_integers(getattr(inputs, "shape", None))
        inputs = keras.tree.map_structure(
            lambda given: _checked(given, self.input_dtype, self.name), inputs
        )
        return super().__call__(inputs, *args, **kwargs)


def _checked(given: Any, dtype: str, name: str) -> Any:
    """A model's input, where it is to be integers, after a check that nothing is rounded."""
    check_cast(given, dtype, name)
    if "int" in dtype and not isinstance(given, keras.KerasTensor) and hasattr(given, "dtype"):
        given = tf.convert_to_tensor(given)
        if given.dtype.is_integer and given.dtype.name != dtype:
            return fitting(given, dtype, name)
    return given


def enable(model: keras.Model) -> keras.Model:
    """Gives the training step of `tf_helen.Model` to an existing Keras model.

    Args:
        model: any Keras model: functional, sequential or subclassed; it is changed in place.

    Returns:
        The same model.

    Raises:
        TypeError: if `model` is not a Keras model, or has a `train_step` of its own, which would
            be lost.

    Example:
        >>> model = tf_helen.enable(keras.Sequential([keras.layers.Dense(1)]))
        >>> model.compile(tf_helen.Helen(rho=0.01), "mse")
        >>> _ = model.fit(np.ones((4, 2)), np.ones((4, 1)), verbose=0)
    """
    if not isinstance(model, keras.Model):
        raise TypeError(f"`enable` needs a Keras model. Received: {type(model).__name__}")
    if isinstance(model, MultiPassTrainer):
        return model
    cls = type(model)
    if cls.train_step is not keras.Model.train_step:
        raise TypeError(
            f"{cls.__name__} has a `train_step` of its own, which `enable` would replace. Call "
            "`optimizer.minimize(closure, variables)` in it instead."
        )
    known = {Functional: FunctionalModel, keras.Sequential: Sequential}
    enabled = known.get(cls)
    if enabled is None:
        # Its file names the original class, and loads as that.
        attributes = {"__module__": cls.__module__, "_loads_as_enabled": False, "_original": cls}
        enabled = type(cls.__name__, (MultiPassTrainer, cls), attributes)
    # The class is replaced, since the model must stay the same object, with its layers, weights and
    # optimizer. A `train_step` set on the instance would not be enough: Keras saves, pickles and
    # clones by class, and `evaluate`, `predict` and the savers must settle the tables first.
    model.__class__ = enabled
    model.train_function = None
    return model


keras_access.after_cloning(lambda model, clone: enable(clone), MultiPassTrainer)


def settle(model: keras.Model | keras.layers.Layer) -> None:
    """Applies the pending decay of every embedding table of a model or layer.

    `tf_helen.Model` calls it before it predicts, evaluates, saves and exports. Functions that were
    traced before an optimizer with decay (`AdamAR`) trained a table raise until it is called.

    Args:
        model: any Keras model or layer, also one of tf_keras, whichever optimizer trains its
            tables.

    Returns:
        Nothing. A second call changes nothing.

    Raises:
        TypeError: if `model` has no `variables`.

    Example:
        >>> inputs = keras.Input((1,), dtype="int32")
        >>> x = keras.layers.Flatten()(tf_helen.layers.Embedding({"user": 5}, 2)(inputs))
        >>> model = keras.Model(inputs, keras.layers.Dense(1)(x))
        >>> model.compile(tf_helen.AdamAR(), "mse")
        >>> _ = model.train_on_batch(np.array([[3]]), np.array([[1.0]]))
        >>> tf_helen.settle(model)
        >>> model.predict(np.array([[3]]), verbose=0).shape
        (1, 1)
    """
    variables = getattr(model, "variables", None)
    if variables is None:
        raise TypeError(f"`settle` needs a Keras model or layer. Received: {type(model).__name__}")
    tables.settle(variables)
