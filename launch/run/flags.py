"""Flags of every command that trains, and the settings they give."""

from typing import Any

from absl import flags

from launch.run.arguments import parse_arguments
from launch.run.config import PRECISIONS
from launch.run.strategies import STRATEGIES
from zoo.data.ledger import MAX_LOST

_FLAGS = flags.FLAGS


def define_run_flags() -> None:
    """Defines the flags of a run that do not choose the optimizer or the seed."""
    flags.DEFINE_string("data", None, "Folder that launch.prepare wrote.")
    flags.DEFINE_string("model_args", "", "Its arguments, such as hidden_units=(64,32),dropout=0.1")
    flags.DEFINE_integer("batch_size", 512, "Rows per step, over all replicas.")
    flags.DEFINE_enum("precision", "float32", PRECISIONS, "Precision.")
    flags.DEFINE_enum("strategy", "none", STRATEGIES, "none: one device; mirrored: all GPUs.")
    flags.DEFINE_integer("cpu_replicas", 0, "With mirrored: so many logical CPUs, not GPUs.")
    flags.DEFINE_boolean("overwrite", False, "Replace what an earlier command left in --out.")
    flags.DEFINE_float(
        "checkpoint_every",
        10.0,
        "Minutes between two checkpoints within an epoch; after every epoch there is one too.",
    )
    flags.DEFINE_float(
        "max_lost",
        MAX_LOST,
        "Share of the records that may be lost to damage; beyond it: an error.",
    )


def run_settings() -> dict[str, Any]:
    """Reads the flags that all training commands have.

    Returns:
        Arguments of `launch.run.config.RunConfig`.

    Raises:
        ValueError: if `--data` or `--out` is not given, or `--model_args` cannot be read.
    """
    if not _FLAGS.data or not _FLAGS.out:
        raise ValueError("give --data=PREPARED_FOLDER and --out=FOLDER")
    return {
        "data": _FLAGS.data.rstrip("/"),
        "out": _FLAGS.out.rstrip("/"),
        "model": _FLAGS.model,
        "model_args": parse_arguments(_FLAGS.model_args),
        "learning_rate": _FLAGS.learning_rate,
        "epochs": _FLAGS.epochs,
        "batch_size": _FLAGS.batch_size,
        "precision": _FLAGS.precision,
        "strategy": _FLAGS.strategy,
        "cpu_replicas": _FLAGS.cpu_replicas,
        "max_lost": _FLAGS.max_lost,
        "resume": _FLAGS.resume,
        "overwrite": _FLAGS.overwrite,
        "checkpoint_every": _FLAGS.checkpoint_every,
    }
