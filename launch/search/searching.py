"""Searches for settings: Optuna proposes them, and cells compute their validation scores."""

from __future__ import annotations

import dataclasses
import math
import time
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from launch.comparison.cells import Cell, Cells, cell_settings
from launch.comparison.clock import Clock
from launch.comparison.tables import NAMES
from launch.run.arguments import make_callbacks, make_optimizer
from launch.run.config import RunConfig
from launch.run.history import SELECTORS, Epoch
from launch.run.memory import MOST_ROWS, DataMemory
from launch.search.space import Range, Space, places, settled
from tf_helen.core.checks import number_above_zero, one_of, whole_number
from tf_helen.core.folders import is_remote
from zoo.data.files import DataError, join
from zoo.data.identity import check_identity

STUDY = "study.db"
PRUNERS = ("none", "median")
_BETWEEN_SEEDS = 1_000_003
_FINISHED = (TrialState.COMPLETE, TrialState.PRUNED)


@dataclasses.dataclass(frozen=True)
class Search:
    """A search on one data set, with one model and one optimizer.

    Args:
        common: settings that do not vary; `out` is the folder of the search.
        space: the settings that vary.
        trials: int, number of trials, including those of earlier calls. Defaults to 20.
        seeds: ints, the seeds of the runs of each trial; a number n means 0 to n - 1. Defaults
            to 1.
        select: "auc" or "logloss", the validation metric that is optimized. Defaults to "auc".
        sampler_seed: int, the seed of the sampler. Defaults to 0.
        startup: int, number of trials that are drawn at random before the sampler uses the
            results. Defaults to 10.
        prune: "median" ends a run after an epoch in which its best score is below the median of
            the earlier trials; "none" ends no run. Defaults to "none".
        time_budget: seconds after which no trial begins; `None`: no limit.
        cells: folder of the cells; `None`: `common.out/cells`.
        cache_rows: data with at most this many rows are kept in memory.

    Raises:
        ValueError: on a setting that neither the model nor the optimizer has, a value that the
            optimizer does not allow, or a number out of range.

    Example:
        >>> common = RunConfig("data/frappe", "out/tuned", optimizer="helen")
        >>> Search(common, {"rho": Range(0.001, 0.1, log=True)}).cells_folder
        'out/tuned/cells'
    """

    common: RunConfig
    space: Space
    trials: int = 20
    seeds: int | Sequence[int] = 1
    select: str = "auc"
    sampler_seed: int = 0
    startup: int = 10
    prune: str = "none"
    time_budget: float | None = None
    cells: str | None = None
    cache_rows: int = MOST_ROWS

    def __post_init__(self) -> None:
        if not isinstance(self.seeds, Sequence):
            object.__setattr__(self, "seeds", tuple(range(whole_number("seeds", self.seeds))))
        whole_number("trials", self.trials)
        for name in ("sampler_seed", "startup", "cache_rows"):
            whole_number(name, getattr(self, name), 0)
        one_of("select", self.select, SELECTORS)
        one_of("prune", self.prune, PRUNERS)
        if self.time_budget is not None:
            number_above_zero("time_budget", self.time_budget)
        if is_remote(self.common.out):
            raise ValueError(
                f"the study is a database on a local disk; name a local folder. Received: out="
                f"{self.common.out!r}"
            )
        if self.common.progressive is not None and self.prune != "none":
            raise ValueError(
                f"prune={self.prune!r} has no effect in one pass over time, which has no epochs; "
                "leave it out"
            )
        places(self.space, self.common)
        self._check_ends()

    def _check_ends(self) -> None:
        """Makes the optimizer at the ends of each axis, to report errors before any training."""
        first = {key: axis.ends()[0] for key, axis in self.space.items()}
        for key, axis in self.space.items():
            for end in axis.ends():
                config = self.config({**first, key: end}, 0)
                given = config.optimizer_args.items()
                checked = {k: v for k, v in given if (k, v) != ("frequency", "dataset")}
                make_optimizer(config.optimizer, config.learning_rate, checked)
                make_callbacks(config.callbacks)

    @property
    def cells_folder(self) -> str:
        """The folder of the cells."""
        return self.cells or join(self.common.out, "cells")

    def config(self, values: Mapping[str, Any], seed: int) -> RunConfig:
        """The settings of a run at a point of the space."""
        return dataclasses.replace(settled(self.common, self.space, values), seed=seed)

    def facts(self, identity: Mapping[str, Any]) -> dict[str, Any]:
        """Returns the facts in which a study and the search that continues it must agree."""
        fixed = cell_settings(self.common)
        fixed |= {"model": self.common.model, "optimizer": self.common.optimizer}
        return {
            **{f"settings.{key}": value for key, value in fixed.items()},
            **{f"space.{key}": str(axis) for key, axis in self.space.items()},
            "seeds": list(self.seeds),
            "select": self.select,
            "sampler_seed": self.sampler_seed,
            "startup": self.startup,
            "prune": self.prune,
            "data": identity,
        }


