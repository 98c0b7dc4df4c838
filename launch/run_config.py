"""What a training run is: all that decides its result, in one place."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from typing import Any

import tensorflow as tf

from launch.strategies import STRATEGIES
from tf_helen.checks import one_of
from zoo.files import DataError, join, read_text, write_json
from zoo.ledger import MAX_LOST
from zoo.remote import check_reachable

FILE_NAME = "config.json"
LEDGER = "ledger.json"  # the account of records that were lost
PRECISIONS = ("float32", "mixed_bfloat16", "mixed_float16")
_MAY_CHANGE = (
    "out",
    "data",
    "epochs",
    "patience",
    "max_lost",
    "resume",
    "preset",
    "eval_test_each_epoch",
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
            training split from the vocabularies; `meda=True` starts the tables anew every epoch.
        epochs: how many epochs at most.
        batch_size: rows per step, over all replicas.
        seed: of the initial weights, the order of the rows and dropout.
        precision: "float32", "mixed_bfloat16" or "mixed_float16".
        strategy: "none" or "mirrored".
        cpu_replicas: for "mirrored", logical CPUs instead of GPUs.
        max_lost: share of the records of a split that may be lost to damage, from 0 to 1.
        resume: continue the run in `out`, if there is one.
        patience: stop after so many epochs without a better validation AUC; 0: never.
        reduce_lr: factor of the learning rate, in (0, 1), after every epoch without a better
            validation AUC, down to 1e-6; `None`: it stays.
        preset: name of the published settings that these were made of, see `zoo.list_presets()`.
        eval_test_each_epoch: score the test split after every epoch too.
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
    epochs: int = 4
    batch_size: int = 512
    seed: int = 0
    precision: str = "float32"
    strategy: str = "none"
    cpu_replicas: int = 0
    max_lost: float = MAX_LOST
    resume: bool = False
    patience: int = 0
    reduce_lr: float | None = None
    preset: str | None = None
    eval_test_each_epoch: bool = False
    save_models: bool = True
    progress: bool = True

    def __post_init__(self) -> None:
        for name in ("data", "out"):
            if not getattr(self, name):
                raise ValueError(f"`{name}` is empty; name a folder")
            check_reachable(getattr(self, name))
        for name, low in (("epochs", 1), ("batch_size", 1), ("patience", 0), ("cpu_replicas", 0)):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < low:
                raise ValueError(f"`{name}` must be an integer >= {low}. Received: {value!r}")
        if not isinstance(self.seed, int) or not 0 <= self.seed < 2**31:
            raise ValueError(f"`seed` must be an integer in [0, 2^31). Received: {self.seed!r}")
        if isinstance(self.max_lost, bool) or not 0 <= self.max_lost <= 1:
            raise ValueError(f"`max_lost` must be a share in [0, 1]. Received: {self.max_lost!r}")
        factor = self.reduce_lr
        if factor is not None and (isinstance(factor, bool) or not 0 < factor < 1):
            raise ValueError(f"`reduce_lr` must be a factor in (0, 1). Received: {factor!r}")
        one_of("precision", self.precision, PRECISIONS)
        one_of("strategy", self.strategy, STRATEGIES)

    def save(self) -> None:
        """Writes `config.json` into the run's folder."""
        write_json(join(self.out, FILE_NAME), _plain(dataclasses.asdict(self)))

    def check_folder(self) -> None:
        """Raises unless the run's folder is free, or holds the run that is to be resumed.

        Raises:
            DataError: if it holds a run and `resume` is off, or a run with other settings.
        """
        path = join(self.out, FILE_NAME)
        if tf.io.gfile.exists(self.out) and not tf.io.gfile.isdir(self.out):
            raise DataError(f"{self.out} is a file; name a folder for the run")
        if not tf.io.gfile.exists(path):
            return
        if not self.resume:
            raise DataError(
                f"{self.out} already holds a run; continue it with --resume, or name another folder"
            )
        before = _load(path)
        now = _plain(dataclasses.asdict(self))
        for name, value in now.items():
            if name not in _MAY_CHANGE and before.get(name) != value:
                raise DataError(
                    f"the run in {self.out} has {name}={before.get(name)!r}, this one "
                    f"{name}={value!r}; resume with the old value, or name another folder"
                )


def _load(path: str) -> dict[str, Any]:
    try:
        content = json.loads(read_text(path))
    except ValueError as error:
        raise DataError(f"{path} is damaged ({error}); name another folder") from None
    if not isinstance(content, dict):
        raise DataError(f"{path} is damaged (no settings in it); name another folder")
    return content


def _plain(value: Any) -> Any:
    """A value as JSON gives it back."""
    return json.loads(json.dumps(value, default=str))
