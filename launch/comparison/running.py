"""Computes the cells of a comparison: the grids, the choice by validation, then all seeds."""

from __future__ import annotations

import contextlib
import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence

import zoo
from launch.cleaning import clean_run
from launch.comparison.cells import Cell, Cells
from launch.comparison.clock import Clock, TimeUpError
from launch.comparison.grid import Contender, Point
from launch.comparison.plan import Plan
from launch.run.config import RunConfig
from launch.run.data import check_run_data, save_run_data
from launch.run.evaluation import DivergedError
from launch.run.history import History, load_history
from launch.run.memory import DataMemory
from launch.run.training import train
from zoo.data.files import DataError, join
from zoo.data.locks import FolderLock


@dataclasses.dataclass(frozen=True)
class Tuned:
    """A point of a grid and its validation scores.

    Attributes:
        point: `Point`.
        scores: tuple of floats, one per tuning seed, see `Cell.score`.
        epochs: tuple of ints, the best epoch of each run; 0 if it diverged in its first epoch.
    """

    point: Point
    scores: tuple[float, ...]
    epochs: tuple[int, ...]

    @property
    def score(self) -> float:
        """Mean of the scores."""
        return sum(self.scores) / len(self.scores)


@dataclasses.dataclass(frozen=True)
class Compared:
    """The results of a contender with one model.

    Attributes:
        contender: `Contender`.
        point: `Point`, the chosen settings.
        runs: tuple of `History`, one per seed.
        tuned: tuple of `Tuned`, all points of the grid; empty without a grid.
        diverged: dict from seed to the reason, for runs that diverged.
        seconds: float, duration of the runs; 0.0 if unknown.
    """

    contender: Contender
    point: Point
    runs: tuple[History, ...]
    tuned: tuple[Tuned, ...] = ()
    diverged: Mapping[int, str] = dataclasses.field(default_factory=dict)
    seconds: float = 0.0


@dataclasses.dataclass(frozen=True)
class _Task:
    title: str
    config: RunConfig
    test: bool