@dataclasses.dataclass(frozen=True)
class Trial:
    """A point of the space and its score.

    Attributes:
        number: int, its number among the trials that ended, from 1.
        values: dict, the settings.
        score: float, mean over the seeds of `Cell.score`; -inf for a trial that diverged, and the
            best score so far for a trial that was pruned.
        epoch: int, the best epoch of the first seed; 0 if there is none.
        state: "complete", "pruned" or "diverged".
        seconds: float, duration.
    """

    number: int
    values: Mapping[str, Any]
    score: float
    epoch: int
    state: str
    seconds: float

    @property
    def text(self) -> str:
        """The settings, such as `rho=0.0123, embedding_dim=8`."""
        return ", ".join(f"{key}={format_value(value)}" for key, value in self.values.items())


def format_value(value: Any) -> str:
    """Formats a setting; floats have six significant digits.

    Example:
        >>> format_value(0.00123456789), format_value("adam")
        ('0.00123457', 'adam')
    """
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def search(wanted: Search) -> list[Trial]:
    """Runs or continues a search.

    The study is a database in the folder of the search. The seed of each trial's sampler depends
    on the number of trials that ended before, so a search that was killed, also in the middle of a
    trial, continues with the settings that it would have proposed.

    Args:
        wanted: the search.

    Returns:
        All trials that ended, including those of earlier calls, in order.

    Raises:
        DataError: if the folder holds the study of another search.
        ValueError: see `launch.run.training.train`.
    """
    memory = DataMemory(wanted.common.data, wanted.cache_rows)
    study = _study(wanted, memory)
    cells = Cells(wanted.cells_folder, memory)
    clock = Clock(wanted.time_budget)
    while (done := len(_ended(study))) < wanted.trials and not clock.is_up():
        study.sampler = _sampler(wanted, done)
        with clock.cell():
            _run_trial(wanted, study, cells, done + 1)
    return trials_of(wanted, study)


def trials_of(wanted: Search, study: optuna.Study) -> list[Trial]:
    """Returns the trials of a study that ended."""
    return [_record(wanted, number, trial) for number, trial in enumerate(_ended(study), 1)]


def best_of(trials: Sequence[Trial]) -> Trial | None:
    """Returns the complete trial with the largest score, or `None` if no trial is complete."""
    complete = [trial for trial in trials if trial.state == "complete"]
    return max(complete, key=lambda trial: trial.score, default=None)


def _study(wanted: Search, memory: DataMemory) -> optuna.Study:
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    folder = wanted.common.out.removeprefix("file://")
    storage = optuna.storages.RDBStorage(f"sqlite:///{folder}/{STUDY}")
    pruner = (
        optuna.pruners.MedianPruner(n_startup_trials=5)
        if wanted.prune == "median"
        else optuna.pruners.NopPruner()
    )
    study = optuna.create_study(
        storage=storage,
        study_name="search",
        load_if_exists=True,
        direction="maximize",
        pruner=pruner,
    )
    facts = wanted.facts(memory.identity)
    before = study.user_attrs.get("facts")
    if before is None:
        study.set_user_attr("facts", facts)
    else:
        out = wanted.common.out
        check_identity(
            before.pop("data"), facts.pop("data"), wanted.common.data, f"the search in {out}"
        )
        for key in {**before, **facts}:
            if before.get(key) != facts.get(key):
                raise DataError(
                    f"the search in {out} has {key}={before.get(key)!r}; received "
                    f"{key}={facts.get(key)!r}. Continue it with the old value, or name another "
                    "folder"
                )
    for trial in study.get_trials(deepcopy=False, states=[TrialState.RUNNING]):
        study.tell(trial.number, state=TrialState.FAIL)  # its process was killed
    return study


