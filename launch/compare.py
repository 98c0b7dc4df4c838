"""Trains the same models on the same data with several optimizers, settings and seeds.

Example: `python -m launch.compare --data=data/frappe --out=out/compared --seeds=3
--optimizers="adam;adamar:alpha=1e-4;helen:rho=[0.01,0.05],base_optimizer=adamar"`. An argument in
square brackets is an axis of a grid; the validation split chooses its best point. `--plan=FILE`
reads the flags from a YAML file. See docs/compare.md.
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
from launch.comparison.clock import TimeUpError
from launch.comparison.grid import Contender, parse_contenders, parse_grid
from launch.comparison.plan import Plan, load_plan, split_names
from launch.comparison.report import FILES, runs_of, save_model_results, save_summary
from launch.comparison.running import Compared, Computer
from launch.quiet import quiet
from launch.run.config import RunConfig
from launch.run.data import load_run_data, save_run_data
from launch.run.flags import (
    define_progressive_flags,
    define_run_flags,
    progressive_flags,
    run_settings,
)
from launch.run.history import SELECTORS
from launch.run.memory import MOST_ROWS
from launch.run.results import Runs
from tf_helen.stores import gfile
from zoo.data.files import DataError, join
from zoo.data.identity import check_identity
from zoo.data.locks import FolderLock

__all__ = ["Contender", "compare", "compare_plan", "parse_contenders"]

_FLAGS = flags.FLAGS
TIME_UP = 75  # EX_TEMPFAIL of sysexits.h: the command can be tried again
_OF_A_PLAN = (
    "seeds",
    "tuning_seeds",
    "select",
    "budget",
    "sample_seed",
    "baseline",
    "time_budget",
    "cells",
    "cache_rows",
)


def compare(
    common: RunConfig, contenders: Sequence[Contender], seeds: Sequence[int], title: str = ""
) -> Runs:
    """Trains every optimizer with every seed and writes tables and curves to `common.out`.

    For each seed, all optimizers start from the same weights and read the rows in the same order.

    Args:
        common: `RunConfig` of all runs; `out` is the folder of the comparison.
        contenders: sequence of `Contender`, the optimizers.
        seeds: sequence of ints; each optimizer has one run per seed.
        title: string, title of the plot.

    Returns:
        Dict from label to its runs, in the order of the seeds.

    Raises:
        ValueError: see `launch.run.training.train`.
    """
    (compared,) = compare_plan(Plan(common, contenders, seeds=seeds), title).values()
    return runs_of(compared)


def compare_plan(plan: Plan, title: str = "", show: bool = False) -> dict[str, list[Compared]]:
    """Computes a plan and writes tables and curves; several models have a folder each.

    Args:
        plan: what to compute.
        title: string, title of the plot.
        show: print the tables of each model as soon as it is computed.

    Returns:
        Dict from model to its results, an entry per contender.

    Raises:
        TimeUpError: if the time budget is spent; the computed cells are kept.
        ValueError: see `launch.run.training.train`.
    """
    out = plan.common.out
    with FolderLock(out):
        remove_temporaries(out, FILES)
        name = zoo.Schema.load(plan.common.data).name
        computer = Computer(plan)
        _check_folder(plan, computer)
        found, tests = {}, {}
        for model in plan.models:
            folder = join(out, model) if len(plan.models) > 1 else out
            found[model] = computer.compute(model)
            text, tests[model] = save_model_results(folder, plan, name, model, found[model], title)
            if show:
                print(f"\n{model} on {plan.common.data}\n\n{text}", flush=True)
        if len(plan.models) > 1:
            text = save_summary(plan, name, tests)
            if show:
                print(f"\n{len(plan.models)} models\n\n{text}", flush=True)
        return found


def _check_folder(plan: Plan, computer: Computer) -> None:
    """Raises unless the folder is new, or holds a comparison of the same data to continue."""
    out, common = plan.common.out, plan.common
    if gfile.exists(out) and not gfile.isdir(out):
        raise DataError(f"{out} is a file; name a folder for the comparison")
    there = [name for name in (*FILES, "cells") if gfile.exists(join(out, name))]
    if there and not (common.resume or common.overwrite):
        raise DataError(
            f"{out} already holds a comparison ({there[0]}); continue it with --resume, replace it "
            "with --overwrite, or name another folder"
        )
    before = load_run_data(out) if common.resume else None
    if before is not None:
        check_identity(before, computer.identity, common.data, f"the comparison in {out}")
    save_run_data(out, computer.identity)


def _main(argv: Sequence[str]) -> None:
    del argv
    # The objects that the imports made stay: without this, each collection visits all of them.
    gc.freeze()
    plan = _plan()
    if not gfile.isdir(plan.common.data):
        raise DataError(f"no data folder {plan.common.data}; prepare it with launch.prepare")
    try:
        compare_plan(plan, show=True)
    except TimeUpError as error:
        print(f"\n{error}; continue with --resume", file=sys.stderr)
        sys.exit(TIME_UP)
    print(f"\nwritten to {plan.common.out}: results.json, results.md, curves.png")


def _plan() -> Plan:
    """Makes the plan from the flags; those that are not given come from `--plan`."""
    known = ["data", "out", "model", "model_args", "optimizers", "models", "grid", "learning_rate"]
    known += ["epochs", "batch_size", "precision", "strategy", "cpu_replicas", "max_lost"]
    known += ["checkpoint_every", "save_models", "progressive", "sweep", *_OF_A_PLAN]
    known += ["frequency_auc", "frequency_field"]
    file = load_plan(_FLAGS.plan, known) if _FLAGS.plan else {}
    file = {key: value for key, value in file.items() if not _FLAGS[key].present}

    def value(name: str, read: Any = None) -> Any:
        if name in file:
            return file[name]
        return getattr(_FLAGS, name) if read is None else read(getattr(_FLAGS, name))

    settings = run_settings(file)
    settings["frequency_auc"] = value("frequency_auc", _edges)
    settings["frequency_field"] = value("frequency_field")
    progressive = file.get("progressive", progressive_flags(("epochs",)))
    if progressive is not None:
        settings |= {"progressive": progressive, "epochs": 1}
    return Plan(
        RunConfig(**settings, save_models=value("save_models")),
        value("optimizers", parse_contenders),
        value("models", split_names),
        value("grid", parse_grid),
        sweep=value("sweep", split_names),
        command=f"python -m launch.compare {shlex.join(sys.argv[1:])}",
        **{name: value(name) for name in _OF_A_PLAN},
    )


def _edges(texts: Sequence[str]) -> list[int] | None:
    return cli.whole_numbers("frequency_auc", texts) or None


def _define_flags() -> None:
    quiet()
    define_run_flags()
    flags.DEFINE_string("out", None, "Folder of the comparison.")
    flags.DEFINE_string("plan", None, "YAML file with values of these flags; flags override it.")
    flags.DEFINE_string("model", "deepfm", "Model of the zoo.")
    flags.DEFINE_string("models", "", "Several models, separated by commas, instead of --model.")
    flags.DEFINE_string(
        "optimizers",
        "adam,adamar,helen",
        "name:key=value,key=[value,value];name;...; a list is an axis of a grid.",
    )
    flags.DEFINE_string(
        "grid",
        "",
        "Axes of all optimizers: arguments of the model, batch_size and so on, such as "
        "embedding_l2=[0,1e-5,1e-4].",
    )
    flags.DEFINE_string(
        "sweep",
        "",
        "Axes of the optimizers, separated by commas; each of their values is a contender.",
    )
    flags.DEFINE_float(
        "learning_rate", None, "Learning rate of all optimizers. Default: that of each."
    )
    flags.DEFINE_integer("seeds", 1, "Number of runs per optimizer, with the seeds 0, 1, ...")
    flags.DEFINE_integer("tuning_seeds", 1, "Number of runs of each point of a grid.")
    flags.DEFINE_enum(
        "select", "auc", SELECTORS, "Validation metric that chooses the epoch and the point."
    )
    flags.DEFINE_integer(
        "budget", None, "Most points per optimizer; a larger grid is sampled at random."
    )
    flags.DEFINE_integer("sample_seed", 0, "Seed of that sample.")
    flags.DEFINE_string(
        "baseline", None, "Label of the optimizer to test the others against. Default: the first."
    )
    flags.DEFINE_float(
        "time_budget",
        None,
        f"Seconds after which no cell begins; the exit status is then {TIME_UP}.",
    )
    flags.DEFINE_string(
        "cells", None, "Folder of cells, which several comparisons may share. Default: OUT/cells."
    )
    flags.DEFINE_integer(
        "cache_rows", MOST_ROWS, "Data with at most this many rows are kept in memory; 0: none."
    )
    flags.DEFINE_integer("epochs", 4, "Epochs.")
    flags.DEFINE_list(
        "frequency_auc",
        [],
        "Lowest counts of buckets, such as 1,10,100: the AUC is also measured by how often the "
        "rarest id of a row occurs in the training split.",
    )
    flags.DEFINE_string(
        "frequency_field", None, "The field whose id decides the bucket, not the rarest id."
    )
    flags.DEFINE_boolean("resume", False, "Continue the comparison in --out, whose cells are kept.")
    flags.DEFINE_boolean("save_models", False, "Save checkpoints and the best models.")
    define_progressive_flags()


if __name__ == "__main__":
    _define_flags()
    cli.run(_main)
