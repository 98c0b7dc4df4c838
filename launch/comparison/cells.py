"""Cells: the results of runs, stored by their settings, so that no run is computed twice.

A cell is a folder `CELLS/KEY` with the files of its run and `cell.json`. The key is a checksum of
everything that determines the run's numbers: the fields of `RunConfig` that matter, the checksums
of the data, and the version of this project. A folder gets its name when it is complete, so a
killed process loses only the cell that it was computing.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import math
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import tensorflow as tf

import tf_helen
import zoo
from launch.run.config import RunConfig
from launch.run.evaluation import DivergedError
from launch.run.frequency_scores import ROWS, bucket_names
from launch.run.history import Epoch, History, chosen_epoch, load_history
from launch.run.memory import DataMemory
from launch.run.progressive import train_progressively
from launch.run.progressive_history import PREDICTIONS, ProgressiveHistory
from launch.run.training import train
from tf_helen.core.folders import remove_folder
from tf_helen.stores import gfile
from zoo.data.files import DataError, join, read_json, write_json
from zoo.data.folders import partial_folder, publish_folder, restore_folder
from zoo.data.locks import FolderInUseError, FolderLock

FILE_NAME = "cell.json"
_FORMAT = 1  # changes when a field of `RunConfig` gets another meaning or default
_WITHOUT_EFFECT = (
    "data",  # its checksums count
    "out",
    "max_lost",
    "resume",
    "overwrite",
    "checkpoint_every",
    "cluster_wait",
    "preset",
    "eval_test_each_epoch",
    "evaluate_test",
    "frequency_auc",  # a cell without it is computed again where it is needed
    "frequency_field",
    "save_models",
    "progress",
    "tensorboard",
    "steps_per_execution",
)
_POLL = 2.0  # seconds between two checks of a cell that another process computes


@dataclasses.dataclass(frozen=True)
class Cell:
    """The measurements of a run, whose model is not kept.

    Attributes:
        key: string, the name of its folder.
        settings: dict, the fields of `RunConfig` that determine its numbers and differ from their
            defaults.
        epochs: one entry per epoch.
        tested: whether the epochs have the scores of the test split, if there is one.
        diverged: string, why the run diverged; "" if it did not.
        pass_scores: dict, the scores of a progressive run over all its rows, see `History`.
        seconds: float, duration, including reading and evaluation.
    """

    key: str
    settings: Mapping[str, Any]
    epochs: tuple[Epoch, ...]
    tested: bool
    diverged: str = ""
    seconds: float = 0.0
    pass_scores: Mapping[str, float] = dataclasses.field(default_factory=dict)

    @property
    def history(self) -> History:
        """The measurements, as `launch.run.training.train` returns them."""
        return History(self.epochs, pass_scores=dict(self.pass_scores))

    def score(self, select: str = "auc") -> float:
        """The validation score of the best epoch, larger for better cells.

        Args:
            select: "auc", or "logloss" for the negative LogLoss.

        Returns:
            Float; -inf for a run that diverged in its first epoch.
        """
        if not self.epochs:
            return -math.inf
        best = chosen_epoch(self.epochs, select)
        return best.valid_auc if select == "auc" else -best.valid_logloss

    def best_epoch(self, select: str = "auc") -> int:
        """The number of the best epoch, see `score`; 0 if the run diverged in its first epoch."""
        return chosen_epoch(self.epochs, select).epoch if self.epochs else 0


def cell_settings(config: RunConfig) -> dict[str, Any]:
    """The settings that determine the numbers of a run, without those that have their default.

    Args:
        config: settings of the run.

    Returns:
        Dict of JSON values. A learning rate in `optimizer_args` is moved to `learning_rate`.

    Example:
        >>> cell_settings(RunConfig("data", "out", optimizer_args={"learning_rate": 0.1}, seed=3))
        {'learning_rate': 0.1, 'seed': 3}
    """
    found = {}
    for field in dataclasses.fields(config):
        if field.name not in _WITHOUT_EFFECT:
            found[field.name] = getattr(config, field.name), field
    arguments = dict(config.optimizer_args)
    rate = arguments.pop("learning_rate", config.learning_rate)
    changed = {"optimizer_args": arguments, "learning_rate": rate}
    settings = {
        name: changed.get(name, value)
        for name, (value, field) in found.items()
        if changed.get(name, value) != _default(field)
    }
    if config.progressive is not None:
        settings["progressive"] = dataclasses.asdict(config.progressive)
    return json.loads(json.dumps(settings, default=str))


def _default(field: dataclasses.Field) -> Any:
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    return field.default


def cell_key(config: RunConfig, identity: Mapping[str, Any]) -> str:
    """The name of a cell's folder.

    Args:
        config: settings of the run.
        identity: checksums of its data, see `zoo.data.identity.data_identity`.

    Returns:
        String of 20 hexadecimal digits.

    Example:
        >>> one, other = (RunConfig("data", out, epochs=2) for out in ("a", "b"))
        >>> cell_key(one, {}) == cell_key(other, {})
        True
    """
    content = {
        "format": _FORMAT,
        "version": tf_helen.__version__,
        "settings": cell_settings(config),
        "data": identity,
        "columns": list(identity.get("columns", ())),  # their order counts
    }
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:20]


class Cells:
    """The cells in a folder; several processes may share it.

    Args:
        folder: string, the folder.
        memory: the data of all cells.
        renew: whether existing cells are computed again, once each.

    Example:
        >>> cells = Cells("out/cells", DataMemory("data/frappe"))  # doctest: +SKIP
        >>> cells.compute(RunConfig("data/frappe", "out"), test=True).score()  # doctest: +SKIP
        0.962
    """

    def __init__(self, folder: str, memory: DataMemory, renew: bool = False):
        self._folder, self._memory = folder, memory
        self._renew, self._computed = renew, set()

    def find(self, config: RunConfig, test: bool) -> Cell | None:
        """Returns a complete cell, or `None` if there is none.

        Args:
            config: settings of the run.
            test: whether the scores of the test split are needed.
        """
        key = cell_key(config, self._memory.identity)
        if self._renew and (key, test) not in self._computed:
            return None
        file = join(self._folder, key, FILE_NAME)
        if not gfile.exists(file):
            return None
        try:
            cell = _read(key, file)
        except (DataError, ValueError, TypeError, KeyError) as error:
            print(f"{file} is damaged ({error}); the cell is computed again", flush=True)
            return None
        return cell if not test or (cell.tested and _has_buckets(cell, config)) else None

    def compute(
        self,
        config: RunConfig,
        test: bool,
        wait: bool = True,
        after_epoch: Callable[[Epoch], None] | None = None,
    ) -> Cell | None:
        """Returns a cell; trains its run if the cell does not exist.

        Args:
            config: settings of the run; `out` and what is saved have no effect.
            test: whether the test split is scored after each epoch; without it, it is not read.
            wait: whether to wait for another process that computes the same cell.
            after_epoch: function that is called with each epoch, also with those of an existing
                cell. A run that it ends by an error leaves no cell.

        Returns:
            The cell; `None` if another process computes it and `wait` is false.

        Raises:
            ValueError: see `launch.run.training.train`. A run that diverges raises nothing and
                gives a cell.
        """
        path = join(self._folder, cell_key(config, self._memory.identity))
        with _locked(path, wait) as free:
            if not free:
                return None
            restore_folder(path, FILE_NAME)
            cell = self.find(config, test)
            if cell is None:
                return self._train(config, test, path, after_epoch)
            for epoch in cell.epochs if after_epoch is not None else ():
                after_epoch(epoch)
            return cell

    def _train(
        self,
        config: RunConfig,
        test: bool,
        path: str,
        after_epoch: Callable[[Epoch], None] | None,
    ) -> Cell:
        partial = partial_folder(path)
        if gfile.exists(partial):
            remove_folder(partial)  # left by a process that was killed
        run = dataclasses.replace(
            config,
            out=partial,
            resume=False,
            overwrite=False,
            save_models=False,
            eval_test_each_epoch=test,
            evaluate_test=test,
            frequency_auc=config.frequency_auc if test else None,
            frequency_field=config.frequency_field if test else None,
        )
        ledger, diverged, started = zoo.Ledger(), "", time.perf_counter()
        pass_scores: dict[str, float] = {}
        try:
            if run.progressive is None:
                epochs = train(run, ledger, self._memory, after_epoch).epochs
            else:
                passed = train_progressively(_without_test(run, test), ledger, self._memory)
                epochs, pass_scores = (_judged(passed),), passed.scores
                for epoch in epochs if after_epoch is not None else ():
                    after_epoch(epoch)
                gfile.remove(join(partial, PREDICTIONS))  # some bytes per row and cell
        except DivergedError as error:
            # A pass that diverged has no epoch.
            epochs = () if run.progressive else tuple(load_history(partial))
            diverged = str(error)
        except BaseException:
            if gfile.exists(partial):
                remove_folder(partial)
            raise
        if config.progress and ledger.total_lost:
            print(f"damaged records were skipped\n{ledger.report()}")
        key = cell_key(config, self._memory.identity)
        seconds = time.perf_counter() - started
        cell = Cell(key, cell_settings(config), epochs, test, diverged, seconds, pass_scores)
        content = dataclasses.asdict(cell)
        content |= {"version": tf_helen.__version__, "tensorflow": tf.__version__}
        content["devices"] = sorted({d.device_type for d in tf.config.list_logical_devices()})
        write_json(join(partial, FILE_NAME), content)
        publish_folder(partial, path, last=FILE_NAME)
        self._computed |= {(key, test), (key, False)}
        return cell


def _has_buckets(cell: Cell, config: RunConfig) -> bool:
    """Whether the epochs have the scores by frequency that a run would measure."""
    if config.frequency_auc is None:
        return True
    names = {f"{ROWS}/{x}" for x in bucket_names(config.frequency_auc, config.frequency_field)}
    return all(names == {x for x in e.measured if x.startswith(ROWS)} for e in cell.epochs)


def _judged(passed: ProgressiveHistory) -> Epoch:
    """The epoch of a pass; without a validation split, its scores are those of all rows."""
    (epoch,) = passed.epochs
    if not math.isnan(epoch.valid_auc):
        return epoch
    scores = passed.scores
    return dataclasses.replace(epoch, valid_auc=scores["auc"], valid_logloss=scores["logloss"])


def _without_test(run: RunConfig, test: bool) -> RunConfig:
    """A progressive run that reads the test split only if `test` is true."""
    if test:
        return run
    splits = [split for split in run.progressive.splits if split != "test"]
    return dataclasses.replace(run, progressive=dataclasses.replace(run.progressive, splits=splits))


def _read(key: str, file: str) -> Cell:
    content = read_json(file)
    content = {"pass_scores": {}, **content}  # cells of older versions have no `pass_scores`
    known = {field.name: content[field.name] for field in dataclasses.fields(Cell)}
    if content["key"] != key:
        raise ValueError(f"it is the cell {content['key']}")
    return Cell(**known | {"epochs": tuple(Epoch(**epoch) for epoch in content["epochs"])})


@contextlib.contextmanager
def _locked(path: str, wait: bool) -> Iterator[bool]:
    """Locks the folder of a cell; yields false if another process holds it and `wait` is false."""
    said = False
    with contextlib.ExitStack() as held:
        while True:
            try:
                held.enter_context(FolderLock(path, doing="computes"))
            except FolderInUseError as error:
                if not wait:
                    yield False
                    return
                if not said:
                    print(f"waiting: {str(error).split(';')[0]}", flush=True)
                said = True
                time.sleep(_POLL)
            else:
                break
        yield True
