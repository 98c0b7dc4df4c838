"""Trains a model day by day: scores each day before training it, and exports after it.

Example: `python -m launch.days --data=data/monday,data/tuesday,data/wednesday --out=out/days
--model=dnn`. The next day: the same command with one more folder and `--resume`.
"""

import os
from collections.abc import Sequence

from absl import flags

import zoo
from launch import cli
from launch.continual.exports import SERVED
from launch.continual.settings import EXPORTS, MAX_AUC_DROP, Days
from launch.continual.training import PLOT, train_days
from launch.quiet import quiet
from launch.run.arguments import CALLBACKS, parse_arguments, split_outside_brackets
from launch.run.flags import clock_arguments, define_clock_flag, define_run_flags, run_settings

_FLAGS = flags.FLAGS
_DECIDED = ("data", "out", "resume", "overwrite")


def _main(argv: Sequence[str]) -> None:
    del argv
    ledger = zoo.Ledger()
    settings = _settings()
    result = train_days(settings, ledger)
    print(f"\n{settings.run['model']} with {settings.run['optimizer']}")
    print(result.table())
    if ledger.total_lost:
        print(f"\ndamaged records were skipped\n{ledger.report()}")
    plot = os.path.join(settings.out, PLOT)
    if result.scores:
        print(f"\nplot: {plot}")
    exported = [day.export for day in result.days if day.export]
    if exported:
        print(f"last good export: {exported[-1]} (serve {os.path.join(settings.out, SERVED)})")


def _settings() -> Days:
    run = run_settings()
    data, out, resume, overwrite = (run.pop(name) for name in _DECIDED)
    run |= {
        "optimizer": _FLAGS.optimizer,
        "optimizer_args": clock_arguments(parse_arguments(_FLAGS.optimizer_args)),
        "callbacks": tuple(part.strip() for part in split_outside_brackets(_FLAGS.callbacks)),
        "seed": _FLAGS.seed,
    }
    return Days(
        tuple(part.strip() for part in data.split(",") if part.strip()),
        out,
        run,
        export=_FLAGS.export,
        max_auc_drop=_FLAGS.max_auc_drop,
        keep=_FLAGS.keep,
        warm_start=_FLAGS.warm_start and _FLAGS.warm_start.rstrip("/"),
        resume=resume,
        overwrite=overwrite,
    )


def _define_flags() -> None:
    quiet()
    define_run_flags()
    define_clock_flag()
    _FLAGS["data"].help = "Prepared data folders, one per day, in order, separated by commas."
    models = ", ".join(entry.name for entry in zoo.list_models())
    flags.DEFINE_string("out", None, "Folder of the days.")
    flags.DEFINE_string("model", "deepfm", f"Model: {models}.")
    flags.DEFINE_string("optimizer", "adagrad", "Optimizer: adagrad, adamar, helen(adamar), ...")
    flags.DEFINE_float("learning_rate", None, "Learning rate; by default the optimizer's.")
    flags.DEFINE_string("optimizer_args", "", "Optimizer arguments, e.g. alpha=1e-4.")
    flags.DEFINE_string(
        "callbacks",
        "",
        f"Callbacks, separated by commas: {', '.join(CALLBACKS)}. meda re-initializes the tables "
        "at the start of each day, and keeps the tower.",
    )
    flags.DEFINE_integer("epochs", 1, "Epochs over each day.")
    flags.DEFINE_integer("seed", 0, "Seed of weights, row order and dropout.")
    flags.DEFINE_boolean(
        "resume", False, "Continue the days in --out; --data may name more days at its end."
    )
    flags.DEFINE_enum(
        "export",
        "full",
        EXPORTS,
        "After each kept day: a SavedModel (full); also its difference to the one before (delta); "
        "none.",
    )
    flags.DEFINE_float(
        "max_auc_drop",
        MAX_AUC_DROP,
        "A day whose AUC before training is more than this below that of the last kept day is not "
        "exported, and later days do not continue from it. 1: never.",
    )
    flags.DEFINE_integer(
        "keep", 2, "Kept days whose run, export and delta stay; scores of all days stay."
    )
    flags.DEFINE_string(
        "warm_start", None, "Folder of a run of launch.train that the first day continues from."
    )


if __name__ == "__main__":
    _define_flags()
    cli.run(_main, advice="the same command with --resume continues")
