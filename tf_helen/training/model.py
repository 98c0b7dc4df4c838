"""`tf_helen.Model`, and `enable` for existing Keras models."""

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
    """A `keras.Model` whose training step supports every optimizer of this package.

    Use it like `keras.Model`: `Model(inputs, outputs)`, or subclass it and define `call`.
    Optimizers that need more than one gradient per step (such as `SAM`, `ASAM` and `Helen`) need
    this class, `tf_helen.Sequential` or `tf_helen.enable`. For reads outside of the training step
    (`evaluate`, `predict`, `get_weights`, `save`, `export`), every row is up to date.

    Args:
        *args, **kwargs: see `keras.Model`.

    Example:
        >>> inputs = keras.Input((2,), dtype="int32")
        >>> x = keras.layers.Flatten()(tf_helen.layers.Embedding([10, 20], 4)(inputs))
        >>> model = tf_helen.Model(inputs, keras.layers.Dense(1)(x))
        >>> model.compile(tf_helen.Helen(), keras.losses.BinaryCrossentropy(from_logits=True))
        >>> _ = model.fit(np.array([[3, 5], [3, 6]]), np.array([[1.0], [0.0]]), verbose=0)
    """

    def __new__(cls, *args, **kwargs):
        if cls is Model and _is_functional_call(args, kwargs):
            # Python then calls the `__init__` of this subclass.
            return FunctionalModel.__new__(FunctionalModel, *args, **kwargs)
        return super().__new__(cls)

    def __init__(self, *args, **kwargs):
        if _is_functional_call(args, kwargs):
            # Keras would make this class functional, including all its subclasses.
            raise TypeError(
                f"{type(self).__name__} received inputs and outputs. Call `super().__init__()` "
                "without them and define `call`, or subclass "
                "`tf_helen.training.model.FunctionalModel` for a functional model with methods."
            )
        super().__init__(*args, **kwargs)


@keras.saving.register_keras_serializable(package="tf_helen")
class FunctionalModel(Model, keras_access.ChecksInputs, Functional):
    """The class of `tf_helen.Model(inputs, outputs)`.

    Its integer inputs raise an error for floats, which Keras would round, and for values that do
    not fit.
    """

    # Keras compares the arguments of the two constructors to decide whether a config holds the
    # layers. In Keras 3.10 a decorator hides those of its own, so that no signature written here
    # equals them in every version.
    __init__ = Functional.__init__

    def compute_output_spec(self, inputs, training=None, mask=None):
        for given, own in zip(keras.tree.flatten(inputs), self.inputs, strict=False):
            check_cast(given, own.dtype, own.name)
        return super().compute_output_spec(inputs, training=training, mask=mask)

    def checked_input(self, given, own):
        return _checked(given, own.dtype, own.name)


@keras.saving.register_keras_serializable(package="tf_helen")
class Sequential(Model, keras.Sequential):
    """A `keras.Sequential` whose training step supports every optimizer of this package.

    Args:
        layers: list of Keras layers. Defaults to `None`: no layers.
        trainable: boolean, whether the weights are trained. Defaults to `True`.
        name: string, name of the model. Defaults to `None`: chosen by Keras.

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
            dtype = getattr(self.layers[0], "id_dtype", "int64")
            keras_access.add_id_input(self, input_shape, dtype)

    def __call__(self, inputs, *args, **kwargs):
        # Also here, because a model that is enabled later was built by Keras's class.
        self._take_integers(getattr(inputs, "shape", None))
        inputs = keras.tree.map_structure(
            lambda given: _checked(given, self.input_dtype, self.name), inputs
        )
        return super().__call__(inputs, *args, **kwargs)


def _checked(given: Any, dtype: str, name: str) -> Any:
    """Returns the input of a model, checked and cast if it must be integers."""
    check_cast(given, dtype, name)
    if "int" in dtype and not isinstance(given, keras.KerasTensor) and hasattr(given, "dtype"):
        given = tf.convert_to_tensor(given)
        if given.dtype.is_integer and given.dtype.name != dtype:
            return fitting(given, dtype, name)
    return given


def enable(model: keras.Model) -> keras.Model:
    """Adds the training step of `tf_helen.Model` to an existing Keras model.

    Args:
        model: functional, sequential or subclassed Keras model; it is modified in place.

    Returns:
        The same model.

    Raises:
        TypeError: if `model` is not a Keras model, or has a custom `train_step`, which would be
            replaced.

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
            f"{cls.__name__} has a custom `train_step`, which `enable` would replace. Call "
            "`optimizer.minimize(closure, variables)` in it instead."
        )
    known = {Functional: FunctionalModel, keras.Sequential: Sequential}
    enabled = known.get(cls)
    if enabled is None:
        # A saved file names the original class, and loads as that class.
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

    `tf_helen.Model` calls it before `predict`, `evaluate`, `save` and `export`. Functions that were
    traced before an optimizer with decay of absent rows (`AdamAR`) trained a table raise an error
    until it is called. A second call changes nothing.

    Args:
        model: model or layer of Keras or tf_keras, trained by any optimizer.

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
