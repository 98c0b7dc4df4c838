"""One pass over time in which each row is scored before the model is trained with it.

This is prequential evaluation: predict, then train (Dawid, *Present Position and Potential
Developments*, Journal of the Royal Statistical Society A 147, 1984). The rows are cut into slices
in the order of the files. Each slice is first scored with the current model, then trained.
"""

from __future__ import annotations

import dataclasses
import gc
import math
import time

import keras
import numpy as np
from absl import logging

import zoo
from launch.advice import smaller_steps
from launch.cleaning import clean_run
from launch.run.board import Board
from launch.run.config import RunConfig
from launch.run.evaluation import DivergedError, Evaluator, Predictor
from launch.run.files import begin_run, save_best
from launch.run.memory import DataMemory
from launch.run.prequential import Prequential
from launch.run.progressive_history import ProgressiveHistory, SliceScores
from launch.run.progressive_settings import Progressive
from launch.run.slice_checkpoints import SliceCheckpoints
from launch.run.slices import Rows, Span, batches, features_of, shuffled
from launch.run.split_stream import SplitStream
from launch.run.starting import checked_data, checked_strategy, compiled_model
from launch.run.warm_start import FILE_NAME as WARM_START
from launch.run.warm_start import warm_start
from zoo.data.files import join, write_json
from zoo.data.locks import FolderLock
from zoo.data.progress import ProgressBar

_SCORED = 4096  # rows of a batch that is scored


def train_progressively(
    config: RunConfig, ledger: zoo.Ledger | None = None, memory: DataMemory | None = None
) -> ProgressiveHistory:
    """Trains a model in one pass over the rows in order; scores each slice before training it.

    The folder `config.out` then holds `config.json`, `data.json`, `progressive.json` (a row per
    slice), `predictions.npz` and, with `config.save_models`, `best.keras` (the model after the
    pass) and `checkpoints/`. A resumed run continues after the last slice with a checkpoint. It
    gives the same numbers as a run that was not interrupted, bit for bit on CPUs.

    Args:
        config: `RunConfig`, the settings; its `progressive` defaults to `Progressive()`.
        ledger: `zoo.Ledger` that receives the account of damaged records. Defaults to `None`.
        memory: `DataMemory`, the data of several runs in one process. Defaults to `None`: the rows
            are read from the files.

    Returns:
        The measurements.

    Raises:
        ValueError: on settings that do not fit, missing data, or a folder that another process
            writes to.
        DivergedError: a `ValueError`, if the loss or a prediction is not finite.

    Example:
        >>> config = RunConfig("data/mind5k", "out/mind5k", model="dnn")
        >>> train_progressively(config).scores["auc"]  # doctest: +SKIP
    """
    if config.progressive is None:
        config = dataclasses.replace(config, progressive=Progressive())
    config.check_folder()
    with FolderLock(config.out):
        clean_run(config.out)
        config.check_folder()  # another process may just have begun a run
        return _train(config, zoo.Ledger() if ledger is None else ledger, memory)


def _train(config: RunConfig, ledger: zoo.Ledger, memory: DataMemory | None) -> ProgressiveHistory:
    schema, identity = checked_data(config, memory)
    if not schema.time_ordered:
        logging.warning(
            "the schema %r does not say that the rows are in the order of time (time_ordered); "
            "each row is scored before it is trained, in the order of the files",
            schema.name,
        )
    strategy = checked_strategy(config)
    stream = SplitStream(config, schema, ledger, memory)
    keras.backend.clear_session()
    keras.utils.set_random_seed(config.seed)
    with strategy.scope():
        model = compiled_model(config, schema, identity)
    checkpoints = SliceCheckpoints(config.out, model, config.checkpoint_every)
    done = checkpoints.restore() if config.resume else None
    report = None
    if config.warm_start is not None and done is None:
        report = warm_start(config, model)
    begin_run(config, identity, ledger)
    if report is not None:
        write_json(join(config.out, WARM_START), report)
    run = _Pass(config, schema, model, Predictor(model, strategy), stream, checkpoints)
    history = run.train(done)
    evaluate = Evaluator(model, strategy, config.progress)
    held_out = {split: evaluate(data) for split, data in stream.held_out()}
    history = dataclasses.replace(history, held_out=held_out)
    history.save(config.out, dataclasses.asdict(config.progressive))
    if config.save_models:
        save_best(model, config.out)
    del model, evaluate, run, checkpoints
    gc.collect()
    return history


