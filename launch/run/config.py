"""The settings of a training run."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from typing import Any

import tensorflow as tf

from launch.run.arguments import make_callbacks, split_callbacks
from launch.run.strategies import STRATEGIES
from tf_helen.core.checks import one_of, whole_number
from zoo.data.files import DataError, join, read_text, write_json
from zoo.data.ledger import MAX_LOST
from zoo.data.remote import check_reachable

FILE_NAME = "config.json"
LEDGER = "ledger.json"  # the account of records that were lost
PRECISIONS = ("float32", "mixed_bfloat16", "mixed_float16")
_HELP = "replace the run with --overwrite, or name another folder"
# What a run writes; the account of lost records is left by one that has not begun, too.
FILES = ("history.csv", "best.keras", "checkpoints", "curves.png", "data.json", "scores.json")
_MAY_CHANGE = (
    "out",
    "data",
    "epochs",
    "patience",
    "max_lost",
    "resume",
    "overwrite",
    "checkpoint_every",
    "preset",
    "eval_test_each_epoch",
    "evaluate_test",
    "progress",
)


@dataclasses.dataclass(frozen=True)
class RunConfig:
    """The settings of one training run.

    Args:
        data: prepared data folder, with the splits train, valid and (if any) test.
        out: folder of the run.
        model: name of the model, see `zoo.list_models()`.
        model_args: its arguments.
        optimizer: name of the optimizer.
        learning_rate: `None`: the optimizer's default.
        optimizer_args: its arguments; for Helen `frequency="dataset"` takes the counts of the
            training split from the vocabularies.
        callbacks: names of callbacks, such as "meda", which draws the embedding tables again at
            the start of each epoch.
        epochs: how many epochs at most.
        batch_size: rows per step, over all replicas.
        seed: of the initial weights, the order of the rows and dropout.
        precision: "float32", "mixed_bfloat16" or "mixed_float16".
        strategy: "none" or "mirrored".
        cpu_replicas: for "mirrored", logical CPUs instead of GPUs.
        max_lost: share of the records of a split that may be lost to damage, from 0 to 1.
        resume: continue the run in `out`, if there is one.
        overwrite: replace the run in `out`, if there is one, once the new one begins.
        checkpoint_every: minutes between two checkpoints within an epoch; there is one after
            every epoch too, and one on SIGTERM. 0: one after every step.
        patience: stop after so many epochs without a better validation AUC; 0: never.
        reduce_lr: factor of the learning rate, in (0, 1), after every epoch without a better
            validation AUC, down to 1e-6; `None`: it stays.
        preset: name of the published settings that these were made of, see `zoo.list_presets()`.
        eval_test_each_epoch: score the test split after every epoch too.
        evaluate_test: score the test split at the end; without it that split is not read.
        save_models: keep checkpoints and the best model; without them nothing can be resumed.
        progress: report progress.

    Raises:
        ValueError: on a value out of range, or a folder that TensorFlow has no file system for.

    Example:
        >>> RunConfig(data="data/frappe", out="out/run", optimizer="adamar").epochs
        4
    """

    data: str
    out: str
    model: str = "deepfm"
    model_args: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    optimizer: str = "adam"
    learning_rate: float | None = None
    optimizer_args: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    callbacks: Sequence[str] = ()
    epochs: int = 4
    batch_size: int = 512
    seed: int = 0
    precision: str = "float32"
    strategy: str = "none"
    cpu_replicas: int = 0
    max_lost: float = MAX_LOST
    resume: bool = False
    overwrite: bool = False
    checkpoint_every: float = 10.0
    patience: int = 0
    reduce_lr: float | None = None
    preset: str | None = None
    eval_test_each_epoch: bool = False
    evaluate_test: bool = True
    save_models: bool = True
    progress: bool = True

    def __post_init__(self) -> None:
        arguments, named = split_callbacks(self.optimizer_args)
        callbacks = (*self.callbacks, *(name for name in named if name not in self.callbacks))
        make_callbacks(callbacks)
        object.__setattr__(self, "optimizer_args", arguments)
        object.__setattr__(self, "callbacks", callbacks)
        for name in ("data", "out"):
            if not getattr(self, name):
                raise ValueError(f"`{name}` is empty; name a folder")
            check_reachable(getattr(self, name))
        for name, low in (("epochs", 1), ("batch_size", 1), ("patience", 0), ("cpu_replicas", 0)):
            whole_number(name, getattr(self, name), low)
        if not isinstance(self.seed, int) or not 0 <= self.seed < 2**31:
            raise ValueError(f"`seed` must be an integer in [0, 2^31). Received: {self.seed!r}")
        if isinstance(self.max_lost, bool) or not 0 <= self.max_lost <= 1:
            raise ValueError(f"`max_lost` must be a share in [0, 1]. Received: {self.max_lost!r}")
        minutes = self.checkpoint_every
        if isinstance(minutes, bool) or not minutes >= 0:
            raise ValueError(f"`checkpoint_every` must be minutes >= 0. Received: {minutes!r}")
        if self.resume and self.overwrite:
            raise ValueError("resume and overwrite exclude each other; leave one out")
        factor = self.reduce_lr
        if factor is not None and (isinstance(factor, bool) or not 0 < factor < 1):
            raise ValueError(f"`reduce_lr` must be a factor in (0, 1). Received: {factor!r}")
        one_of("precision", self.precision, PRECISIONS)
        one_of("strategy", self.strategy, STRATEGIES)

    def save(self) -> None:
        """Writes `config.json` into the run's folder."""
        self.save_to(self.out)

    def save_to(self, folder: str) -> None:
        """Writes `config.json` into another folder."""
        write_json(join(folder, FILE_NAME), _plain(dataclasses.asdict(self)))

    def check_folder(self) -> None:
        """Raises unless the run's folder is free, or holds the run to be resumed or replaced.

        Raises:
            DataError: if it holds a run and neither `resume` nor `overwrite` is on, a run with
                other settings, or files of a run without its settings.
        """
        path = join(self.out, FILE_NAME)
        if tf.io.gfile.exists(self.out) and not tf.io.gfile.isdir(self.out):
            raise DataError(f"{self.out} is a file; name a folder for the run")
        if not tf.io.gfile.exists(path):
            if there := files_of_a_run(self.out):
                raise DataError(
                    f"{self.out} holds {there[0]} but no {FILE_NAME}, so it is not known which run "
                    "that is of; name another folder, or move it away"
                )
            return
        if self.overwrite:
            return
        if not self.resume:
            raise DataError(
                f"{self.out} already holds a run; continue it with --resume, replace it with "
                "--overwrite, or name another folder"
            )
        before = _load(path)
        before.setdefault("callbacks", [])
        arguments, named = split_callbacks(before.get("optimizer_args", {}))
        if named:  # as version 0.1 wrote them
            before |= {"optimizer_args": arguments, "callbacks": [*named]}
        now = _plain(dataclasses.asdict(self))
        for name, value in now.items():
            if name not in _MAY_CHANGE and before.get(name) != value:
                raise DataError(
                    f"the run in {self.out} has {name}={before.get(name)!r}, this one "
                    f"{name}={value!r}; resume with the old value, or name another folder"
                )


def files_of_a_run(folder: str) -> list[str]:
    """The names in a folder that a run writes, in a fixed order."""
    return [name for name in FILES if tf.io.gfile.exists(join(folder, name))]


def _load(path: str) -> dict[str, Any]:
    try:
        content = json.loads(read_text(path))
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path} is damaged ({error}); {_HELP}") from None
    if not isinstance(content, dict):
        raise DataError(f"{path} is damaged (no settings in it); {_HELP}")
    return content


def _plain(value: Any) -> Any:
    """A value as JSON gives it back."""
    return json.loads(json.dumps(value, default=str))
