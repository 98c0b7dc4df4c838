"""Trains one model with one optimizer, for `launch.train`, `launch.compare` and `launch.demo`.

`train` calls `fit` once per epoch, because a resumed run must give the same bits: the order of the
rows depends on the seed and the epoch, the tables are brought up to date before the model is
evaluated, and checkpoints do not contain the state of callbacks. Callbacks of Keras that act on
epochs (`ModelCheckpoint`, `EarlyStopping`, `ReduceLROnPlateau`) are replaced by functions of the
measured epochs.
"""

from __future__ import annotations

import contextlib
import dataclasses
import gc
import math
from collections.abc import Callable, Mapping
from typing import Any

import keras
import tensorflow as tf
from absl import logging

import zoo
from launch.advice import divergence_line, smaller_steps
from launch.cleaning import clean_run
from launch.run.arguments import make_callbacks
from launch.run.board import Board
from launch.run.checkpoints import Checkpoints
from launch.run.cluster import read_cluster
from launch.run.config import LEDGER, RunConfig
from launch.run.counts import training_counts
from launch.run.evaluation import DivergedError, Evaluator
from launch.run.files import begin_run, load_best, resume_run, save_best
from launch.run.frequency_scores import FrequencyScores
from launch.run.history import Epoch, History, best_of, save_history
from launch.run.memory import DataMemory
from launch.run.parameter_servers import Chief
from launch.run.plateau import Plateau
from launch.run.progress import Progress
from launch.run.splits import RunData
from launch.run.starting import checked_data, checked_strategy, compiled_model
from launch.run.sync_workers import SyncWorkers
from launch.run.warm_start import FILE_NAME as WARM_START
from launch.run.warm_start import warm_start
from tf_helen.callbacks import Terminated
from tf_helen.core.workers import leads
from zoo.data.files import DataError, join, write_json
from zoo.data.locks import FolderLock

__all__ = ["load_best", "train"]


def train(
    config: RunConfig,
    ledger: zoo.Ledger | None = None,
    memory: DataMemory | None = None,
    after_epoch: Callable[[Epoch], None] | None = None,
) -> History:
    """Trains a model, evaluates it after every epoch, and writes checkpoints.

    The folder `config.out` contains `config.json`, `data.json` (checksums of the data, which a
    resumed run must match), `history.csv`, `best.keras` (the epoch with the best validation AUC),
    `checkpoints/` (the last two, and that of the best epoch), and, if records are damaged,
    `ledger.json`. A run that is killed at any time and resumed gives the same numbers as an
    uninterrupted one, bit for bit on CPUs: `fit` is called once per epoch, on rows in an order
    that depends only on the seed and the epoch, without the rows that were trained before.

    Args:
        config: `RunConfig`, the settings of the run.
        ledger: `zoo.Ledger` that receives the counts of damaged records. Defaults to `None`.
        memory: `DataMemory` that keeps the data of several runs in one process. Defaults to `None`:
            each run reads its data.
        after_epoch: function that is called with each `Epoch` once it is written; an error that it
            raises ends the run. Defaults to `None`.

    Returns:
        `History`, the measurements.

    Raises:
        ValueError: on settings that do not fit together, missing data, or a folder that another
            process writes to.
        DivergedError: a `ValueError`, if the loss or a prediction is not finite.

    Example:
        >>> history = train(RunConfig("data/frappe", "out/frappe"))  # doctest: +SKIP
        >>> print(history.table())  # doctest: +SKIP
    """
    ledger = zoo.Ledger() if ledger is None else ledger
    if not _writes(config):
        silent = dataclasses.replace(config, progress=False)
        return _train(silent, ledger, memory, after_epoch)
    config.check_folder()
    with FolderLock(config.out):
        clean_run(config.out)
        config.check_folder()  # another process may have begun a run before
        return _train(config, ledger, memory, after_epoch)


def _writes(config: RunConfig) -> bool:
    """Returns whether this process writes the files of the run; of several workers, one does."""
    return config.strategy != "multi_worker" or read_cluster(config.strategy).leads