class _Pass:
    """Scores and trains the slices in order."""

    def __init__(self, config, schema, model, predict, stream, checkpoints):
        self._config, self._model, self._predict = config, model, predict
        self._stream, self._checkpoints = stream, checkpoints
        self._scores = Prequential(schema)
        self._slices: list[SliceScores] = []
        self._board = Board(config.out, config.tensorboard)

    def train(self, done: SliceCheckpoints.State | None) -> ProgressiveHistory:
        config, last = self._config, len(self._stream.spans)
        with ProgressBar("scored and trained", self._stream.rows, show=config.progress) as bar:
            for number, (span, rows) in enumerate(self._stream.slices(), start=1):
                if done is not None and number <= done.slices:
                    self._add(number, span, rows, done.logits_of(number), done.measured(number))
                else:
                    self._score_and_train(number, span, rows, bar)
                    if config.save_models and (number == last or self._checkpoints.is_due()):
                        self._checkpoints.save(self._slices, self._scores.kept["logit"])
                        self.history().save(config.out, dataclasses.asdict(config.progressive))
                bar.move_to(sum(s.rows for s in self._slices))
        return self.history(predictions=True)

    def _score_and_train(self, number: int, span: Span, rows: Rows, bar: ProgressBar) -> None:
        config, started = self._config, time.perf_counter()
        logits = self._predict(features_of(rows), _SCORED)
        scored = time.perf_counter()
        scores = self._add(number, span, rows, logits, {"score_seconds": scored - started})
        bar.update(0, auc=f"{scores.auc_so_far:.4f}", slice_auc=f"{scores.auc:.4f}")
        started = time.perf_counter()
        if config.progressive.shuffle:
            rows = shuffled(rows, config.seed, number)
        callbacks = [_Rows(bar, len(logits), config.batch_size)]
        fitted = self._model.fit(
            batches(rows, config.batch_size), callbacks=callbacks, shuffle=False, verbose=0
        )
        loss = fitted.history["loss"][-1]
        if not math.isfinite(loss):
            raise DivergedError(
                f"the training loss became {loss} in slice {number}; {smaller_steps(config)}"
            )
        seconds = time.perf_counter() - started
        self._slices[-1] = dataclasses.replace(scores, loss=loss, seconds=seconds)
        self._board.add_slice(self._slices[-1], sum(s.rows for s in self._slices))

    def _add(self, number, span, rows, logits, measured) -> SliceScores:
        """Stores the scores of a slice."""
        scores = self._scores.add(number, span.split, rows, logits)
        self._slices.append(dataclasses.replace(scores, **measured))
        return self._slices[-1]

    def history(self, predictions: bool = False) -> ProgressiveHistory:
        arrays = {}
        if predictions:
            arrays = {name: np.concatenate(parts) for name, parts in self._scores.kept.items()}
            counts = [s.rows for s in self._slices]
            arrays["slice"] = np.repeat(np.arange(1, len(counts) + 1, dtype=np.int32), counts)
        scores = self._scores
        return ProgressiveHistory(
            tuple(self._slices), scores.by_split(), scores.by_bucket(), predictions=arrays
        )


class _Rows(keras.callbacks.Callback):
    """Moves a progress bar with each step of a slice."""

    def __init__(self, bar: ProgressBar, rows: int, batch_size: int):
        super().__init__()
        self._bar, self._per_step = bar, rows / math.ceil(rows / batch_size)

    def on_train_batch_end(self, batch, logs=None):
        self._bar.update(round(self._per_step))
        if self._bar.is_due:
            self._bar.update(0, loss=f"{float(logs['loss']):.4f}")
