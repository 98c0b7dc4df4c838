"""The common arguments of the optimizers."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, TypeAlias, TypedDict, get_args

import keras

from tf_helen.core import checks

LearningRate: TypeAlias = (
    float | keras.optimizers.schedules.LearningRateSchedule | Callable[[], float]
)


class SharedArguments(TypedDict, total=False):
    """`CommonArguments` without `weight_decay`, which AdamW and AdagradW name themselves."""

    embedding_learning_rate: LearningRate | None
    coupled_weight_decay: float
    moments: str
    track_rows: bool
    clipnorm: float | None
    global_clipnorm: float | None
    clipvalue: float | None
    loss_scale_factor: float | None
    use_ema: bool
    ema_momentum: float
    ema_overwrite_frequency: int | None


class CommonArguments(SharedArguments, total=False):
    """Keyword arguments of `tf_helen.RowSparseOptimizer`, which documents them."""

    weight_decay: float | None


def checked_arguments(**values: float | None) -> dict[str, float | None]:
    """Returns Keras's numeric arguments as floats.

    Args:
        **values: non-negative numbers or `None`; `loss_scale_factor` must be positive.

    Returns:
        Dict from name to float or `None`.

    Raises:
        ValueError: on a value out of range.
    """
    if values.get("loss_scale_factor") == 0:
        raise ValueError("`loss_scale_factor` must be positive. Received: loss_scale_factor=0")
    return {
        name: None if value is None else checks.number_in_range(name, value)
        for name, value in values.items()
    }


def arguments_of(cls: type) -> dict[str, Any]:
    """Returns the arguments of an optimizer's constructor.

    Args:
        cls: optimizer class of this package.

    Returns:
        Dict from name to default: the arguments of the signature, then `CommonArguments`, if the
        constructor takes them. The latter have the default `inspect.Parameter.empty`.

    Example:
        >>> list(arguments_of(tf_helen.SGD))[:3]
        ['learning_rate', 'momentum', 'nesterov']
    """
    found: dict[str, Any] = {}
    for parameter in inspect.signature(cls, eval_str=True).parameters.values():
        if parameter.kind is not parameter.VAR_KEYWORD:
            found[parameter.name] = parameter.default
            continue
        for typed in get_args(parameter.annotation):  # `Unpack[CommonArguments]`
            found |= dict.fromkeys(typed.__annotations__, parameter.empty)
    return found


def of_today(config: dict[str, Any], cls: type) -> dict[str, Any]:
    """Returns a copy of a configuration with argument names of version 0.1 replaced."""
    config = dict(config)
    if "l2" in config and "l2" not in inspect.signature(cls).parameters:
        config["coupled_weight_decay"] = config.pop("l2")
    return config
