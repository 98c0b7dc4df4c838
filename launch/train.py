"""Trains a model of the zoo on a prepared data folder.

Example: `python -m launch.train --data=data/frappe --out=out/frappe --optimizer=adamar
--optimizer_args=alpha=1e-4`, or with published settings: `--preset=frappe/deepfm --data=data/frappe
--out=out/frappe`. Continue an interrupted run with `--resume`. One pass over time, in which each
row is scored before it is trained: `--data=data/mind5k --out=out/mind5k --progressive`.
"""

import sys
from collections.abc import Sequence
from typing import Any, NoReturn

from absl import flags, logging

import zoo
from launch import cli
from launch.export import export_run
from launch.quiet import quiet
from launch.run.arguments import CALLBACKS, parse_arguments, split_outside_brackets
from launch.run.checkpoint_scores import score_checkpoints
from launch.run.cluster import read_cluster
from launch.run.config import RunConfig
from launch.run.flags import (
    clock_arguments,
    define_clock_flag,
    define_progressive_flags,
    define_run_flags,
    progressive_flags,
    run_settings,
)
from launch.run.history import History
from launch.run.plots import plot_runs
from launch.run.progressive import train_progressively
from launch.run.progressive_plot import plot_pass
from launch.run.published import (
    comparison,
    fit_warning,
    follows,
    preset_settings,
    published_of,
    save_scores,
)
from launch.run.server_watch import TaskLostError
from launch.run.serving_tasks import serve
from launch.run.strategies import STRATEGIES
from launch.run.sync_workers import leave
from launch.run.training import train
from zoo.data.files import join
from zoo.data.locks import FolderLock
from zoo.serving.export import check_export

_FLAGS = flags.FLAGS
_OF_EPOCHS, _OF_A_PASS = "adam", "adagrad"  # default optimizers


def _main(argv: Sequence[str]) -> None:
    del argv
    config = RunConfig(**_settings())
    if config.strategy == "parameter_server":
        cluster = read_cluster(config.strategy)
        if cluster.task_type == "evaluator":
            score_checkpoints(config, cluster, config.cluster_wait)
            return
        if cluster.task_type != "chief":
            serve(cluster, config.cluster_wait)
            return
    if config.strategy == "multi_worker" and not read_cluster(config.strategy).leads:
        _work(config)
    schema = zoo.Schema.load(config.data)
    if config.preset is not None:
        preset = zoo.preset(config.preset)
        print("\n".join(filter(None, (f"preset {preset.name}: {preset.source}", preset.note))))
        if warning := fit_warning(preset, schema):
            print(f"warning: {warning}", file=sys.stderr)
    try:
        with FolderLock(config.out):
            _run(config, schema)
    except TaskLostError as error:
        cli.end_at_once(error)


def _work(config: RunConfig) -> NoReturn:
    """Trains as a worker that writes nothing."""
    logging.set_verbosity(logging.ERROR)  # the first worker prints warnings
    try:
        train(config)
    except TaskLostError as error:
        cli.end_at_once(error)
    leave()


def _run(config: RunConfig, schema: zoo.Schema) -> None:
    saved = join(config.out, "saved_model")
    check_export(saved)  # before training starts
    ledger = zoo.Ledger()
    progressive = config.progressive is not None
    history = (train_progressively if progressive else train)(config, ledger)
    print(f"\n{config.model} with {config.optimizer} on {config.data}")
    print(history.table())
    if ledger.total_lost:
        print(f"\ndamaged records were skipped\n{ledger.report()}")
    title = f"{schema.name}: {config.model}"
    if progressive:
        curves = join(config.out, "progressive.png")
        plot_pass({config.optimizer: history}, curves, title)
    else:
        _compare(config, history, schema)
        curves = join(config.out, "curves.png")
        plot_runs({config.optimizer: [history.epochs]}, curves, title)
    export_run(config.out, config.data, saved)
    print(f"\nlearning curves: {curves}")
    print(f"serve raw features: python -m launch.predict --saved_model={saved} --input=rows.csv")


def _compare(config: RunConfig, history: History, schema: zoo.Schema) -> None:
    """Writes the test scores, and prints them next to published ones."""
    published = published_of(config, schema)
    save_scores(config, history, published)
    if published is not None:
        print("\n" + comparison(published, history, follows(config, published)))