def _train(
    config: RunConfig,
    ledger: zoo.Ledger,
    memory: DataMemory | None,
    after_epoch: Callable[[Epoch], None] | None,
) -> History:
    if config.progressive is not None:
        raise ValueError("`progressive` is set; use launch.run.progressive.train_progressively")
    # The first worker may have begun the run before the others start.
    schema, identity = checked_data(config, memory, in_folder=config.resume or _writes(config))
    rest = (config, ledger, memory, after_epoch, schema, identity)
    if config.strategy == "parameter_server":
        with Chief(read_cluster(config.strategy), config.cluster_wait) as chief:
            return _train_in(chief.strategy, chief, *rest)
    if config.strategy == "multi_worker":
        cluster = read_cluster(config.strategy)
        with SyncWorkers(cluster, config.batch_size, config.cluster_wait) as workers:
            workers.check_same(data=identity, settings=config.shared())
            return _train_in(workers.strategy, None, *rest)
    return _train_in(checked_strategy(config), None, *rest)


def _train_in(
    strategy: tf.distribute.Strategy,
    chief: Chief | None,
    config: RunConfig,
    ledger: zoo.Ledger,
    memory: DataMemory | None,
    after_epoch: Callable[[Epoch], None] | None,
    schema: zoo.Schema,
    identity: Mapping[str, Any],
) -> History:
    # With any number of workers, so that a run may continue with another number.
    shared = strategy.num_replicas_in_sync > 1 or config.strategy == "multi_worker"
    writes = leads(strategy)
    try:
        data = RunData(config, schema, ledger, drop_remainder=shared, memory=memory)
    except BaseException:  # too many damaged records: the counts are written all the same
        if ledger.total_lost and not config.overwrite and writes:
            ledger.save(join(config.out, LEDGER))
        raise
    keras.backend.clear_session()
    keras.utils.set_random_seed(config.seed)
    with strategy.scope():
        # The chief of a cluster hands single batches to its workers.
        model = compiled_model(config, schema, identity, data.steps if chief is None else 0)
        plateau = Plateau(model.optimizer, config.reduce_lr, config.progress)
        facts = {
            "counts": lambda: training_counts(config.data, schema),
            "samples": lambda: data.rows,
            "continual": lambda: config.warm_start is not None,
        }
        callbacks = make_callbacks(config.callbacks, facts)
        checkpoints = Checkpoints(config.out, model, config.checkpoint_every, callbacks)
    frequency = _frequency_scores(config, schema) if config.validate else None
    done = resume_run(config, model, checkpoints) if config.resume else 0
    report = None
    if config.warm_start is not None and not done and not checkpoints.step:
        report = warm_start(config, model)
    if writes:
        begin_run(config, identity, ledger)
        if report is not None:
            write_json(join(config.out, WARM_START), report)
    # The chief of a cluster evaluates by itself, with the variables of the servers.
    evaluate = Evaluator(model, strategy if chief is None else None, config.progress)
    epochs = checkpoints.epochs
    board = Board(config.out, config.tensorboard and writes)
    for number in range(done + 1, config.epochs + 1):
        if _out_of_patience(epochs, config.patience):
            break
        plateau.set_rate(epochs)
        epoch = _train_epoch(
            model, data, config, number, evaluate, checkpoints, chief, frequency, board
        )
        epochs.append(epoch)
        board.add_epoch(epoch, number * data.steps)
        if config.save_models:
            # Written first, because the other files can be restored from it.
            checkpoints.save(number)
            if best_of(epochs) is epochs[-1] and writes:
                save_best(model, config.out)
        if writes:
            save_history(config.out, epochs)
        if after_epoch is not None:
            after_epoch(epochs[-1])
    history = History(tuple(epochs), *_final_scores(data, epochs, evaluate, config, writes))
    del model, evaluate, checkpoints, callbacks  # which hold the model
    gc.collect()
    return history


def _frequency_scores(config: RunConfig, schema: zoo.Schema) -> FrequencyScores | None:
    if config.frequency_auc is None or not config.eval_test_each_epoch:
        return None
    counts = training_counts(config.data, schema)
    return FrequencyScores(schema, counts, config.frequency_auc, config.frequency_field)


