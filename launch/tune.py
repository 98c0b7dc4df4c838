"""Searches the settings of a model and an optimizer on a data set.

Example: `python -m launch.tune --data=data/frappe --out=out/tuned --model=dnn --optimizer=helen
--space="learning_rate=log(1e-4,1e-2);rho=[0.01,0.05];dropout=uniform(0,0.5)" --trials=30`. The
validation split gives the scores; the test split is not read. `--resume` continues a search that
was killed. See docs/compare.md.
"""

from __future__ import annotations

import gc
import shlex
import sys
from collections.abc import Sequence
from typing import Any

from absl import flags

import zoo
from launch import cli
from launch.cleaning import remove_temporaries
from launch.comparison.plan import load_plan
from launch.quiet import quiet
from launch.run.arguments import parse_arguments
from launch.run.config import RunConfig
from launch.run.flags import (
    define_progressive_flags,
    define_run_flags,
    progressive_flags,
    run_settings,
)
from launch.run.history import SELECTORS
from launch.run.memory import MOST_ROWS
from launch.search.report import FILES, save_search
from launch.search.searching import PRUNERS, STUDY, Search, Trial, search
from launch.search.space import parse_space, read_space
from tf_helen.stores import gfile
from zoo.data.files import DataError, join
from zoo.data.locks import FolderLock

_FLAGS = flags.FLAGS
_OF_A_RUN = ("data", "out", "model", "model_args", "learning_rate", "epochs", "batch_size")
_OF_A_RUN += ("precision", "strategy", "cpu_replicas", "max_lost")
_OF_A_SEARCH = ("trials", "seeds", "select", "sampler_seed", "startup", "prune", "time_budget")
_OF_A_SEARCH += ("cells", "cache_rows")


def tune(wanted: Search, command: str = "") -> tuple[list[Trial], str]:
    """Runs or continues a search, and writes its table and plot to its folder.

    Args:
        wanted: the search. With `common.resume` it continues the study in the folder; with
            `common.overwrite` it replaces the study and keeps the cells.
        command: string, the command line, for the results.

    Returns:
        The trials, and the best setting as text.

    Raises:
        DataError: if the folder holds the study of another search, or holds a study and neither
            `resume` nor `overwrite` is set.
        ValueError: see `launch.run.training.train`.
    """
    out, common = wanted.common.out, wanted.common
    with FolderLock(out):
        study = join(out, STUDY)
        if gfile.exists(out) and not gfile.isdir(out):
            raise DataError(f"{out} is a file; name a folder for the search")
        if gfile.exists(study):
            if common.overwrite:
                _remove(study)
            elif not common.resume:
                raise DataError(
                    f"{out} already holds a search; continue it with --resume, replace it with "
                    "--overwrite, or name another folder"
                )
        name = zoo.Schema.load(common.data).name
        gfile.makedirs(out)
        remove_temporaries(out, FILES)
        trials = search(wanted)
        return trials, save_search(wanted, trials, name, command)


def _remove(study: str) -> None:
    """Removes a study and the files of a transaction that a killed process left."""
    for ending in ("", "-journal", "-wal", "-shm"):
        if gfile.exists(study + ending):
            gfile.remove(study + ending)


def _main(argv: Sequence[str]) -> None:
    del argv
    # The objects that the imports made stay: without this, each collection visits all of them.
    gc.freeze()
    wanted = _search()
    if not gfile.isdir(wanted.common.data):
        raise DataError(f"no data folder {wanted.common.data}; prepare it with launch.prepare")
    trials, text = tune(wanted, f"python -m launch.tune {shlex.join(sys.argv[1:])}")
    if len(trials) < wanted.trials:
        left = wanted.trials - len(trials)
        print(f"\nthe time budget is spent: {left} trials are left; continue with --resume")
    print(f"\n{text}\n\nwritten to {wanted.common.out}: {', '.join(FILES)}")


def _search() -> Search:
    """Makes the search from the flags; those that are not given come from `--plan`."""
    known = [*_OF_A_RUN, *_OF_A_SEARCH, "optimizer", "optimizer_args", "progressive", "space"]
    file = load_plan(_FLAGS.plan, known, {"space": read_space}) if _FLAGS.plan else {}
    file = {key: value for key, value in file.items() if not _FLAGS[key].present}

    def value(name: str, read: Any = None) -> Any:
        if name in file:
            return file[name]
        return getattr(_FLAGS, name) if read is None else read(getattr(_FLAGS, name))

    settings = run_settings(file)
    progressive = file.get("progressive", progressive_flags(("epochs",)))
    if progressive is not None:
        settings |= {"progressive": progressive, "epochs": 1}
    config = RunConfig(
        **settings,
        optimizer=value("optimizer"),
        optimizer_args=value("optimizer_args", parse_arguments),
        save_models=False,
        evaluate_test=False,
    )
    others = {name: value(name) for name in _OF_A_SEARCH}
    return Search(config, value("space", parse_space), **others)


def _define_flags() -> None:
    quiet()
    define_run_flags()
    flags.DEFINE_string("out", None, "Folder of the search.")
    flags.DEFINE_string("plan", None, "YAML file with values of these flags; flags override it.")
    flags.DEFINE_string("model", "deepfm", "Model of the zoo.")
    flags.DEFINE_string("optimizer", "adam", "Optimizer: adam, adamar, helen(adamar), ...")
    flags.DEFINE_string("optimizer_args", "", "Optimizer arguments that do not vary.")
    flags.DEFINE_string(
        "space",
        "learning_rate=log(1e-4,1e-2)",
        "Settings that vary, separated by ;: key=log(low,high), uniform(low,high), int(low,high), "
        "logint(low,high) or [value,value].",
    )
    flags.DEFINE_float("learning_rate", None, "Learning rate, if it does not vary.")
    flags.DEFINE_integer("epochs", 4, "Epochs.")
    flags.DEFINE_integer("trials", 20, "Number of trials, including those of earlier calls.")
    flags.DEFINE_integer("seeds", 1, "Number of runs per trial, with the seeds 0, 1, ...")
    flags.DEFINE_enum("select", "auc", SELECTORS, "Validation metric that is optimized.")
    flags.DEFINE_integer("sampler_seed", 0, "Seed of the sampler.")
    flags.DEFINE_integer(
        "startup", 10, "Trials drawn at random before the sampler uses the results."
    )
    flags.DEFINE_enum(
        "prune", "none", PRUNERS, "median: end a run whose best score is below the median."
    )
    flags.DEFINE_float("time_budget", None, "Seconds after which no trial begins.")
    flags.DEFINE_string("cells", None, "Folder of cells, as in launch.compare. Default: OUT/cells.")
    flags.DEFINE_integer(
        "cache_rows", MOST_ROWS, "Data with at most this many rows are kept in memory; 0: none."
    )
    flags.DEFINE_boolean("resume", False, "Continue the search in --out.")
    define_progressive_flags()


if __name__ == "__main__":
    _define_flags()
    cli.run(_main)