def _sampler(wanted: Search, done: int) -> optuna.samplers.TPESampler:
    return optuna.samplers.TPESampler(
        n_startup_trials=wanted.startup, seed=wanted.sampler_seed * _BETWEEN_SEEDS + done
    )


def _ended(study: optuna.Study) -> list[FrozenTrial]:
    return study.get_trials(deepcopy=False, states=_FINISHED)


def _run_trial(wanted: Search, study: optuna.Study, cells: Cells, number: int) -> None:
    trial = study.ask()
    values = {key: axis.suggest(trial, key) for key, axis in wanted.space.items()}
    started = time.perf_counter()
    state, score, epoch, diverged = "complete", -math.inf, 0, ""
    found: list[Cell] = []
    watch = _Watch(trial, wanted.select)
    try:
        for place, seed in enumerate(wanted.seeds):
            config = wanted.config(values, seed)
            after_epoch = watch if place == 0 else None
            found.append(cells.compute(config, test=False, after_epoch=after_epoch))
        score = sum(cell.score(wanted.select) for cell in found) / len(found)
        epoch = found[0].best_epoch(wanted.select)
        diverged = next((cell.diverged for cell in found if cell.diverged), "")
        if score == -math.inf:
            state = "diverged"
    except optuna.TrialPruned:
        state, score, epoch = "pruned", watch.best, watch.best_epoch
    known = {"values": values, "state": state, "epoch": epoch, "diverged": diverged}
    known["score"] = None if score == -math.inf else score
    trial.set_user_attr("result", known | {"seconds": time.perf_counter() - started})
    if state == "complete":
        study.tell(trial, score)
    else:
        # A trial that diverged has no score; the sampler ranks it below all others.
        study.tell(trial, state=TrialState.PRUNED)
    if wanted.common.progress:
        _say(wanted, study, number)


class _Watch:
    """Reports the best score after each epoch, and ends a run that the pruner stops."""

    def __init__(self, trial: optuna.Trial, select: str):
        self._trial, self._select = trial, select
        self.best, self.best_epoch = -math.inf, 0

    def __call__(self, epoch: Epoch) -> None:
        score = epoch.valid_auc if self._select == "auc" else -epoch.valid_logloss
        if score > self.best:
            self.best, self.best_epoch = score, epoch.epoch
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # an epoch that is reported twice
            self._trial.report(self.best, epoch.epoch)
        if self._trial.should_prune():
            raise optuna.TrialPruned


def _record(wanted: Search, number: int, trial: FrozenTrial) -> Trial:
    known = trial.user_attrs["result"]
    score = known["score"]
    values = {key: _restored(wanted.space[key], v) for key, v in known["values"].items()}
    return Trial(
        number,
        values,
        -math.inf if score is None else score,
        known["epoch"],
        known["state"],
        known["seconds"],
    )


def _restored(axis: Any, value: Any) -> Any:
    """Returns a value of an axis; JSON turns its tuples into lists."""
    if isinstance(axis, Range) or not isinstance(value, list):
        return value
    return next(v for v in axis.values if isinstance(v, tuple) and list(v) == value)


def _say(wanted: Search, study: optuna.Study, number: int) -> None:
    trials = trials_of(wanted, study)
    trial, best = trials[-1], best_of(trials)
    result = trial.state
    if trial.score > -math.inf:
        result = f"{score_text(trial.score, wanted.select)} (epoch {trial.epoch})"
        result += ", pruned" if trial.state == "pruned" else ""
    line = f"trial {number}/{wanted.trials}: {trial.text}: {result}, {trial.seconds:.1f} s"
    if best is not None:
        line += f"; best {abs(best.score):.5f} (trial {best.number})"
    print(line, flush=True)


def score_text(score: float, select: str) -> str:
    """Formats a score with its name.

    Example:
        >>> score_text(-0.5512, "logloss")
        'valid LogLoss 0.55120'
    """
    return f"valid {NAMES[select]} {abs(score):.5f}"
