"""Spaces of settings as text: `learning_rate=log(1e-4,1e-2);rho=[0.01,0.05]`."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from typing import Any

import optuna

from launch.comparison.grid import RUN_SETTINGS, check_axis, parse_grid
from launch.run.arguments import check_model, known_arguments, parse_value, split_outside_brackets
from launch.run.config import RunConfig
from tf_helen.core.checks import is_number, nearest
from zoo.data.files import DataError

_RANGE = re.compile(r"(?P<kind>[A-Za-z_]+)\((?P<ends>.*)\)", re.DOTALL)
_KINDS = ("uniform", "log", "int", "logint")
_HELP = (
    "write key=log(low,high), key=uniform(low,high), key=int(low,high), key=logint(low,high) or "
    "key=[value,value]"
)


@dataclasses.dataclass(frozen=True)
class Choice:
    """A setting with a few values.

    Attributes:
        values: tuple of the values.
    """

    values: tuple

    def suggest(self, trial: optuna.Trial, name: str) -> Any:
        """Draws a value."""
        # A study stores only numbers and texts, and a value may be a tuple.
        texts = [repr(value) for value in self.values]
        return self.values[texts.index(trial.suggest_categorical(name, texts))]

    def ends(self) -> tuple:
        """Values to check the setting with."""
        return self.values

    def __str__(self) -> str:
        return str(list(self.values))


@dataclasses.dataclass(frozen=True)
class Range:
    """A number between two ends.

    Attributes:
        low: number.
        high: number, larger than `low`.
        log: bool, whether the logarithm is drawn uniformly.
        whole: bool, whether the number is an integer.
    """

    low: float
    high: float
    log: bool = False
    whole: bool = False

    def suggest(self, trial: optuna.Trial, name: str) -> float:
        """Draws a value."""
        suggest = trial.suggest_int if self.whole else trial.suggest_float
        return suggest(name, self.low, self.high, log=self.log)

    def ends(self) -> tuple:
        """Values to check the setting with."""
        return self.low, self.high

    def __str__(self) -> str:
        kind = {(False, False): "uniform", (True, False): "log", (False, True): "int"}
        return f"{kind.get((self.log, self.whole), 'logint')}({self.low},{self.high})"


Axis = Choice | Range
Space = Mapping[str, Axis]


def parse_space(text: str) -> dict[str, Axis]:
    """Reads `key=log(low,high);key=[value,value];...`; commas may separate the settings too.

    Args:
        text: such as `learning_rate=log(1e-4,1e-2);dropout=uniform(0,0.5);embedding_dim=int(4,32)`.

    Returns:
        The axis of each setting, in order.

    Raises:
        ValueError: if a part cannot be read, or a setting is given twice.

    Example:
        >>> parse_space("learning_rate=log(1e-4,1e-2);rho=[0.01,0.05]")["learning_rate"]
        Range(low=0.0001, high=0.01, log=True, whole=False)
    """
    found: dict[str, Axis] = {}
    for line in text.split(";"):
        for part in split_outside_brackets(line):
            key, equals, value = (piece.strip() for piece in part.partition("="))
            if not equals or not all(name.isidentifier() for name in key.split(".")):
                raise ValueError(f"cannot read {part.strip()!r} in {text!r}; {_HELP}")
            if key in found:
                raise ValueError(f"{key!r} is given twice in {text!r}; give it once")
            found[key] = parse_axis(key, value)
    if not found:
        raise ValueError(f"the space {text!r} has no settings; {_HELP}")
    return found


def parse_axis(key: str, value: str) -> Axis:
    """Reads the axis of one setting.

    Args:
        key: the setting, for the error message.
        value: such as `log(1e-4,1e-2)` or `[0.01,0.05]`.

    Returns:
        A `Range` or a `Choice`.

    Raises:
        ValueError: if it cannot be read, or the ends of a range are not in order.

    Example:
        >>> parse_axis("embedding_dim", "int(4,32)")
        Range(low=4, high=32, log=False, whole=True)
    """
    part = f"{key}={value}"
    if value.startswith("["):
        return Choice(parse_grid(f"axis={value}")["axis"])
    found = _RANGE.fullmatch(value)
    if not found or found["kind"] not in _KINDS:
        raise ValueError(f"cannot read {part!r}; {_HELP}")
    ends = [parse_value(end.strip(), part) for end in split_outside_brackets(found["ends"])]
    log, whole = found["kind"] in ("log", "logint"), found["kind"] in ("int", "logint")
    if len(ends) != 2 or not all(is_number(end) for end in ends) or not ends[0] < ends[1]:
        raise ValueError(f"{part!r} must have two numbers in ascending order; {_HELP}")
    if log and ends[0] <= 0:
        raise ValueError(f"the logarithmic range {part!r} must begin above 0. Received: {ends[0]}")
    if whole and any(end != int(end) for end in ends):
        raise ValueError(f"{part!r} must have integers; use uniform or log for other numbers")
    low, high = (int(end) if whole else float(end) for end in ends)
    return Range(low, high, log, whole)


def read_space(value: Any, where: str) -> dict[str, Axis]:
    """Reads a space from a YAML file: a text, or a mapping from setting to axis.

    Args:
        value: value from YAML; a list is a choice, a text is an axis as on the command line.
        where: string, the place in the file, for the error message.

    Returns:
        The axis of each setting.

    Raises:
        ValueError: see `parse_space`.

    Example:
        >>> read_space({"rho": [0.01, 0.05]}, "here")
        {'rho': Choice(values=(0.01, 0.05))}
    """
    if isinstance(value, str):
        return parse_space(value)
    if not isinstance(value, dict) or not value:
        raise DataError(f"{where} must be a text or a mapping from setting to axis; {_HELP}")
    found: dict[str, Axis] = {}
    for key, axis in value.items():
        if isinstance(axis, list):
            # YAML 1.1 reads 1e-5 as a text, because it has no point. Lists become tuples.
            values = [tuple(v) if isinstance(v, list) else v for v in axis]
            values = [parse_value(v, str(key)) if isinstance(v, str) else v for v in values]
            found[str(key)] = Choice(check_axis(str(key), values))
        else:
            found[str(key)] = parse_axis(str(key), str(axis))
    return found


def places(space: Space, config: RunConfig) -> dict[str, tuple[str, str]]:
    """Finds out whether each setting belongs to the run, the optimizer or the model.

    Args:
        space: the settings; the prefix `model.` or `optimizer.` decides if both have the name.
        config: settings of the run, which name the model and the optimizer.

    Returns:
        Dict from setting to ("run", "optimizer" or "model", the name there).

    Raises:
        ValueError: on a setting that is unknown, or that both have.

    Example:
        >>> config = RunConfig("data", "out", model="dnn", optimizer="helen")
        >>> places(parse_space("rho=[0.1,0.2];dropout=uniform(0,0.5)"), config)
        {'rho': ('optimizer', 'rho'), 'dropout': ('model', 'dropout')}
    """
    given = config.optimizer_args
    optimizer = known_arguments(config.optimizer, given.get("base_optimizer"))
    if "tower_optimizer" in given:
        tower = known_arguments(given["tower_optimizer"], None)
        optimizer |= {f"tower_{name}": value for name, value in tower.items()}
    model = check_model(config.model, {}).arguments()
    known = {"run": dict.fromkeys(RUN_SETTINGS), "optimizer": optimizer, "model": model}
    known["optimizer"] = {k: v for k, v in optimizer.items() if k not in RUN_SETTINGS}
    found = {}
    for key in space:
        owner, dot, name = key.rpartition(".")
        having = [place for place, names in known.items() if name in names]
        if dot:
            having = [place for place in having if place == owner]
        if len(having) > 1:
            raise ValueError(
                f"{key!r} is an argument of {' and '.join(having)}; write "
                f"{' or '.join(f'{place}.{key}' for place in having)}"
            )
        if not having:
            names = [name for place in known.values() for name in place]
            raise ValueError(
                f"neither {config.model} nor {config.optimizer} has a setting {key!r}."
                f"{nearest(name, names)} Known: {', '.join(sorted(set(names)))}."
            )
        found[key] = having[0], name
    return found


def settled(config: RunConfig, space: Space, values: Mapping[str, Any]) -> RunConfig:
    """Returns the settings of a run at a point of a space.

    Args:
        config: the settings that do not vary.
        space: the settings that vary.
        values: dict from setting to its value.

    Returns:
        `RunConfig`.

    Example:
        >>> config = RunConfig("data", "out", optimizer="helen")
        >>> settled(config, parse_space("rho=[0.1,0.2]"), {"rho": 0.2}).optimizer_args
        {'rho': 0.2}
    """
    parts: dict[str, dict[str, Any]] = {"run": {}, "optimizer": {}, "model": {}}
    for key, (place, name) in places(space, config).items():
        parts[place][name] = values[key]
    return dataclasses.replace(
        config,
        model_args={**config.model_args, **parts["model"]},
        optimizer_args={**config.optimizer_args, **parts["optimizer"]},
        **parts["run"],
    )
