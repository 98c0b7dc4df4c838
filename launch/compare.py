"""Trains the same model on the same data with several optimizers and seeds.

Example: `python -m launch.compare --data=data/frappe --out=out/compared --seeds=3
--optimizers="adam;adamar:alpha=1e-4;helen:rho=0.01,base_optimizer=adamar"`.
"""

from __future__ import annotations

import contextlib
import dataclasses
import re
from collections.abc import Sequence
from typing import Any

import tensorflow as tf
from absl import flags

import zoo
from launch import cli
from launch.cleaning import clean_run, remove_run, remove_temporaries
from launch.quiet import quiet
from launch.run.arguments import (
    make_callbacks,
    make_optimizer,
    parse_arguments,
    split_callbacks,
)
from launch.run.config import RunConfig
from launch.run.data import check_run_data, save_run_data
from launch.run.flags import define_run_flags, run_settings
from launch.run.history import History, load_history
from launch.run.plots import plot_runs
from launch.run.results import Runs, results_table, save_results
from launch.run.training import train
from zoo.data.files import DataError, join
from zoo.data.locks import FolderLock

_FLAGS = flags.FLAGS
_VARYING = [
    "out",
    "optimizer",
    "optimizer_args",
    "callbacks",
    "seed",
    "resume",
    "overwrite",
    "checkpoint_every",
    "progress",
    "eval_test_each_epoch",
]


@dataclasses.dataclass(frozen=True)
class Contender:
    """An optimizer of a comparison.

    Attributes:
        label: string, its name and arguments, as in the tables.
        optimizer: string, its name.
        arguments: dict, its arguments.
    """

    label: str
    optimizer: str
    arguments: dict[str, Any]

    @property
    def folder(self) -> str:
        """A folder name derived from the label."""
        return re.sub(r"[^A-Za-z0-9.]+", "_", self.label).strip("_")


def parse_contenders(text: str) -> list[Contender]:
    """Reads `name:key=value,key=value;name;...`, or plain names separated by commas.

    Args:
        text: string, such as `adam;adamar:alpha=1e-4;helen:rho=0.01`.

    Returns:
        The optimizers in order.

    Raises:
        ValueError: on an unknown optimizer or argument, a bad value, or a repeated optimizer.

    Example:
        >>> [c.label for c in parse_contenders("adam;adamar:alpha=1e-4")]
        ['adam', 'adamar(alpha=0.0001)']
    """
    plain = ":" not in text and ";" not in text
    contenders = []
    for part in filter(None, (p.strip() for p in text.split("," if plain else ";"))):
        name, _, arguments = part.partition(":")
        given = parse_arguments(arguments)
        # Created once to report errors before hours of training.
        checked, callbacks = split_callbacks(given)
        checked = {k: v for k, v in checked.items() if (k, v) != ("frequency", "dataset")}
        make_optimizer(name.strip(), None, checked)
        make_callbacks(callbacks)
        inner = ", ".join(f"{key}={value}" for key, value in given.items())
        label = f"{name.strip()}({inner})" if inner else name.strip()
        contenders.append(Contender(label, name.strip(), given))
    labels = [contender.label for contender in contenders]
    if not labels or len(set(labels)) < len(labels):
        raise ValueError(f"--optimizers={text!r}: name at least one optimizer, and each only once")
    return contenders


def compare(
    common: RunConfig, contenders: Sequence[Contender], seeds: Sequence[int], title: str = ""
) -> Runs:
    """Trains every optimizer with every seed and writes tables and curves to `common.out`.

    For each seed, all optimizers start from the same weights and read the rows in the same order.

    Args:
        common: `RunConfig` of all runs; `out` is the folder of the comparison.
        contenders: the optimizers.
        seeds: one run per optimizer and seed.
        title: string, title of the plot.

    Returns:
        Dict from label to its runs, in the order of the seeds.

    Raises:
        ValueError: see `launch.run.training.train`.
    """
    with FolderLock(common.out):
        remove_temporaries(common.out, ("results.json", "results.md", "curves.png"))
        return _compare(common, contenders, seeds, title)