def _train_epoch(
    model, data, config: RunConfig, number: int, evaluate, checkpoints, chief: Chief | None,
    frequency: FrequencyScores | None, board: Board,
) -> Epoch:  # fmt: skip
    title = f"epoch {number}/{config.epochs}"
    steps, step = data.steps, checkpoints.step
    if step > steps:
        raise DataError(
            f"the checkpoint is after step {step} of epoch {number}, and the data give {steps} "
            "steps; resume with the data of the first run"
        )
    trained = step * config.batch_size
    progress = Progress(
        title, data.rows, config.batch_size, config.progress,
        done=min(trained, data.rows), seconds=checkpoints.seconds if step else 0.0,
    )  # fmt: skip
    if step == steps:  # the epoch is trained but not evaluated
        loss = float(keras.ops.convert_to_numpy(model.get_metrics_result()["loss"]))
        seconds, checkpoints.step = checkpoints.seconds, 0
    else:
        loss = _fit(model, data, config, number, checkpoints, progress, chief, board)
        seconds = progress.seconds
    if not math.isfinite(loss):
        raise DivergedError(
            f"the training loss became {loss} in epoch {number}; {smaller_steps(config)}"
        )
    try:
        if checkpoints.terminating:  # SIGTERM during the last step
            raise Terminated
        valid = {}
        if data.valid is not None:
            watched = frequency if data.test is None else None
            valid = evaluate(data.valid, watched, f"{title}, valid", data.evaluated["valid"])
        test = {}
        if config.eval_test_each_epoch and data.test is not None:
            test = evaluate(data.test, frequency, f"{title}, test", data.evaluated["test"])
    except SystemExit:
        if config.save_models:
            checkpoints.save_trained(number - 1, steps)
        raise
    epoch = Epoch(
        number,
        loss,
        valid.get("auc"),
        valid.get("logloss"),
        test.get("auc"),
        test.get("logloss"),
        seconds=seconds,
        rows_per_second=data.rows / seconds if seconds else 0.0,
        measured=checkpoints.measured | (frequency.measured() if frequency else {}),
    )
    if warning := divergence_line(epoch, config):
        logging.warning("%s", warning)
    checkpoints.trained, checkpoints.seconds, checkpoints.measured = False, 0.0, {}
    if config.progress:
        scores = ""
        if valid:
            scores = f"valid AUC {valid['auc']:.5f}, LogLoss {valid['logloss']:.5f}, "
        print(
            f"{title}: loss {loss:.4f}, {scores}{epoch.seconds:.1f} s, "
            f"{epoch.rows_per_second:,.0f} rows/s"
        )
    return epoch


def _fit(
    model, data, config: RunConfig, number: int, checkpoints, progress: Progress,
    chief: Chief | None, board: Board,
) -> float:  # fmt: skip
    """Trains the rest of an epoch; returns the loss of the whole epoch."""
    scalars = board.callbacks((number - 1) * data.steps, checkpoints.step)
    callbacks = [progress, *scalars, *checkpoints.others]
    rows = data.train(number, skip=checkpoints.step)
    checkpoints.begin_epoch(progress, data.steps, chief)
    saved = [checkpoints] if config.save_models else []
    epochs = {"initial_epoch": number - 1, "epochs": number}
    # Closes the bar before the message of an interruption, which must be the last line.
    with contextlib.closing(progress):
        if chief is None:
            callbacks = [*saved, *callbacks]
            fitted = model.fit(rows, **epochs, callbacks=callbacks, shuffle=False, verbose=0)
            logs = {name: float(values[-1]) for name, values in fitted.history.items()}
        else:
            logs = chief.fit(model, rows, number - 1, callbacks, *saved)
    checkpoints.measured = {name: value for name, value in logs.items() if name != "loss"}
    return logs["loss"]


def _out_of_patience(epochs: list[Epoch], patience: int) -> bool:
    if not patience or not epochs:
        return False
    return epochs[-1].epoch - best_of(epochs).epoch >= patience


def _final_scores(data, epochs, evaluate, config, writes: bool) -> tuple[dict, dict]:
    """Returns the test scores after the last and the best epoch."""
    if data.test is None or not epochs:
        return {}, {}
    last, best = epochs[-1], History(tuple(epochs)).best
    scored = {
        e.epoch: {"auc": e.test_auc, "logloss": e.test_logloss}
        for e in (last, best)
        if e.test_auc is not None
    }
    if last.epoch not in scored:
        scored[last.epoch] = evaluate(data.test, None, "test", data.evaluated["test"])
    if best.epoch not in scored and config.save_models and writes:
        score = Evaluator(load_best(config.out), progress=config.progress)
        scored[best.epoch] = score(data.test, None, "test, best epoch", data.evaluated["test"])
    return scored[last.epoch], scored.get(best.epoch, {})