def _progressive() -> dict[str, Any]:
    """Returns the settings of a pass over time; `None` for those that act between epochs."""
    progressive = progressive_flags(("epochs", "eval_test_each_epoch"))
    if progressive is None:
        return {}
    # A preset's; given as flags, they raise an error in `RunConfig`.
    none = {"patience": 0, "reduce_lr": None}
    none = {name: value for name, value in none.items() if not _FLAGS[name].present}
    return {"progressive": progressive, "epochs": 1, **none}


def _settings() -> dict[str, Any]:
    """Returns the arguments of `RunConfig`: the preset, if any, overridden by the flags."""
    settings = run_settings() | {
        "optimizer": _FLAGS.optimizer or (_OF_A_PASS if _FLAGS.progressive else _OF_EPOCHS),
        "optimizer_args": clock_arguments(parse_arguments(_FLAGS.optimizer_args)),
        "callbacks": tuple(part.strip() for part in split_outside_brackets(_FLAGS.callbacks)),
        "seed": _FLAGS.seed,
        "patience": _FLAGS.patience,
        "reduce_lr": _FLAGS.reduce_lr,
        "eval_test_each_epoch": _FLAGS.eval_test_each_epoch,
        "cluster_wait": _FLAGS.cluster_wait,
        "tensorboard": _FLAGS.tensorboard,
        "warm_start": _FLAGS.warm_start and _FLAGS.warm_start.rstrip("/"),
        "warm_start_data": _FLAGS.warm_start_data and _FLAGS.warm_start_data.rstrip("/"),
    }
    if _FLAGS.preset is None:
        return settings | _progressive()
    given = {name: value for name, value in settings.items() if _FLAGS[name].present}
    if _FLAGS.time_unit is not None:
        given["optimizer_args"] = settings["optimizer_args"]
    return settings | preset_settings(zoo.preset(_FLAGS.preset), given) | _progressive()


def _define_flags() -> None:
    quiet()
    define_run_flags(STRATEGIES)
    define_clock_flag()
    flags.DEFINE_float(
        "cluster_wait",
        60.0,
        "Seconds that the tasks of a cluster wait for each other (--strategy=multi_worker and "
        "parameter_server).",
    )
    flags.DEFINE_string(
        "preset",
        None,
        "Published settings, such as frappe/deepfm. Explicit flags override the preset. "
        "python -m launch.models --presets lists all presets.",
    )
    models = ", ".join(entry.name for entry in zoo.list_models())
    flags.DEFINE_string("out", None, "Folder of the run.")
    flags.DEFINE_string("model", "deepfm", f"Model: {models}.")
    flags.DEFINE_string(
        "optimizer",
        None,
        f"Optimizer: adam, adamar, helen(adamar), ... By default {_OF_EPOCHS}, and with "
        f"--progressive {_OF_A_PASS}, which is better in one pass (docs/results/one_pass.md).",
    )
    flags.DEFINE_float("learning_rate", None, "Learning rate; by default the optimizer's.")
    flags.DEFINE_string(
        "optimizer_args",
        "",
        "Optimizer arguments, e.g. rho=0.01,alpha=auto. frequency=dataset uses the counts of the "
        "training split for Helen.",
    )
    flags.DEFINE_string(
        "callbacks",
        "",
        f"Callbacks, separated by commas: {', '.join(CALLBACKS)}; with arguments: "
        "magnitude_pruning(sparsity=0.9,begin=2).",
    )
    flags.DEFINE_integer("epochs", 4, "Maximum number of epochs.")
    flags.DEFINE_integer("seed", 0, "Seed of weights, row order and dropout.")
    flags.DEFINE_boolean("resume", False, "Continue the run in --out from its last checkpoint.")
    flags.DEFINE_integer(
        "patience", 0, "Stop after this many epochs without a better validation AUC; 0: never."
    )
    flags.DEFINE_float(
        "reduce_lr",
        None,
        "Factor of the learning rate after every epoch without a better validation AUC, such as "
        "0.1.",
    )
    flags.DEFINE_boolean(
        "eval_test_each_epoch", False, "Evaluate the test split after every epoch too."
    )
    flags.DEFINE_boolean(
        "tensorboard", False, "Write scalars for TensorBoard to the folder tensorboard of the run."
    )
    flags.DEFINE_string(
        "warm_start",
        None,
        "Folder of an earlier run: start with its rows, slots and dense weights; ids are found by "
        "their values (docs/continual.md).",
    )
    flags.DEFINE_string(
        "warm_start_data",
        None,
        "Prepared data folder of the run of --warm_start, or a copy, if it was moved.",
    )
    define_progressive_flags()


if __name__ == "__main__":
    _define_flags()
    cli.run(_main)
