"""Trains a model day by day: scores each day before training it, and exports after it."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import numpy as np

import zoo
from launch.continual.exports import DELTAS, SERVED, publish, remove_days
from launch.continual.plots import plot_days
from launch.continual.results import (
    DIVERGED,
    DROPPED,
    FILE_NAME,
    KEPT,
    Day,
    DaysResult,
    by_bucket,
    load_predictions,
    load_result,
    pooled,
    save_predictions,
    scores_of,
)
from launch.continual.scoring import score_day
from launch.continual.settings import Days
from launch.run.config import FILE_NAME as CONFIG
from launch.run.config import RunConfig
from launch.run.earlier_run import EarlierRun, read_earlier_run
from launch.run.evaluation import DivergedError
from launch.run.training import train
from launch.run.warm_start import FILE_NAME as WARM_START
from tf_helen.core.folders import remove_folder
from tf_helen.stores import gfile
from zoo.data.files import DataError, join, read_json
from zoo.data.identity import identity_checksum
from zoo.data.locks import FolderLock
from zoo.data.manifest import load_manifest

RUNS, SCORES, PLOT = "runs", "scores", "days.png"
_MAY_CHANGE = (  # of a run
    "checkpoint_every",
    "max_lost",
    "progress",
    "cluster_wait",
    "steps_per_execution",
    "tensorboard",
)
_VALID = 1  # place of the validation split in predictions


def train_days(settings: Days, ledger: zoo.Ledger | None = None) -> DaysResult:
    """Trains a model day by day.

    For each day: the model that was kept before predicts the rows of the day, values that its
    vocabulary does not contain having id 0; a run begins with the state of that model
    (`launch.run.warm_start`) and trains the day; the day is kept and exported, unless training
    diverges or its AUC fell. Later days begin with the last day that was kept.

    The folder contains `days.json`, `days.png`, `scores/` (predictions of each day), `runs/` and
    `served/` (a folder per kept day), and `deltas/`. A training that is killed at any time and
    continued gives the same bits on CPUs; more days may be added.

    Args:
        settings: `Days`.
        ledger: `zoo.Ledger` that receives the counts of damaged records. Defaults to `None`.

    Returns:
        `DaysResult`.

    Raises:
        ValueError: on settings that do not fit, days that differ from those of the first start, or
            data whose columns differ from those of the day before.

    Example:
        >>> days = Days(["data/1", "data/2"], "out/days", {"model": "dnn", "epochs": 1})
        >>> print(train_days(days).table())  # doctest: +SKIP
    """
    RunConfig(settings.data[0], settings.out, **settings.run)  # checks the settings of runs
    with FolderLock(settings.out):
        return _Training(settings, zoo.Ledger() if ledger is None else ledger).train()


class _Training:
    """The days of a folder that is locked.

    Args:
        settings: `Days`.
        ledger: `zoo.Ledger`.
    """

    def __init__(self, settings: Days, ledger: zoo.Ledger):
        self._settings, self._ledger, self._out = settings, ledger, settings.out
        self._record = json.loads(
            json.dumps(
                {
                    "run": {k: v for k, v in settings.run.items() if k not in _MAY_CHANGE},
                    "export": settings.export,
                    "warm_start": settings.warm_start,
                }
            )
        )
        self._days = self._finished_days()

    def train(self) -> DaysResult:
        """Trains the days that are not finished."""
        if not self._days:
            # A training that is interrupted in its first day can then be resumed with its settings.
            self._result(0).save(self._out, self._record)
        for number, data in enumerate(self._settings.data, start=1):
            if number > len(self._days):
                self._say(f"\nday {number}/{len(self._settings.data)}: {data}")
                self._days.append(self._day(number, data))
                self._result(number).save(self._out, self._record)
                self._remove_old()
                if self._days[-1].reason:
                    self._say(f"day {number} was {self._days[-1].status}: {self._days[-1].reason}")
        result = self._result(len(self._days))
        plot_days(result, join(self._out, PLOT), zoo.Schema.load(self._settings.data[-1]).name)
        return result

    def _finished_days(self) -> list[Day]:
        found = load_result(self._out)
        if found is None or self._settings.overwrite:
            _clear(self._out, self._settings.overwrite)
            return []
        if not self._settings.resume:
            raise DataError(
                f"{self._out} already holds days; continue with --resume, replace them with "
                "--overwrite, or name another folder"
            )
        result, record = found
        for name, value in _flat(self._record).items():
            before = _flat(record).get(name)
            if before != value:
                raise DataError(
                    f"the days in {self._out} have {name}={before!r}. Received: {name}={value!r}; "
                    "resume with the old value, or name another folder"
                )
        data = self._settings.data
        if len(data) < len(result.days):
            raise DataError(
                f"{self._out} holds {len(result.days)} days, and --data names {len(data)}; name all"
            )
        for day, folder in zip(result.days, data, strict=False):
            if gfile.exists(folder) and identity_checksum(folder) != day.checksum:
                raise DataError(
                    f"day {day.day} was trained with other data than {folder} contains now; name "
                    "the folders of the finished days first, unchanged"
                )
        return list(result.days)

    def _day(self, number: int, data: str) -> Day:
        schema, checksum = zoo.Schema.load(data), identity_checksum(data)
        earlier, day = self._earlier()
        kept = [each for each in self._days if each.status == KEPT and each.scores]
        found = Day(number, data, checksum, earlier=day)
        before = None
        if earlier is not None:
            arrays = self._predictions(number, earlier, data, schema)
            found = dataclasses.replace(
                found, scores=scores_of(arrays), so_far=pooled(self._all_predictions(number))
            )
            self._say(f"before training: AUC {found.scores['auc']:.5f}")
            if (arrays["split"] == _VALID).any():
                before = scores_of(arrays, arrays["split"] == _VALID)["auc"]
        try:
            valid = self._train(number, data, earlier)
        except DivergedError as error:
            return dataclasses.replace(found, status=DIVERGED, reason=str(error))
        found = dataclasses.replace(
            found, valid_auc=valid, valid_auc_before=before, fields=self._carried(number)
        )
        if reason := _fallen(found, kept[-1] if kept else None, self._settings.max_auc_drop):
            return dataclasses.replace(found, status=DROPPED, reason=reason)
        if self._settings.export == "none":
            return found
        since = day if self._settings.export == "delta" and day else None
        return dataclasses.replace(
            found, **publish(self._out, number, self._run(number), data, since)
        )

    def _earlier(self) -> tuple[EarlierRun | None, int]:
        """Returns the run that the next day begins with, and its day."""
        kept = [day.day for day in self._days if day.status == KEPT]
        if kept:
            return read_earlier_run(self._run(kept[-1]), self._settings.data[kept[-1] - 1]), kept[
                -1
            ]
        if self._settings.warm_start is not None:
            return read_earlier_run(self._settings.warm_start), 0
        return None, 0

    def _predictions(
        self, number: int, earlier: EarlierRun, data: str, schema: zoo.Schema
    ) -> dict[str, np.ndarray]:
        path = self._scores(number)
        known = load_predictions(path)
        if known is not None:
            return known
        max_lost = RunConfig(data, self._out, **self._settings.run).max_lost
        arrays = score_day(earlier, data, schema, self._ledger, max_lost)
        save_predictions(path, arrays)
        return arrays

    def _all_predictions(self, last: int) -> list[dict[str, np.ndarray]]:
        found = (load_predictions(self._scores(number)) for number in range(1, last + 1))
        return [arrays for arrays in found if arrays is not None]

    def _train(self, number: int, data: str, earlier: EarlierRun | None) -> float | None:
        """Trains the run of a day; returns its AUC on the validation split, if there is one."""
        out, splits = self._run(number), load_manifest(data)
        config = RunConfig(
            data,
            out,
            **self._settings.run,
            warm_start=None if earlier is None else earlier.folder,
            warm_start_data=None if earlier is None else earlier.data,
            validate="valid" in splits,
            evaluate_test=False,
            resume=gfile.exists(join(out, CONFIG)),
        )
        return train(config, self._ledger).best.valid_auc

    def _carried(self, number: int) -> dict[str, dict[str, int]]:
        path = join(self._run(number), WARM_START)
        return read_json(path)["fields"] if gfile.exists(path) else {}

    def _result(self, last: int) -> DaysResult:
        return DaysResult(tuple(self._days), by_bucket(self._all_predictions(last)))

    def _remove_old(self) -> None:
        kept = [day.day for day in self._days if day.status == KEPT]
        if len(kept) >= self._settings.keep:
            remove_days(self._out, (RUNS, SERVED, DELTAS), kept[-self._settings.keep])

    def _run(self, number: int) -> str:
        return join(self._out, RUNS, str(number))

    def _scores(self, number: int) -> str:
        return join(self._out, SCORES, f"{number}.npz")

    def _say(self, line: str) -> None:
        if self._settings.run.get("progress", True):
            print(line, flush=True)


def _fallen(day: Day, kept: Day | None, most: float) -> str:
    """Returns why a day is not kept, or ""."""
    if kept is not None and day.scores["auc"] < kept.scores["auc"] - most:
        return (
            f"its AUC before training is {day.scores['auc']:.5f}, that of day {kept.day} was "
            f"{kept.scores['auc']:.5f}, and --max_auc_drop={most:g}; check its data"
        )
    before, after = day.valid_auc_before, day.valid_auc
    if before is not None and after is not None and after < before - most:
        return (
            f"training changed the AUC on its validation split from {before:.5f} to {after:.5f}, "
            f"and --max_auc_drop={most:g}; use a smaller learning rate"
        )
    return ""


def _flat(record: dict[str, Any]) -> dict[str, Any]:
    return {**record.get("run", {}), "export": record.get("export"),
            "warm_start": record.get("warm_start")}  # fmt: skip


def _clear(out: str, overwrite: bool) -> None:
    """Removes the files of days, and raises if there are others."""
    if not gfile.exists(out):
        return
    if not gfile.isdir(out):
        raise DataError(f"{out} is a file; name a folder")
    known = (RUNS, SCORES, SERVED, DELTAS, FILE_NAME, PLOT)
    for name in sorted(name.rstrip("/") for name in gfile.listdir(out)):
        if name not in known and not name.startswith("."):
            raise DataError(f"{join(out, name)} is not a file of days; name another folder")
        path = join(out, name)
        if overwrite and name in known:
            (remove_folder if gfile.isdir(path) else gfile.remove)(path)
