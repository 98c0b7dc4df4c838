"""The start of a run: checks the data and makes the model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import tensorflow as tf
from absl import logging

import zoo
from launch.advice import one_class_lines
from launch.cleaning import check_replaceable_run
from launch.run.arguments import make_model, make_optimizer
from launch.run.config import RunConfig
from launch.run.data import check_run_data
from launch.run.memory import DataMemory
from launch.run.strategies import make_strategy
from zoo.data.files import DataError
from zoo.data.identity import data_identity

_ROWS_AT_ONCE = 8192  # with steps_per_execution="auto"
_MOST_STEPS = 16  # per execution
_EXECUTIONS = 64  # per epoch, at least, for progress and checkpoints


def checked_data(
    config: RunConfig, memory: DataMemory | None = None, in_folder: bool = True
) -> tuple[zoo.Schema, Mapping[str, Any]]:
    """Reads the schema of a run's data, and checks that the folder belongs to the same data.

    Args:
        config: `RunConfig`, the settings of the run.
        memory: `DataMemory` that knows the checksums of the data. Defaults to `None`.
        in_folder: boolean, whether to check the folder of the run. Defaults to `True`.

    Returns:
        The schema, and the checksums of the data.

    Raises:
        DataError: if the folder contains a run on other data, or files that runs do not write.
    """
    schema = zoo.Schema.load(config.data)
    identity = data_identity(config.data) if memory is None else memory.identity
    if config.needs_time and not schema.keep_time:
        raise DataError(
            f"clock=event needs the time of each row, which the records of {config.data} do not "
            'contain; name the column in the schema ("time") with "keep_time": true, and prepare '
            "the data again"
        )
    if config.overwrite and in_folder:
        check_replaceable_run(config.out)
    elif in_folder:
        check_run_data(config.out, config.data, identity)
    for warning in one_class_lines(config.data, schema.label):
        logging.warning("%s", warning)
    return schema, identity


def checked_strategy(config: RunConfig) -> tf.distribute.Strategy:
    """Creates the distribution strategy of a run.

    Args:
        config: `RunConfig`, the settings of the run.

    Returns:
        The strategy.

    Raises:
        ValueError: if the batch size is not a multiple of the number of replicas.
    """
    strategy = make_strategy(config.strategy, config.cpu_replicas)
    replicas = strategy.num_replicas_in_sync
    if config.batch_size % replicas:
        raise ValueError(
            f"batch_size={config.batch_size} cannot be shared by {replicas} replicas; "
            f"use a multiple of {replicas}"
        )
    return strategy


def compiled_model(
    config: RunConfig, schema: zoo.Schema, identity: Mapping[str, Any], steps: int = 0
) -> zoo.models.ClickModel:
    """Makes the model of a run and compiles it; call it in the scope of the strategy.

    Args:
        config: `RunConfig`, the settings of the run.
        schema: `zoo.Schema`, the columns.
        identity: checksums of the data, from `checked_data`.
        steps: int, steps per epoch, for `steps_per_execution="auto"`. Defaults to 0: one step per
            execution.

    Returns:
        The model.

    Raises:
        ValueError: on an unknown name or argument.
    """
    model = make_model(config.model, schema, config.model_args, config.precision)
    model.vocabularies = identity["vocabularies"]
    arguments = dict(config.optimizer_args)
    if arguments.get("frequency") == "dataset":
        arguments["frequency"] = zoo.load_counts(config.data, schema)
    optimizer = make_optimizer(config.optimizer, config.learning_rate, arguments)
    model.compile(
        optimizer,
        loss=keras.losses.BinaryCrossentropy(from_logits=True),
        steps_per_execution=steps_at_once(config, steps),
    )
    return model


def steps_at_once(config: RunConfig, steps: int) -> int:
    """Returns the number of steps per execution of a run.

    Args:
        config: `RunConfig`, the settings of the run.
        steps: int, steps per epoch.

    Returns:
        Int, at least 1.

    Example:
        >>> auto = RunConfig("data", "out", batch_size=1024, steps_per_execution="auto")
        >>> steps_at_once(auto, 10_000), steps_at_once(auto, 130)
        (8, 2)
    """
    if config.steps_per_execution != "auto":
        return int(config.steps_per_execution)
    rows = _ROWS_AT_ONCE // config.batch_size
    return max(1, min(rows, _MOST_STEPS, steps // _EXECUTIONS))