def _compare(
    common: RunConfig, contenders: Sequence[Contender], seeds: Sequence[int], title: str
) -> Runs:
    runs: dict[str, list[History]] = {}
    for contender in contenders:
        for seed in seeds:
            if common.progress:
                print(f"{contender.label}, seed {seed}", flush=True)
            config = dataclasses.replace(
                common,
                out=join(common.out, contender.folder, f"seed_{seed}"),
                optimizer=contender.optimizer,
                optimizer_args=contender.arguments,
                seed=seed,
                eval_test_each_epoch=True,
            )
            runs.setdefault(contender.label, []).append(_run_or_reuse(config))
    table = results_table(runs)
    name = zoo.Schema.load(common.data).name
    settings = dataclasses.asdict(common)
    for key in _VARYING:
        settings.pop(key)
    optimizers = {c.label: {"optimizer": c.optimizer, **c.arguments} for c in contenders}
    settings |= {"data": name, "seeds": list(seeds), "optimizers": optimizers}
    save_results(common.out, runs, settings, table)
    curves = {label: [history.epochs for history in several] for label, several in runs.items()}
    plot_runs(curves, join(common.out, "curves.png"), title or f"{name}: {common.model}")
    return runs


def _run_or_reuse(config: RunConfig) -> History:
    """Trains a run, or, with `resume`, reads a finished run from its folder."""
    with FolderLock(config.out):
        return _run_or_reuse_locked(config)


def _run_or_reuse_locked(config: RunConfig) -> History:
    clean_run(config.out)
    config.check_folder()
    epochs = []
    if config.resume:
        # With checkpoints, a damaged history is rewritten from them.
        with contextlib.suppress(*((DataError,) if config.save_models else ())):
            epochs = load_history(config.out)
    if config.resume and len(epochs) >= config.epochs:
        save_run_data(config.out, check_run_data(config.out, config.data))
        return History(tuple(epochs[: config.epochs]))
    if not (config.save_models or config.overwrite):
        remove_run(config.out)  # an unfinished run without a checkpoint cannot be resumed
    ledger = zoo.Ledger()
    history = train(config, ledger)
    if config.progress and ledger.total_lost:
        print(f"damaged records were skipped\n{ledger.report()}")
    return history


def _main(argv: Sequence[str]) -> None:
    del argv
    settings = run_settings()
    if _FLAGS.seeds < 1:
        raise ValueError(f"--seeds={_FLAGS.seeds}; use at least 1")
    contenders = parse_contenders(_FLAGS.optimizers)
    common = RunConfig(
        **settings,
        save_models=_FLAGS.save_models,
    )
    zoo.get_class(common.model)
    if not tf.io.gfile.isdir(common.data):
        raise DataError(f"no data folder {common.data}; prepare it with launch.prepare")
    runs = compare(common, contenders, range(_FLAGS.seeds))
    print(f"\n{common.model} on {common.data}, {_FLAGS.seeds} seeds")
    print(results_table(runs))
    print(f"\nwritten to {common.out}: results.json, results.md, curves.png")


def _define_flags() -> None:
    quiet()
    define_run_flags()
    flags.DEFINE_string("out", None, "Folder of the comparison.")
    flags.DEFINE_string("model", "deepfm", "Model of the zoo.")
    flags.DEFINE_string("optimizers", "adam,adamar,helen", "name:key=value,...;name;...")
    flags.DEFINE_float(
        "learning_rate", None, "Learning rate of all optimizers; by default that of each optimizer."
    )
    flags.DEFINE_integer("seeds", 1, "Number of runs per optimizer, with the seeds 0, 1, ...")
    flags.DEFINE_integer("epochs", 4, "Epochs.")
    flags.DEFINE_boolean(
        "resume", False, "Continue the comparison in --out; finished runs are kept."
    )
    flags.DEFINE_boolean("save_models", False, "Save checkpoints and the best models.")


if __name__ == "__main__":
    _define_flags()
    cli.run(_main)
