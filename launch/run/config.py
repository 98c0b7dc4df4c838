"""The settings of a training run."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from typing import Any

from launch.run.arguments import make_callbacks, split_callbacks
from launch.run.frequency_scores import bucket_names
from launch.run.progressive_settings import Progressive
from launch.run.strategies import STRATEGIES
from tf_helen.core.checks import number_above_zero, one_of, whole_number
from tf_helen.stores import gfile
from tf_helen.stores.schemes import check_reachable, is_native
from zoo.data.files import DataError, join, read_text, write_json
from zoo.data.ledger import MAX_LOST

FILE_NAME = "config.json"
LEDGER = "ledger.json"  # the counts of damaged records
PRECISIONS = ("float32", "mixed_bfloat16", "mixed_float16")
_HELP = "replace the run with --overwrite, or name another folder"
# Files that a run writes. LEDGER is not among them: a run that fails before it begins writes it.
FILES = (
    "history.csv",
    "best.keras",
    "checkpoints",
    "curves.png",
    "data.json",
    "scores.json",
    "progressive.json",
    "progressive.png",
    "warm_start.json",
    "predictions.npz",
    "evaluations.csv",
    "tensorboard",
    "report.html",
)
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
    "tensorboard",
    "cluster_wait",
    "steps_per_execution",
    "warm_start_data",
)


@dataclasses.dataclass(frozen=True)
class RunConfig:
    """The settings of one training run.

    Args:
        data: string, prepared data folder with the splits train, valid and (if any) test.
        out: string, folder of the run.
        model: string, name of the model, see `zoo.list_models()`. Defaults to "deepfm".
        model_args: dict, arguments of the model. Defaults to `{}`.
        optimizer: string, name of the optimizer. Defaults to "adam".
        learning_rate: float. Defaults to `None`: the optimizer's default.
        optimizer_args: dict, arguments of the optimizer; for Helen, `frequency="dataset"` uses the
            counts of the training split, from the vocabularies. Defaults to `{}`.
        callbacks: names of callbacks, such as "meda", which re-initializes the embedding tables at
            the start of each epoch, or with arguments, "magnitude_pruning(sparsity=0.9)". Defaults
            to none.
        epochs: int, maximum number of epochs. Defaults to 4.
        batch_size: int, rows per step, over all replicas. Defaults to 512.
        seed: int, seed of the initial weights, the order of the rows and dropout. Defaults to 0.
        precision: "float32", "mixed_bfloat16" or "mixed_float16". Defaults to "float32".
        strategy: "none", "mirrored", "multi_worker" or "parameter_server", see docs/scale.md.
            Defaults to "none".
        cpu_replicas: int, number of logical CPUs that "mirrored" uses instead of GPUs; 0: GPUs.
            Defaults to 0.
        cluster_wait: float, seconds that the tasks of a cluster wait for each other. Defaults to
            60.
        max_lost: float, maximum share of damaged records per split, in [0, 1].
        resume: boolean, whether to continue the run in `out`, if any. Defaults to `False`.
        overwrite: boolean, whether to replace the run in `out`, if any, when the new run begins.
            Defaults to `False`.
        steps_per_execution: int, steps that TensorFlow runs at a time, without Python between them;
            or "auto", about 8192 rows and at most 16 steps and a 64th of an epoch. Progress,
            checkpoints and SIGTERM wait for the end of an execution. Defaults to 1.
        checkpoint_every: float, minutes between two checkpoints within an epoch; 0: one per step.
            One is also written after every epoch and on SIGTERM. Defaults to 10.
        patience: int, number of epochs without a better validation AUC after which the run stops;
            0: never. Defaults to 0.
        reduce_lr: float in (0, 1), factor of the learning rate after every epoch without a better
            validation AUC, down to 1e-6. Defaults to `None`: the learning rate is not changed.
        preset: string, name of the preset that the settings come from, see `zoo.list_presets()`.
            Defaults to `None`.
        eval_test_each_epoch: boolean, whether to evaluate the test split after every epoch.
            Defaults to `False`.
        evaluate_test: boolean, whether to evaluate the test split at the end; if not, it is not
            read. Defaults to `True`.
        frequency_auc: ints, the lowest count of each bucket but the first, such as (1, 10, 100).
            Whenever the test split is evaluated after an epoch (the validation split, if there is
            none), its AUC is also measured by how often the rarest id of a row occurs in the
            training split. Defaults to `None`: it is not.
        frequency_field: string, the field whose id decides the bucket of a row in place of its
            rarest id. Defaults to `None`.
        save_models: boolean, whether to write checkpoints and the best model; a run without them
            cannot be resumed. Defaults to `True`.
        progress: boolean, whether to print progress. Defaults to `True`.
        tensorboard: boolean, whether to write scalars for TensorBoard to the folder `tensorboard`
            of the run. Defaults to `False`.
        progressive: `Progressive` or a dict of its arguments, for one pass over time in which each
            row is scored before it is trained, see `launch.run.progressive`; `epochs` then has no
            effect. Defaults to `None`: training by epochs.
        warm_start: string, folder of an earlier run; the run starts with its rows, slots, row
            records and dense weights, see `launch.run.warm_start`. Defaults to `None`.
        warm_start_data: string, prepared data folder of that run, or a copy. Defaults to `None`:
            the folder that it was trained with.
        validate: boolean, whether to evaluate the validation split after every epoch; if not, it is
            not read, and the last epoch counts as the best. Defaults to `True`.

    Raises:
        ValueError: on a value out of range, or a folder on a file system that TensorFlow does not
            support.

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
    cluster_wait: float = 60.0
    max_lost: float = MAX_LOST
    resume: bool = False
    overwrite: bool = False
    steps_per_execution: int | str = 1
    checkpoint_every: float = 10.0
    patience: int = 0
    reduce_lr: float | None = None
    preset: str | None = None
    eval_test_each_epoch: bool = False
    evaluate_test: bool = True
    frequency_auc: Sequence[int] | None = None
    frequency_field: str | None = None
    save_models: bool = True
    progress: bool = True
    tensorboard: bool = False
    progressive: Progressive | None = None
    warm_start: str | None = None
    warm_start_data: str | None = None
    validate: bool = True

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
        if self.tensorboard and not is_native(self.out):
            raise ValueError(
                "TensorFlow writes scalars to local folders and gs:// only. Received: "
                f"tensorboard=True and out={self.out!r}; leave tensorboard out, or name another "
                "folder"
            )
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
            raise ValueError("`resume` and `overwrite` cannot both be set; leave one out")
        factor = self.reduce_lr
        if factor is not None and (isinstance(factor, bool) or not 0 < factor < 1):
            raise ValueError(f"`reduce_lr` must be a factor in (0, 1). Received: {factor!r}")
        self._check_frequency()
        if self.progressive is not None:
            self._check_progressive()
        self._check_start()
        one_of("precision", self.precision, PRECISIONS)
        one_of("strategy", self.strategy, STRATEGIES)
        number_above_zero("cluster_wait", self.cluster_wait)
        if self.steps_per_execution != "auto":
            whole_number("steps_per_execution", self.steps_per_execution)
            whole = self.progressive is None and self.strategy != "parameter_server"
            if self.steps_per_execution > 1 and not whole:
                raise ValueError(
                    f"steps_per_execution={self.steps_per_execution} has no effect in a "
                    "progressive run and with strategy=parameter_server; leave it out"
                )
        if self.strategy in ("parameter_server", "multi_worker"):
            self._check_cluster()

    def _check_frequency(self) -> None:
        edges = self.frequency_auc
        if edges is None:
            if self.frequency_field is not None:
                raise ValueError(
                    f"frequency_field={self.frequency_field!r} has no effect without "
                    "`frequency_auc`; add frequency_auc=1,10,100 or leave it out"
                )
            return
        try:
            names = bucket_names(edges)
        except (TypeError, ValueError):
            names = []
        if not names:
            raise ValueError(
                "`frequency_auc` must be the lowest counts of the buckets, ascending integers >= 1 "
                f"such as 1,10,100. Received: frequency_auc={edges!r}"
            )
        object.__setattr__(self, "frequency_auc", tuple(int(edge) for edge in edges))

    def _check_start(self) -> None:
        if self.warm_start_data is not None and self.warm_start is None:
            raise ValueError(
                f"`warm_start_data` needs `warm_start`, the folder of a run. Received: "
                f"warm_start_data={self.warm_start_data!r}; add it, or leave this out"
            )
        for name in ("patience", "reduce_lr"):
            if not self.validate and getattr(self, name):
                raise ValueError(
                    f"`{name}` needs scores of the validation split. Received: {name}="
                    f"{getattr(self, name)!r} with validate=False; leave one out"
                )

    @property
    def needs_time(self) -> bool:
        """Whether the optimizer needs the time of each row, for `clock="event"`."""
        return self.optimizer_args.get("clock") == "event"

    def _check_cluster(self) -> None:
        if self.needs_time:
            raise ValueError(
                "clock=event needs steps in the order of time, in one process. Received: strategy="
                f"{self.strategy}; use clock=steps or strategy=none"
            )
        if self.cpu_replicas:
            raise ValueError(
                f"cpu_replicas={self.cpu_replicas} has no effect with strategy={self.strategy}, "
                "whose workers have one replica each on CPUs; add workers to TF_CONFIG"
            )
        if self.frequency_auc is not None and self.strategy == "multi_worker":
            raise ValueError(
                "`frequency_auc` needs the scores of all rows in one process, and with "
                "strategy=multi_worker each worker scores a part; use strategy=none"
            )
        if self.progressive is not None:
            why = {
                "parameter_server": "trains its rows in order, and several workers train at once",
                "multi_worker": "runs in one process",
            }
            raise ValueError(
                f"a progressive run {why[self.strategy]}; with strategy={self.strategy} this is "
                "not possible. Use strategy=none"
            )

    def _check_progressive(self) -> None:
        if isinstance(self.progressive, Mapping):
            object.__setattr__(self, "progressive", Progressive(**self.progressive))
        for name, why in (
            ("patience", "there is one pass"),
            ("reduce_lr", "there is one pass"),
            ("callbacks", "they act between epochs"),
            ("frequency_auc", "it counts ids of rows that are still to come"),
        ):
            if getattr(self, name):
                raise ValueError(
                    f"`{name}` has no effect in a progressive run: {why}. Received: "
                    f"{name}={getattr(self, name)!r}; leave it out"
                )
        for name, value, fix in (
            ("frequency", "dataset", "it counts rows that are still to come; use batch or running"),
            ("alpha", "auto", "it is found after the first epoch, and there is one; use a number"),
        ):
            if self.optimizer_args.get(name) == value:
                raise ValueError(f"`{name}={value}` in a progressive run: {fix}")

    def shared(self) -> dict[str, Any]:
        """Returns the settings that all workers of a run must have, as values of JSON."""
        own = ("data", "out", "overwrite", "progress", "cluster_wait", "preset")
        settings = _plain(dataclasses.asdict(self))
        return {name: value for name, value in settings.items() if name not in own}

    def save(self) -> None:
        """Writes `config.json` to the run's folder."""
        self.save_to(self.out)

    def save_to(self, folder: str) -> None:
        """Writes `config.json` to another folder."""
        write_json(join(folder, FILE_NAME), _plain(dataclasses.asdict(self)))

    def check_folder(self) -> None:
        """Raises unless the run's folder is free or contains the run to resume or replace.

        Raises:
            DataError: if it contains a run and neither `resume` nor `overwrite` is set, a run with
                other settings, or files of a run without its settings.
        """
        path = join(self.out, FILE_NAME)
        if gfile.exists(self.out) and not gfile.isdir(self.out):
            raise DataError(f"{self.out} is a file; name a folder for the run")
        if not gfile.exists(path):
            if there := files_of_a_run(self.out):
                raise DataError(
                    f"{self.out} holds {there[0]} but no {FILE_NAME}, so the settings of that run "
                    "are unknown; name another folder, or move it"
                )
            return
        if self.overwrite:
            return
        if not self.resume:
            raise DataError(
                f"{self.out} already holds a run; continue it with --resume, replace it with "
                "--overwrite, or name another folder"
            )
        before = load_config(self.out)
        before.setdefault("validate", True)
        now = _plain(dataclasses.asdict(self))
        for name, value in now.items():
            if name not in _MAY_CHANGE and _fixed(before.get(name)) != _fixed(value):
                raise DataError(
                    f"the run in {self.out} has {name}={before.get(name)!r}. Received: "
                    f"{name}={value!r}; resume with the old value, or name another folder"
                )


