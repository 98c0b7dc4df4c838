"""Flags that all training commands share."""

from collections.abc import Mapping, Sequence
from typing import Any

from absl import flags

from launch.run.arguments import parse_arguments
from launch.run.config import PRECISIONS
from launch.run.progressive_settings import Progressive
from launch.run.strategies import ONE_PROCESS
from tf_helen.core.checks import number_above_zero
from zoo.data.ledger import MAX_LOST

_FLAGS = flags.FLAGS


_SECONDS = {"seconds": 1.0, "minutes": 60.0, "hours": 3600.0, "days": 86400.0, "weeks": 604800.0}
_STRATEGIES = {
    "none": "one device",
    "mirrored": "all GPUs",
    "multi_worker": "the workers of TF_CONFIG, in step",
    "parameter_server": "the workers and servers of TF_CONFIG (docs/scale.md)",
}


def define_run_flags(strategies: Sequence[str] = ONE_PROCESS) -> None:
    """Defines the flags of a run, except those of the optimizer and the seed.

    Args:
        strategies: the allowed values of `--strategy`. Defaults to those in one process.
    """
    flags.DEFINE_string("data", None, "Prepared data folder, written by launch.prepare.")
    flags.DEFINE_string("model_args", "", "Model arguments, e.g. hidden_units=(64,32),dropout=0.1")
    flags.DEFINE_integer("batch_size", 512, "Rows per step, over all replicas.")
    flags.DEFINE_string(
        "steps_per_execution",
        "1",
        "Steps that TensorFlow runs at a time, without Python between them; auto: about 8192 rows, "
        "at most 16 steps and a 64th of an epoch.",
    )
    flags.DEFINE_enum("precision", "float32", PRECISIONS, "Dtype policy.")
    meanings = "; ".join(f"{name}: {_STRATEGIES[name]}" for name in strategies)
    flags.DEFINE_enum("strategy", "none", strategies, f"{meanings}.")
    flags.DEFINE_integer(
        "cpu_replicas",
        0,
        "Number of logical CPU replicas to use instead of GPUs (requires --strategy=mirrored).",
    )
    flags.DEFINE_boolean("overwrite", False, "Replace the results of an earlier run in --out.")
    flags.DEFINE_float(
        "checkpoint_every",
        10.0,
        "Minutes between two checkpoints within an epoch; one is also written after every epoch.",
    )
    flags.DEFINE_float(
        "max_lost",
        MAX_LOST,
        "Maximum share of damaged records; a larger share is an error.",
    )


def define_progressive_flags() -> None:
    """Defines the flags of one pass over time."""
    flags.DEFINE_boolean(
        "progressive",
        False,
        "One pass in the order of the files instead of epochs; each row is scored before it is "
        "trained.",
    )
    flags.DEFINE_list(
        "progressive_splits", ["train"], "Splits of the pass in order, such as train,valid,test."
    )
    flags.DEFINE_integer("slices", 50, "Slices of the pass; each is scored, then trained.")
    flags.DEFINE_integer("slice_rows", None, "Rows of a slice, in place of --slices.")
    flags.DEFINE_boolean("shuffle_slices", False, "Shuffle the rows within each slice.")


def progressive_flags(excluded: Sequence[str]) -> Progressive | None:
    """Reads the flags of one pass over time.

    Args:
        excluded: names of flags that have no effect on such a run.

    Returns:
        The settings; `None` without `--progressive`.

    Raises:
        ValueError: if one of `excluded` is given with it, or a flag of the pass without it.
    """
    if not _FLAGS.progressive:
        for name in ("progressive_splits", "slices", "slice_rows", "shuffle_slices"):
            if _FLAGS[name].present:
                raise ValueError(
                    f"--{name} has an effect only with --progressive; add it or leave --{name} out"
                )
        return None
    for name in excluded:
        if _FLAGS[name].present:
            raise ValueError(f"--{name} has no effect with --progressive, one pass; leave it out")
    splits = tuple(_FLAGS.progressive_splits)
    return Progressive(splits, _FLAGS.slices, _FLAGS.slice_rows, _FLAGS.shuffle_slices)


def define_clock_flag() -> None:
    """Defines `--time_unit`, which `clock_arguments` reads."""
    flags.DEFINE_string(
        "time_unit",
        None,
        "Rows of AdamAR, AdagradAR and GroupAdamAR decay by the time column instead of by steps; "
        "the unit in which alpha counts: seconds, minutes, hours, days, weeks (of times in "
        "seconds), or a number in the unit of the column.",
    )


def clock_arguments(optimizer_args: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the arguments of an optimizer, with the clock that `--time_unit` asks for.

    Args:
        optimizer_args: dict, the other arguments.

    Returns:
        Dict; equal to the argument without the flag.

    Raises:
        ValueError: if the unit is neither known nor a number above 0.
    """
    if _FLAGS.time_unit is None:
        return dict(optimizer_args)
    return {**optimizer_args, "clock": "event", "time_unit": seconds_of(_FLAGS.time_unit)}


def seconds_of(unit: str) -> float:
    """Returns the length of a unit of time in seconds.

    Args:
        unit: string, "seconds", "minutes", "hours", "days", "weeks", or a number.

    Returns:
        Float.

    Raises:
        ValueError: on another text, or a number that is not above 0.

    Example:
        >>> seconds_of("hours"), seconds_of("0.5")
        (3600.0, 0.5)
    """
    if unit in _SECONDS:
        return _SECONDS[unit]
    try:
        return number_above_zero("time_unit", float(unit))
    except ValueError:
        raise ValueError(
            f"`time_unit` must be one of {', '.join(_SECONDS)}, or a number above 0. Received: "
            f"{unit!r}"
        ) from None


def run_settings(plan: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Reads the flags that all training commands share.

    Args:
        plan: values that replace those of flags.

    Returns:
        Dict, arguments of `launch.run.config.RunConfig`.

    Raises:
        ValueError: if `--data` or `--out` is not given, or `--model_args` cannot be read.
    """
    plan = plan or {}
    data, out = (str(plan.get(name) or _FLAGS[name].value or "") for name in ("data", "out"))
    if not data or not out:
        raise ValueError("pass --data=PREPARED_FOLDER and --out=FOLDER")
    settings = {
        "model": _FLAGS.model,
        "model_args": parse_arguments(_FLAGS.model_args),
        "learning_rate": _FLAGS.learning_rate,
        "epochs": _FLAGS.epochs,
        "batch_size": _FLAGS.batch_size,
        "precision": _FLAGS.precision,
        "steps_per_execution": _steps_per_execution(_FLAGS.steps_per_execution),
        "strategy": _FLAGS.strategy,
        "cpu_replicas": _FLAGS.cpu_replicas,
        "max_lost": _FLAGS.max_lost,
        "resume": _FLAGS.resume,
        "overwrite": _FLAGS.overwrite,
        "checkpoint_every": _FLAGS.checkpoint_every,
    }
    settings |= {name: value for name, value in plan.items() if name in settings}
    return settings | {"data": data.rstrip("/"), "out": out.rstrip("/")}


def _steps_per_execution(text: str) -> int | str:
    if text == "auto":
        return text
    try:
        return int(text)
    except ValueError:
        raise ValueError(f"--steps_per_execution={text}; use auto or an integer >= 1") from None
