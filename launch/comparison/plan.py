"""Plans of comparisons, from flags or from a YAML file."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import yaml

from launch.comparison.grid import (
    RUN_SETTINGS,
    Contender,
    Grid,
    Point,
    check_axis,
    check_point,
    make_contenders,
    parse_contenders,
    parse_grid,
    points,
)
from launch.comparison.sweep import swept
from launch.run.arguments import check_model, parse_arguments, parse_value
from launch.run.config import RunConfig
from launch.run.history import SELECTORS
from launch.run.memory import MOST_ROWS
from launch.run.progressive_settings import Progressive
from tf_helen.core.checks import nearest, number_above_zero, one_of, whole_number
from zoo.data.files import DataError, join, read_text


@dataclasses.dataclass(frozen=True)
class Plan:
    """A comparison of contenders on one data set.

    Args:
        common: settings of all runs; `out` is the folder of the comparison.
        contenders: the optimizers, each with its grid.
        models: names of models; empty: only `common.model`. Defaults to ().
        grid: axes of all contenders: arguments of the models and `RUN_SETTINGS`.
        seeds: ints, the seeds of the runs of each contender with its chosen settings; a number n
            means 0 to n - 1. Defaults to 1.
        tuning_seeds: likewise, the seeds of the runs of each point of a grid. Defaults to 1.
        select: "auc" or "logloss", the validation metric that chooses the epoch and the point.
        budget: int, the most points of each contender; `None`: all.
        sample_seed: int, the seed of the sample of points from a larger grid.
        baseline: label of the contender that the others are tested against; `None`: the first.
        time_budget: seconds after which no cell begins; `None`: no limit.
        cells: folder of the cells; `None`: `common.out/cells`.
        cache_rows: data with at most this many rows are kept in memory.
        command: string, the command line, for the results.
        sweep: names of axes of the contenders; each value is a contender of its own, see
            `launch.comparison.sweep.swept`. Defaults to ().

    Raises:
        ValueError: on an unknown model, argument or baseline, or a value out of range.

    Example:
        >>> common = RunConfig("data/frappe", "out/compared")
        >>> Plan(common, parse_contenders("adam:learning_rate=[1e-3,3e-3];helen")).cells_folder
        'out/compared/cells'
    """

    common: RunConfig
    contenders: Sequence[Contender]
    models: Sequence[str] = ()
    grid: Grid = dataclasses.field(default_factory=dict)
    seeds: int | Sequence[int] = 1
    tuning_seeds: int | Sequence[int] = 1
    select: str = "auc"
    budget: int | None = None
    sample_seed: int = 0
    baseline: str | None = None
    time_budget: float | None = None
    cells: str | None = None
    cache_rows: int = MOST_ROWS
    command: str = ""
    sweep: Sequence[str] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "models", tuple(self.models) or (self.common.model,))
        object.__setattr__(self, "contenders", tuple(swept(self.contenders, self.sweep)))
        for name in ("seeds", "tuning_seeds"):
            object.__setattr__(self, name, _seeds(name, getattr(self, name)))
        for name in ("sample_seed", "cache_rows"):
            whole_number(name, getattr(self, name), 0)
        one_of("select", self.select, SELECTORS)
        if self.budget is not None:
            whole_number("budget", self.budget)
        if self.time_budget is not None:
            number_above_zero("time_budget", self.time_budget)
        if self.baseline is not None:
            one_of("baseline", self.baseline, [c.label for c in self.contenders])
        if len(set(self.models)) < len(self.models):
            raise ValueError(f"a model is named twice in {', '.join(self.models)}; name it once")
        if self.common.progressive is not None and self.common.save_models:
            raise ValueError(
                "`save_models` has no effect in a comparison of progressive runs; leave it out. "
                "launch.train --progressive keeps checkpoints and the model"
            )
        self._check_cells()

    def _check_cells(self) -> None:
        """Makes every configuration once, to report errors before hours of training."""
        for contender in self.contenders:
            for point in self.points(contender):
                check_point(contender, point, self.common.learning_rate)
                for model in self.models:
                    check_model(model, self.config(model, contender, point, 0).model_args)

    @property
    def cells_folder(self) -> str:
        """The folder of the cells."""
        return self.cells or join(self.common.out, "cells")

    @property
    def baseline_label(self) -> str:
        """The label of the contender that the others are tested against."""
        return self.baseline or self.contenders[0].label

    def points(self, contender: Contender) -> list[Point]:
        """The points of a contender's grid that are computed."""
        return points(contender, self.grid, self.budget, self.sample_seed)

    def config(self, model: str, contender: Contender, point: Point, seed: int) -> RunConfig:
        """The settings of a run.

        Args:
            model: name of the model.
            contender: the optimizer.
            point: a point of its grid.
            seed: int, the seed of the weights and of the order of the rows.

        Returns:
            `RunConfig`, whose `out` is the folder of the comparison.
        """
        settings = {key: value for key, value in point.common.items() if key in RUN_SETTINGS}
        arguments = {key: value for key, value in point.common.items() if key not in RUN_SETTINGS}
        return dataclasses.replace(
            self.common,
            model=model,
            model_args={**self.common.model_args, **arguments},
            optimizer=contender.optimizer,
            optimizer_args=dict(point.optimizer_args),
            seed=seed,
            **settings,
        )


