"""Trains one model with one optimizer: what `launch.train`, `compare` and `demo` share."""

from __future__ import annotations

import contextlib
import dataclasses
import gc
import math
import os
import tempfile

import keras
import tensorflow as tf
from absl import logging

import zoo
from launch.advice import divergence_line, one_class_lines, smaller_steps
from launch.arguments import make_callbacks, make_model, make_optimizer
from launch.checkpoints import Checkpoints
from launch.evaluation import Evaluator
from launch.history import Epoch, History, load_history, save_history
from launch.model_files import load_keras
from launch.plateau import Plateau
from launch.progress import Progress
from launch.run_config import LEDGER, RunConfig
from launch.run_data import check_run_data, save_run_data
from launch.strategies import make_strategy
from zoo.files import DataError, complete_or_absent, join
from zoo.manifest import load_manifest

BEST = "best.keras"


def train(config: RunConfig, ledger: zoo.Ledger | None = None) -> History:
    """Trains a model, scores it after every epoch, and keeps what is needed to go on.

    The folder `config.out` then holds `config.json`, `data.json` (checksums of the data: a resumed
    run must have the same), `history.csv`, `best.keras` (the epoch with the best validation AUC),
    `checkpoints/` (the last two epochs), and, if records were lost, `ledger.json`. A run that was
    interrupted and resumed gives the same numbers, bit for bit on CPUs, as one that was not.

    Args:
        config: the run's settings.
        ledger: receives the account of damaged records.

    Returns:
        The measurements.

    Raises:
        ValueError: on settings that fit nothing, missing data, or a loss that is not finite.

    Example:
        >>> history = train(RunConfig("data/frappe", "out/frappe"))  # doctest: +SKIP
        >>> print(history.table())  # doctest: +SKIP
    """
    ledger = zoo.Ledger() if ledger is None else ledger
    config.check_folder()
    schema = zoo.Schema.load(config.data)
    identity = check_run_data(config.out, config.data)
    for warning in one_class_lines(config.data, schema.label):
        logging.warning("%s", warning)
    strategy = make_strategy(config.strategy, config.cpu_replicas)
    replicas = strategy.num_replicas_in_sync
    if config.batch_size % replicas:
        raise ValueError(
            f"batch_size={config.batch_size} cannot be shared by {replicas} replicas; "
            f"use a multiple of {replicas}"
        )
    try:
        data = _Data(config, schema, ledger, drop_remainder=replicas > 1)
    finally:  # a run that stops because too much is lost leaves the account too
        if ledger.total_lost:
            ledger.save(join(config.out, LEDGER))
    keras.backend.clear_session()
    keras.utils.set_random_seed(config.seed)
    with strategy.scope():
        model = make_model(config.model, schema, config.model_args, config.precision)
        model.vocabularies = identity["vocabularies"]
        model.compile(
            make_optimizer(config.optimizer, config.learning_rate, _optimizer_args(config, schema)),
            loss=keras.losses.BinaryCrossentropy(from_logits=True),
        )
        plateau = Plateau(model.optimizer, config.reduce_lr, config.progress)
        checkpoints = Checkpoints(config.out, model)
    done = checkpoints.restore() if config.resume else 0
    epochs = load_history(config.out)[:done] if done else []
    if len(epochs) < done:
        raise DataError(f"{config.out}: history.csv lacks epochs of the checkpoint; start again")
    config.save()
    save_run_data(config.out, identity)
    evaluate = Evaluator(model, strategy)
    for number in range(done + 1, config.epochs + 1):
        if _out_of_patience(epochs, config.patience):
            break
        plateau.set_rate(epochs)
        epochs.append(_train_epoch(model, data, config, number, evaluate))
        save_history(config.out, epochs)
        if not config.save_models:
            continue
        if max(epochs, key=lambda e: e.valid_auc) is epochs[-1]:
            _save_best(model, config.out)
        # Last, so that a checkpoint never knows of an epoch that the other files do not.
        checkpoints.save(number)
    history = History(tuple(epochs), *_final_scores(data, epochs, evaluate, config))
    del model, evaluate, checkpoints
    gc.collect()
    return history


def _save_best(model, out: str) -> None:
    # Keras writes to local files only.
    with complete_or_absent(join(out, BEST)) as temporary, tempfile.TemporaryDirectory() as folder:
        local = os.path.join(folder, BEST)
        model.save(local)
        tf.io.gfile.copy(local, temporary)


def load_best(out: str) -> zoo.models.ClickModel:
    """Loads the model of the epoch with the best validation AUC.

    Args:
        out: folder of the run.

    Returns:
        The model, without an optimizer.

    Raises:
        DataError: if the folder holds no trained model, or a damaged one.

    Example:
        >>> load_best("out/frappe").summary()  # doctest: +SKIP
    """
    path = join(out, BEST)
    if not tf.io.gfile.exists(path):
        raise DataError(f"no model at {path}; train one first: python -m launch.train")
    return load_keras(path, "train the run anew, or copy the file back")