class Computer:
    """Computes the cells of a plan, model by model.

    Args:
        plan: the plan to compute.

    Example:
        >>> Computer(plan).compute("deepfm")  # doctest: +SKIP
    """

    def __init__(self, plan: Plan):
        self._plan = plan
        self._memory = DataMemory(plan.common.data, plan.cache_rows)
        self._cells = Cells(plan.cells_folder, self._memory, renew=plan.common.overwrite)
        self._clock = Clock(plan.time_budget)
        self._done = 0
        points = {c.label: len(plan.points(c)) for c in plan.contenders}
        tuning = sum(number for number in points.values() if number > 1) * len(plan.tuning_seeds)
        runs = len(plan.contenders) * len(plan.seeds)
        self._total = len(plan.models) * (tuning + runs)

    @property
    def identity(self) -> Mapping:
        """The checksums of the data."""
        return self._memory.identity

    def compute(self, model: str) -> list[Compared]:
        """Computes the part of the plan with one model.

        Args:
            model: name of the model.

        Returns:
            One entry per contender, in order.

        Raises:
            TimeUpError: if the time budget is spent before all cells are computed.
            ValueError: see `launch.run.training.train`.
        """
        plan = self._plan
        tuned = self._tune(model)
        found = []
        for contender in plan.contenders:
            grid = tuned[contender.label]
            # Among equal scores the first point. A point that diverged has the score -inf.
            point = max(grid, key=lambda t: t.score).point if grid else plan.points(contender)[0]
            found.append((contender, point, grid))
        tasks = [
            self._run(model, contender, point, seed)
            for contender, point, _ in found
            for seed in plan.seeds
        ]
        cells = iter(self._all(tasks))
        return [
            _compared(contender, point, grid, plan.seeds, [next(cells) for _ in plan.seeds])
            for contender, point, grid in found
        ]

    def _run(self, model: str, contender: Contender, point: Point, seed: int) -> _Task:
        folder = [model] if len(self._plan.models) > 1 else []
        out = join(self._plan.common.out, *folder, contender.folder, f"seed_{seed}")
        config = self._plan.config(model, contender, point, seed)
        config = dataclasses.replace(config, out=out, eval_test_each_epoch=True)
        return _Task(_title(model, contender, point, seed), config, test=True)

    def _tune(self, model: str) -> dict[str, tuple[Tuned, ...]]:
        plan = self._plan
        grids = {c.label: plan.points(c) for c in plan.contenders}
        tasks = [
            _Task(
                f"tuning {_title(model, contender, point, seed)}",
                dataclasses.replace(plan.config(model, contender, point, seed), save_models=False),
                test=False,
            )
            for contender in plan.contenders
            if len(grids[contender.label]) > 1
            for point in grids[contender.label]
            for seed in plan.tuning_seeds
        ]
        cells = iter(self._all(tasks))
        found: dict[str, tuple[Tuned, ...]] = {}
        for label, grid in grids.items():
            found[label] = ()
            for point in grid if len(grid) > 1 else ():
                several = [next(cells) for _ in plan.tuning_seeds]
                scores = tuple(cell.score(plan.select) for cell in several)
                epochs = tuple(cell.best_epoch(plan.select) for cell in several)
                found[label] += (Tuned(point, scores, epochs),)
        return found

    def _all(self, tasks: Sequence[_Task]) -> list[Cell]:
        """Computes cells in order; those that another process computes come last."""
        cells: dict[int, Cell] = {}
        begun = self._done
        for wait in (False, True):
            for number, task in enumerate(tasks):
                if number not in cells:
                    cell = self._one(task, wait)
                    if cell is not None:
                        cells[number] = cell
                        self._done = begun + len(cells)
        return [cells[number] for number in range(len(tasks))]

    def _one(self, task: _Task, wait: bool) -> Cell | None:
        if task.config.save_models:
            return self._timed(task, lambda: run_or_reuse(task.config, self._memory))
        known = self._cells.find(task.config, task.test)
        if known is not None:
            return known
        return self._timed(task, lambda: self._cells.compute(task.config, task.test, wait))

    def _timed(self, task: _Task, compute: Callable[[], Cell | None]) -> Cell | None:
        if self._clock.is_up():
            raise TimeUpError(
                f"the time budget of {self._plan.time_budget:g} s is spent: {self._done} of "
                f"{self._total} cells are computed, {self._total - self._done} are left"
            )
        if self._plan.common.progress:
            left = self._clock.left(self._total - self._done)
            print(f"cell {self._done + 1}/{self._total}{left}: {task.title}", flush=True)
        with self._clock.cell():
            cell = compute()
        if cell is not None and cell.diverged and self._plan.common.progress:
            print(f"diverged: {cell.diverged}", flush=True)
        return cell


def _title(model: str, contender: Contender, point: Point, seed: int) -> str:
    settings = f", {point.text}" if point.varied else ""
    return f"{model}, {contender.label}{settings}, seed {seed}"


def _compared(
    contender: Contender,
    point: Point,
    tuned: tuple[Tuned, ...],
    seeds: Sequence[int],
    cells: Sequence[Cell],
) -> Compared:
    return Compared(
        contender,
        point,
        tuple(cell.history for cell in cells),
        tuned,
        {seed: cell.diverged for seed, cell in zip(seeds, cells, strict=True) if cell.diverged},
        math.fsum(cell.seconds for cell in cells),
    )


def run_or_reuse(config: RunConfig, memory: DataMemory) -> Cell:
    """Trains a run that keeps its models, or, with `resume`, reads a finished run.

    Args:
        config: settings of the run.
        memory: the data of the run.

    Returns:
        The measurements, as a cell without a folder.

    Raises:
        DataError: if the folder holds another run.
        ValueError: see `launch.run.training.train`.
    """
    with FolderLock(config.out):
        return _run_or_reuse(config, memory)


def _run_or_reuse(config: RunConfig, memory: DataMemory) -> Cell:
    clean_run(config.out)
    config.check_folder()
    epochs = []
    if config.resume:
        with contextlib.suppress(DataError):  # a damaged history is rewritten from checkpoints
            epochs = load_history(config.out)
    if config.resume and len(epochs) >= config.epochs:
        save_run_data(config.out, check_run_data(config.out, config.data, memory.identity))
        return Cell("", {}, tuple(epochs[: config.epochs]), tested=True)
    ledger, diverged = zoo.Ledger(), ""
    try:
        epochs = train(config, ledger, memory).epochs
    except DivergedError as error:
        epochs, diverged = load_history(config.out), str(error)
    if config.progress and ledger.total_lost:
        print(f"damaged records were skipped\n{ledger.report()}")
    return Cell("", {}, tuple(epochs), tested=True, diverged=diverged)