def _seeds(name: str, value: int | Sequence[int]) -> tuple[int, ...]:
    if isinstance(value, Sequence) and not isinstance(value, str):
        seeds = tuple(whole_number(name, seed, 0) for seed in value)
        if not seeds or len(set(seeds)) < len(seeds):
            raise ValueError(
                f"`{name}` must be a number of seeds or a list of different seeds, such as [0, 1]. "
                f"Received: {name}={value!r}"
            )
        return seeds
    return tuple(range(whole_number(name, value)))


class _Unique(yaml.SafeLoader):
    """Raises on a key that is given twice; `yaml.SafeLoader` takes the last value."""

    def construct_mapping(self, node, deep=False):
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        for key in keys:
            if keys.count(key) > 1:
                raise DataError(f"the key {key!r} is given twice")
        return super().construct_mapping(node, deep)


def load_plan(
    path: str, known: Sequence[str], readers: Mapping[str, Callable[[Any, str], Any]] | None = None
) -> dict[str, Any]:
    """Reads a plan: a YAML mapping with the names of the flags as keys.

    ```yaml
    data: data/frappe
    models: [dnn, deepfm]
    seeds: 5
    budget: 6
    grid: {embedding_l2: [0, 1e-5, 1e-4]}
    optimizers:
      adam: {learning_rate: [1e-3, 3e-3]}
      Helen: {optimizer: helen, rho: [0.01, 0.05]}
    ```

    `optimizers` is a text as on the command line, or a mapping from label to arguments. In the
    mapping, `optimizer` names the optimizer; without it, the label does.

    Args:
        path: file.
        known: the allowed keys.
        readers: dict from key to a function of the value and its place in the file; these are
            added to the readers of this module.

    Returns:
        Dict of the values: `optimizers` as contenders, `grid` as axes, `model_args` as a dict.

    Raises:
        DataError: if the file cannot be read, has an unknown key, or has a key twice.
        ValueError: see `parse_contenders` and `parse_grid`.

    Example:
        >>> load_plan("plan.yaml", ["data", "seeds"])  # doctest: +SKIP
    """
    try:
        content = yaml.load(read_text(path), _Unique)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise DataError(f"{path} is not valid YAML ({' '.join(str(error).split())})") from None
    except DataError as error:
        raise DataError(f"{path}: {error}; give it once") from None
    if not isinstance(content, dict):
        raise DataError(f"{path} is not a mapping; write lines such as `seeds: 3`")
    for key in content:
        if key not in known:
            raise DataError(
                f"{path} has an unknown key {key!r}.{nearest(key, known)} "
                f"Known: {', '.join(sorted(known))}."
            )
    readers = {**_READERS, **(readers or {})}
    return {
        key: readers[key](value, f"{path}: {key}") if key in readers else value
        for key, value in content.items()
    }


def _contenders(value: Any, where: str) -> list[Contender]:
    if isinstance(value, str):
        return parse_contenders(value)
    if not isinstance(value, dict):
        raise DataError(f"{where} must be a text or a mapping from label to arguments")
    named = []
    for label, arguments in value.items():
        axes = _axes(arguments or {}, f"{where}: {label}")
        optimizer = axes.pop("optimizer", (label,))[0]
        named.append((str(label), str(optimizer), axes))
    return make_contenders(named, where)


def _axes(value: Any, where: str) -> dict[str, tuple]:
    if isinstance(value, str):
        return parse_grid(value)
    if not isinstance(value, dict):
        raise DataError(f"{where} must be a text or a mapping from argument to values")
    return {
        str(key): check_axis(str(key), [_plain(v) for v in values])
        if isinstance(values, list)
        else (_plain(values),)
        for key, values in value.items()
    }


def _arguments(value: Any, where: str) -> dict[str, Any]:
    if isinstance(value, str):
        return parse_arguments(value)
    if not isinstance(value, dict):
        raise DataError(f"{where} must be a text or a mapping from argument to value")
    return {str(key): _plain(v) for key, v in value.items()}


def _names(value: Any, where: str) -> list[str]:
    del where
    return [str(v) for v in value] if isinstance(value, list) else split_names(str(value))


def _progressive(value: Any, where: str) -> Progressive:
    known = [field.name for field in dataclasses.fields(Progressive)]
    if not isinstance(value, dict) or not set(value) <= set(known):
        raise DataError(
            f"{where} must be a mapping with some of {', '.join(known)}, such as "
            f"{{splits: [train, valid, test], slice_rows: 4096}}. Received: {value!r}"
        )
    return Progressive(**value)


_READERS = {
    "progressive": _progressive,
    "optimizers": _contenders,
    "grid": _axes,
    "model_args": _arguments,
    "optimizer_args": _arguments,
    "models": _names,
    "sweep": _names,
}


def split_names(text: str) -> list[str]:
    """The names in a text, separated by commas.

    Example:
        >>> split_names("dnn, deepfm")
        ['dnn', 'deepfm']
    """
    return [name.strip() for name in text.split(",") if name.strip()]


def _plain(value: Any) -> Any:
    """A value of a YAML file. YAML 1.1 reads 1e-5 as a text, because it has no point."""
    if isinstance(value, list):
        return tuple(_plain(v) for v in value)
    return parse_value(value.strip(), value) if isinstance(value, str) else value