def _fixed(value: Any) -> Any:
    """Returns a setting without what may change on resuming: shards and capacities of tables."""
    if not isinstance(value, dict):
        return value
    fixed = {key: each for key, each in value.items() if key != "shards"}
    if fixed.get("dynamic") is not None:
        given = fixed["dynamic"] if isinstance(fixed["dynamic"], dict) else {}
        fixed["dynamic"] = {key: each for key, each in given.items() if key != "capacity"}
    return fixed


def files_of_a_run(folder: str) -> list[str]:
    """Returns the files of a run in a folder, in a fixed order."""
    return [name for name in FILES if gfile.exists(join(folder, name))]


def load_config(folder: str) -> dict[str, Any]:
    """Reads `config.json`, the settings of a run.

    Args:
        folder: string, folder of the run.

    Returns:
        Dict, as JSON holds the arguments of `RunConfig`; those of older versions may be missing.

    Raises:
        DataError: if the file is damaged.

    Example:
        >>> load_config("out/frappe")["optimizer"]  # doctest: +SKIP
        'adam'
    """
    path = join(folder, FILE_NAME)
    try:
        content = json.loads(read_text(path))
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path} is damaged ({error}); {_HELP}") from None
    if not isinstance(content, dict):
        raise DataError(f"{path} is damaged (it contains no settings); {_HELP}")
    content.setdefault("callbacks", [])
    arguments, named = split_callbacks(content.get("optimizer_args", {}))
    if named:  # written by version 0.1
        content |= {"optimizer_args": arguments, "callbacks": [*named]}
    return content


def _plain(value: Any) -> Any:
    """Returns a value after a round trip through JSON."""
    return json.loads(json.dumps(value, default=str))
