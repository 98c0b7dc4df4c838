"""Contenders of a comparison, and the grids of their settings.

A contender is an optimizer with arguments; an argument in square brackets is an axis of its grid:
`helen:rho=[0.01,0.05],learning_rate=[1e-3,3e-3]` has four points.
"""

from __future__ import annotations

import dataclasses
import math
import random
import re
from collections.abc import Mapping, Sequence
from typing import Any

from launch.run.arguments import (
    make_callbacks,
    make_optimizer,
    parse_value,
    split_callbacks,
    split_outside_brackets,
)
from tf_helen.core.checks import whole_number

Grid = Mapping[str, tuple]
# The settings that a common grid may vary besides the arguments of the model.
RUN_SETTINGS = ("batch_size", "learning_rate", "patience", "reduce_lr")
_CHECKED = 256  # points of a grid that are checked when it is read


@dataclasses.dataclass(frozen=True)
class Contender:
    """An optimizer of a comparison.

    Attributes:
        label: string, its name in the tables.
        optimizer: string, its name.
        arguments: dict, its arguments that do not vary.
        grid: dict from argument to the tuple of its values.
        family: string, the label of the contender whose sweep it is part of; "" without a sweep.
    """

    label: str
    optimizer: str
    arguments: dict[str, Any]
    grid: Grid = dataclasses.field(default_factory=dict)
    family: str = ""

    @property
    def folder(self) -> str:
        """A folder name derived from the label."""
        return re.sub(r"[^A-Za-z0-9.]+", "_", self.label).strip("_")


@dataclasses.dataclass(frozen=True)
class Point:
    """One point of a contender's grid.

    Attributes:
        optimizer_args: dict, all arguments of the optimizer, including those that do not vary.
        common: dict, settings of the run and arguments of the model.
        varied: dict, the values on the axes, which the tables show.
    """

    optimizer_args: Mapping[str, Any]
    common: Mapping[str, Any]
    varied: Mapping[str, Any]

    @property
    def text(self) -> str:
        """The values on the axes, such as `rho=0.01, embedding_l2=1e-05`."""
        return ", ".join(f"{key}={value}" for key, value in self.varied.items())


def parse_grid(text: str) -> dict[str, tuple]:
    """Reads `key=[value,value],key=value`: an axis for each key.

    Args:
        text: string, such as `embedding_l2=[0,1e-5,1e-4],batch_size=512`; may be empty. Write a
            value that is a list in a second pair of brackets.

    Returns:
        Dict from key to the tuple of its values; a key without brackets has one value.

    Raises:
        ValueError: if a part cannot be read, an axis has no values, or a value or key is given
            twice.

    Example:
        >>> parse_grid("rho=[0.01,0.05],base_optimizer=[adam,adamar],xi=0.5")
        {'rho': (0.01, 0.05), 'base_optimizer': ('adam', 'adamar'), 'xi': (0.5,)}
    """
    found: dict[str, tuple] = {}
    for part in split_outside_brackets(text):
        key, equals, value = (piece.strip() for piece in part.partition("="))
        if not equals or not key.isidentifier():
            raise ValueError(
                f"cannot read {part.strip()!r} in {text!r}; write key=value or key=[value,value], "
                "such as rho=[0.01,0.05]"
            )
        if key in found:
            raise ValueError(f"{key!r} is given twice in {text!r}; give it once")
        found[key] = _values(key, value, part)
    return found


def _values(key: str, value: str, part: str) -> tuple:
    if not (value.startswith("[") and value.endswith("]")):
        return (parse_value(value, part),)
    elements = split_outside_brackets(value[1:-1])
    return check_axis(key, [parse_value(element.strip(), part) for element in elements])


def check_axis(key: str, values: Sequence[Any]) -> tuple:
    """Returns the values of an axis as a tuple.

    Args:
        key: string, name of the axis.
        values: sequence of its values.

    Raises:
        ValueError: if it has no values, or a value twice.

    Example:
        >>> check_axis("rho", [0.01, 0.05])
        (0.01, 0.05)
    """
    if not values:
        raise ValueError(f"the axis {key!r} has no values; give at least one, such as {key}=[0.1]")
    seen: list[Any] = []
    for value in values:
        if any(value == other and type(value) is type(other) for other in seen):
            raise ValueError(f"the axis {key!r} has the value {value!r} twice; give it once")
        seen.append(value)
    return tuple(values)


def parse_contenders(text: str) -> list[Contender]:
    """Reads `name:key=value,key=[value,value];name;...`, or plain names separated by commas.

    Args:
        text: string, such as `adam;adamar:alpha=1e-4;helen:rho=[0.01,0.05]`. `label=name:...`
            gives a contender another name in the tables.

    Returns:
        The optimizers in order.

    Raises:
        ValueError: on an unknown optimizer or argument, a bad value, or a repeated optimizer.

    Example:
        >>> [c.label for c in parse_contenders("adam;adamar:alpha=1e-4;H=helen:rho=[0.01,0.05]")]
        ['adam', 'adamar(alpha=0.0001)', 'H']
    """
    plain = not any(mark in text for mark in ":;=")
    parts = [p.strip() for p in text.split("," if plain else ";")]
    named = []
    for part in filter(None, parts):
        name, _, arguments = part.partition(":")
        label, equals, optimizer = (piece.strip() for piece in name.rpartition("="))
        named.append((label if equals else None, optimizer, parse_grid(arguments)))
    return make_contenders(named, f"--optimizers={text!r}")


