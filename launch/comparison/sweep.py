"""Sweeps: each value of an argument is a contender of its own, instead of a point of a grid."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from launch.comparison.grid import Contender
from launch.run.frequency_scores import AUC, ROWS
from launch.run.history import chosen_epoch
from launch.run.results import Runs, aligned, short
from tf_helen.core.checks import nearest

ZERO_ROWS = "zero_rows/"  # the names of the measurements of `tf_helen.callbacks.Sparsity`
_WIDEST = 8  # columns of the table of measurements


def swept(contenders: Sequence[Contender], keys: Sequence[str]) -> list[Contender]:
    """Replaces each contender that has an axis of one of the names by one contender per value.

    Args:
        contenders: the optimizers, each with its grid.
        keys: names of axes.

    Returns:
        The contenders in order. Those of a sweep are named `LABEL, KEY=VALUE`; a value that is a
        list, such as several callbacks, is shown without KEY. Their `family` is the label of the
        contender that they replace.

    Raises:
        ValueError: if no contender has an axis of a name.

    Example:
        >>> from launch.comparison.grid import parse_contenders
        >>> lasso = parse_contenders("lasso=group_adam:l21=[1e-5,1e-4],learning_rate=[1e-3,3e-3]")
        >>> [(each.label, list(each.grid)) for each in swept(lasso, ["l21"])]
        [('lasso, l21=1e-05', ['learning_rate']), ('lasso, l21=0.0001', ['learning_rate'])]
    """
    found = list(contenders)
    for key in keys:
        known = sorted({axis for contender in contenders for axis in contender.grid})
        if key not in known:
            raise ValueError(
                f"`sweep` names an axis that no optimizer has. Received: {key!r}."
                f"{nearest(key, known)} Axes: {', '.join(known) or 'none'}; give the argument "
                f"several values, such as {key}=[0.1,0.2]"
            )
        found = [each for contender in found for each in _spread(contender, key)]
    return found


def _spread(contender: Contender, key: str) -> list[Contender]:
    if key not in contender.grid:
        return [contender]
    grid = {name: values for name, values in contender.grid.items() if name != key}
    return [
        dataclasses.replace(
            contender,
            label=f"{contender.label}, {_text(key, value)}",
            arguments={**contender.arguments, key: value},
            grid=grid,
            family=contender.family or contender.label,
        )
        for value in contender.grid[key]
    ]


def _text(key: str, value: Any) -> str:
    several = isinstance(value, Sequence) and not isinstance(value, str)
    return " + ".join(map(str, value)) if several else f"{key}={value}"


def measurements(runs: Runs, select: str = "auc") -> dict[str, dict[str, list[float]]]:
    """What callbacks measured at the epochs that the validation split chooses.

    Args:
        runs: for each label its runs, one per seed.
        select: "auc" or "logloss", the validation metric that chooses the epoch.

    Returns:
        Dict from the name of a measurement to a dict from label to the values of its runs; runs
        without this measurement are left out. The AUC by frequency is not among them, see
        `launch.comparison.frequency`.
    """
    found: dict[str, dict[str, list[float]]] = {}
    for label, several in runs.items():
        for run in several:
            epoch = chosen_epoch(run.epochs, select) if run.epochs else None
            for name, value in epoch.measured.items() if epoch is not None else ():
                if name.partition("/")[0] in (AUC, ROWS):
                    continue
                found.setdefault(name, {}).setdefault(label, []).append(value)
    return found


def measurements_table(measured: Mapping[str, Mapping[str, Sequence[float]]]) -> str:
    """Lists the means over seeds of what callbacks measured.

    Args:
        measured: see `measurements`.

    Returns:
        Markdown, or an empty text if nothing or more than 8 numbers were measured.

    Example:
        >>> print(measurements_table({"zero_rows/ids": {"adam": [0.0, 0.5]}}))
        | optimizer | zero_rows/ids |
        |-----------|---------------|
        | adam      | .2500         |
    """
    if not 0 < len(measured) <= _WIDEST:
        return ""
    labels = list(dict.fromkeys(label for values in measured.values() for label in values))
    rows = [["optimizer", *measured]]
    for label in labels:
        cells = [values.get(label, ()) for values in measured.values()]
        rows.append([label, *(short(sum(c) / len(c), 4) if c else "-" for c in cells)])
    return aligned(rows)


def shares_of_zero_rows(measured: Mapping[str, Mapping[str, Sequence[float]]]) -> dict[str, float]:
    """The mean share of zero rows of each contender.

    Args:
        measured: see `measurements`.

    Returns:
        Dict from label to a share from 0 to 1; empty unless exactly one table was measured, since
        the shares of tables of different sizes have no common mean.
    """
    tables = [values for name, values in measured.items() if name.startswith(ZERO_ROWS)]
    if len(tables) != 1:
        return {}
    return {label: sum(values) / len(values) for label, values in tables[0].items()}