class _Data:
    """The splits of a run; the training rows in an order that depends on seed and epoch only."""

    def __init__(self, config, schema, ledger, drop_remainder):
        self._config, self._schema, self._ledger = config, schema, ledger
        self._drop_remainder = drop_remainder
        splits = load_manifest(config.data)
        self.valid = self._read("valid")
        has_test = not splits or "test" in splits
        self.test = self._read("test") if has_test else None
        known = zoo.Ledger()
        try:
            self._read("train", known, **self._order(1))  # checks the records once
        finally:
            for account in known.files.values():
                ledger.add(account)
        self._damaged = known.total_lost > 0
        self.rows = known.total_read
        if drop_remainder:
            self.rows -= self.rows % config.batch_size
            if not self.rows:
                raise ValueError(
                    f"batch_size={config.batch_size} exceeds the {known.total_read} training "
                    "rows; use a smaller one"
                )

    def train(self, epoch: int) -> tf.data.Dataset:
        """The training rows in the order of an epoch."""
        # Undamaged files need no second check; damaged ones are read by way of it.
        rows = self._read("train", zoo.Ledger(), verify=self._damaged, **self._order(epoch))
        steps = math.ceil(self.rows / self._config.batch_size)
        return rows.apply(tf.data.experimental.assert_cardinality(steps))

    def _order(self, epoch: int) -> dict:
        seed = (self._config.seed * 1_000_003 + epoch) % 2**31
        return {"shuffle": True, "seed": seed, "drop_remainder": self._drop_remainder}

    def _read(self, split: str, ledger: zoo.Ledger | None = None, **options) -> tf.data.Dataset:
        return zoo.read_tfrecords(
            self._config.data,
            split,
            self._schema,
            # Scores do not depend on it: larger batches are faster.
            batch_size=self._config.batch_size if split == "train" else 4096,
            ledger=self._ledger if ledger is None else ledger,
            max_lost=self._config.max_lost,
            **options,
        )


def _optimizer_args(config: RunConfig, schema: zoo.Schema) -> dict:
    arguments = dict(config.optimizer_args)
    if arguments.get("frequency") == "dataset":
        arguments["frequency"] = zoo.load_counts(config.data, schema)
    return arguments


def _train_epoch(model, data: _Data, config: RunConfig, number: int, evaluate) -> Epoch:
    title = f"epoch {number}/{config.epochs}"
    progress = Progress(title, data.rows, config.batch_size, config.progress)
    callbacks = [progress, *make_callbacks(config.optimizer_args)]
    epochs = {"initial_epoch": number - 1, "epochs": number}
    # Closed before the message of an interruption, which must be the last line.
    with contextlib.closing(progress):
        fitted = model.fit(
            data.train(number), **epochs, callbacks=callbacks, shuffle=False, verbose=0
        )
    loss = fitted.history["loss"][-1]
    if not math.isfinite(loss):
        raise ValueError(
            f"the training loss became {loss} in epoch {number}; {smaller_steps(config)}"
        )
    valid = evaluate(data.valid)
    epoch = Epoch(
        number,
        loss,
        valid["auc"],
        valid["logloss"],
        seconds=progress.seconds,
        rows_per_second=progress.rows_per_second,
    )
    if warning := divergence_line(epoch, config):
        logging.warning("%s", warning)
    if config.eval_test_each_epoch and data.test is not None:
        test = evaluate(data.test)
        epoch = dataclasses.replace(epoch, test_auc=test["auc"], test_logloss=test["logloss"])
    if config.progress:
        print(
            f"{title}: loss {loss:.4f}, valid AUC {epoch.valid_auc:.5f}, LogLoss "
            f"{epoch.valid_logloss:.5f}, {epoch.seconds:.1f} s, {epoch.rows_per_second:,.0f} rows/s"
        )
    return epoch


def _out_of_patience(epochs: list[Epoch], patience: int) -> bool:
    if not patience or not epochs:
        return False
    best = max(epochs, key=lambda epoch: epoch.valid_auc)
    return epochs[-1].epoch - best.epoch >= patience


def _final_scores(data, epochs, evaluate, config) -> tuple[dict, dict]:
    """Test scores after the last epoch, and of the best one."""
    if data.test is None or not epochs:
        return {}, {}
    last, best = epochs[-1], History(tuple(epochs)).best
    scored = {
        e.epoch: {"auc": e.test_auc, "logloss": e.test_logloss}
        for e in (last, best)
        if e.test_auc is not None
    }
    if last.epoch not in scored:
        scored[last.epoch] = evaluate(data.test)
    if best.epoch not in scored and config.save_models:
        scored[best.epoch] = Evaluator(load_best(config.out))(data.test)
    return scored[last.epoch], scored.get(best.epoch, {})