def make_contenders(
    named: Sequence[tuple[str | None, str, Mapping[str, tuple]]], source: str
) -> list[Contender]:
    """Makes contenders, and checks the optimizer of every point of their grids.

    Args:
        named: label or `None`, optimizer, and the values of each argument.
        source: string, where they were read from, for the error message.

    Returns:
        The contenders in order. Without a label, a contender is named by its optimizer and the
        arguments that do not vary; if two names are equal, by all arguments.

    Raises:
        ValueError: on an unknown optimizer or argument, a bad value, or a repeated name.

    Example:
        >>> make_contenders([(None, "adam", {"epsilon": (1e-8,)})], "here")[0].label
        'adam(epsilon=1e-08)'
    """
    short = [_label(optimizer, axes, all_of=False) for _, optimizer, axes in named]
    found = []
    for (label, optimizer, axes), name in zip(named, short, strict=True):
        if label is None:
            label = name if short.count(name) == 1 else _label(optimizer, axes, all_of=True)
        fixed = {key: values[0] for key, values in axes.items() if len(values) == 1}
        grid = {key: tuple(values) for key, values in axes.items() if len(values) > 1}
        found.append(Contender(label, optimizer, fixed, grid))
    labels = [contender.label for contender in found]
    if not labels or len(set(labels)) < len(labels):
        raise ValueError(f"{source}: name at least one optimizer, and each only once")
    folders = [contender.folder for contender in found]
    if len(set(folders)) < len(folders):
        raise ValueError(f"{source}: two names differ only in punctuation; give them labels")
    for contender in found:
        for point in points(contender, {}, budget=_CHECKED):
            check_point(contender, point)
    return found


def check_point(contender: Contender, point: Point, learning_rate: float | None = None) -> None:
    """Makes the optimizer of a point once, to report errors before hours of training.

    Args:
        contender: the optimizer.
        point: a point of its grid.
        learning_rate: float, the learning rate of all contenders. Defaults to `None`.

    Raises:
        ValueError: on an unknown optimizer or argument, or a bad value.

    Example:
        >>> adam = parse_contenders("adam")[0]
        >>> check_point(adam, points(adam, {})[0])
    """
    checked, callbacks = split_callbacks(point.optimizer_args)
    checked = {k: v for k, v in checked.items() if (k, v) != ("frequency", "dataset")}
    make_optimizer(contender.optimizer, point.common.get("learning_rate", learning_rate), checked)
    make_callbacks(callbacks)


def _label(optimizer: str, axes: Mapping[str, tuple], all_of: bool) -> str:
    inner = ", ".join(
        f"{key}={values[0] if len(values) == 1 else list(values)}"
        for key, values in axes.items()
        if all_of or len(values) == 1
    )
    return f"{optimizer}({inner})" if inner else optimizer


def points(
    contender: Contender, common: Grid, budget: int | None = None, seed: int = 0
) -> list[Point]:
    """The points of a contender's grid: the product of its axes and the common ones.

    Args:
        contender: the optimizer.
        common: axes of all contenders; an axis or argument of the contender replaces the common
            axis of that name.
        budget: int, the most points. A larger grid is sampled at random without repetition; the
            sample keeps the order of the grid. `None`: all.
        seed: int, the seed of the sample, which also depends on the contender's label.

    Returns:
        The points, the last axis varying fastest.

    Raises:
        ValueError: if the budget is below 1.

    Example:
        >>> adam = parse_contenders("adam:learning_rate=[1e-3,3e-3]")[0]
        >>> for point in points(adam, {"batch_size": (512, 1024)}):
        ...     print(point.text)
        learning_rate=0.001, batch_size=512
        learning_rate=0.001, batch_size=1024
        learning_rate=0.003, batch_size=512
        learning_rate=0.003, batch_size=1024
    """
    own = contender.grid
    shared = {
        key: values
        for key, values in common.items()
        if key not in own and key not in contender.arguments
    }
    axes = [*own.values(), *shared.values()]
    total = math.prod(len(values) for values in axes)
    if budget is not None and total > whole_number("budget", budget):
        # The seed is a text, because the hash of a tuple differs between processes.
        chosen = sorted(random.Random(f"{seed} {contender.label}").sample(range(total), budget))
    else:
        chosen = range(total)
    found = []
    for number in chosen:
        values = _at(axes, number)
        varying = dict(zip(own, values[: len(own)], strict=True))
        others = dict(zip(shared, values[len(own) :], strict=True))
        varied = varying | {key: value for key, value in others.items() if len(shared[key]) > 1}
        found.append(Point({**contender.arguments, **varying}, others, varied))
    return found


def _at(axes: Sequence[tuple], number: int) -> list[Any]:
    """Returns the values at a place of the product, without making the product."""
    values = []
    for axis in reversed(axes):
        number, place = divmod(number, len(axis))
        values.append(axis[place])
    return values[::-1]
