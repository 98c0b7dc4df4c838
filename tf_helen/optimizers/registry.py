"""Optimizers by name."""

from __future__ import annotations

from typing import Any

import keras

from tf_helen import checks


def optimizer_classes() -> dict[str, type[keras.optimizers.Optimizer]]:
    """Name -> class of every optimizer of this package."""
    # Imported here: the optimizers that wrap others import this module.
    from tf_helen.optimizers import CLASSES

    return {cls.__name__.lower(): cls for cls in CLASSES}


def get(
    identifier: str | dict | keras.optimizers.Optimizer | None,
    learning_rate: Any = None,
    **kwargs: Any,
) -> keras.optimizers.Optimizer:
    """Returns an optimizer from its name, its serialized form, or itself.

    Args:
        identifier: "adam", "AdamAR", "group_adam", ...; a serialized config; or an instance.
        learning_rate: for a name; `None`: the class's default.
        **kwargs: for a name: the class's other arguments.

    Returns:
        A Keras optimizer.

    Raises:
        ValueError: on an unknown name (the nearest is suggested), or on arguments given beside an
            instance, which has its own.

    Example:
        >>> type(get("adagrad_ar", alpha=1e-5)).__name__
        'AdagradAR'
    """
    if isinstance(identifier, str):
        classes = optimizer_classes()
        name = identifier.lower().replace("_", "").replace("-", "")
        if name not in classes:
            raise ValueError(
                f"Unknown optimizer {identifier!r}.{checks.nearest(name, classes)} "
                f"Known: {', '.join(sorted(classes))}."
            )
        if learning_rate is not None:
            kwargs["learning_rate"] = learning_rate
        return classes[name](**kwargs)
    if isinstance(identifier, dict):
        identifier = keras.saving.deserialize_keras_object(identifier)
    if not isinstance(identifier, keras.optimizers.Optimizer):
        raise ValueError(
            "An optimizer must be a name, a Keras optimizer or its serialized form. "
            f"Received: {identifier!r}"
        )
    given = {**kwargs, **({} if learning_rate is None else {"learning_rate": learning_rate})}
    if given:
        raise ValueError(
            f"{sorted(given)} given beside an instance of {type(identifier).__name__}: "
            "set them on that optimizer instead."
        )
    return identifier
