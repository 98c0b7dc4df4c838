"""The files of a run: begins a run, resumes it from a checkpoint, keeps its best model."""

from __future__ import annotations

import contextlib
import os
import tempfile
import zipfile
from collections.abc import Mapping
from typing import Any

import keras

import zoo
from launch.run.checkpoints import FOLDER, Checkpoints
from launch.run.config import FILE_NAME as CONFIG
from launch.run.config import LEDGER, RunConfig
from launch.run.data import save_run_data
from launch.run.history import FILE_NAME as HISTORY
from launch.run.history import best_of, load_history, save_history
from launch.run.model_files import load_keras
from tf_helen.core.folders import is_remote, remove_folder
from tf_helen.core.workers import leads
from tf_helen.stores import gfile
from zoo.data.files import DataError, complete_or_absent, join
from zoo.data.folders import partial_folder, publish_folder

BEST = "best.keras"


def begin_run(config: RunConfig, identity: Mapping[str, Any], ledger: zoo.Ledger) -> None:
    """Writes the settings of a run and the checksums of its data to the run's folder.

    With `config.overwrite`, this replaces the run in the folder.

    Args:
        config: `RunConfig`, the settings of the run.
        identity: dict, checksums of its data.
        ledger: `zoo.Ledger`, counts of the records; written if any record is damaged.
    """
    folder = config.out
    replace = config.overwrite and gfile.exists(join(config.out, CONFIG))
    if replace:
        folder = partial_folder(config.out)
        if gfile.exists(folder):
            remove_folder(folder)
    config.save_to(folder)
    save_run_data(folder, identity)
    if ledger.total_lost:
        ledger.save(join(folder, LEDGER))
    if replace:
        publish_folder(folder, config.out, last=CONFIG)


def resume_run(config: RunConfig, model: keras.Model, checkpoints: Checkpoints) -> int:
    """Restores the newest checkpoint, and the other files of the run from it.

    Args:
        config: `RunConfig`, the settings of the run.
        model: Keras model, compiled and untrained.
        checkpoints: `Checkpoints` of the model; receives the measurements of the run.

    Returns:
        Int, number of finished epochs.

    Raises:
        DataError: if the run cannot be resumed exactly.
    """
    advice = "start again with --overwrite instead of --resume, or name another folder"
    writes = leads(model.distribute_strategy)
    try:
        done = checkpoints.restore()
    except DataError as error:
        raise DataError(f"{config.out}: {error}; {advice}") from None
    checkpoints.check_workers(done, checkpoints.step)
    for note in checkpoints.notes if writes else ():
        print(note, flush=True)
    try:
        known, trouble = load_history(config.out), None
    except DataError:
        known, trouble = [], "damaged"
    if not done and not checkpoints.step:
        left = [name for name in (HISTORY, BEST) if gfile.exists(join(config.out, name))]
        if left and config.save_models:
            folder = join(config.out, FOLDER)
            raise DataError(f"{config.out} holds {left[0]}, but {folder} no checkpoint; {advice}")
        return 0
    if len(checkpoints.epochs) < done:  # written by an older version, without measurements
        if len(known) < done:
            raise DataError(
                f"{join(config.out, HISTORY)} is {trouble or 'too short or missing'} and lacks "
                f"epochs of the checkpoint; {advice}"
            )
        checkpoints.epochs[:] = known[:done]
    elif known not in (checkpoints.epochs, checkpoints.epochs[:-1]) and writes:
        # A process that is killed after the checkpoint leaves one line less.
        what = trouble or ("longer" if known[:done] == checkpoints.epochs else "missing or changed")
        print(f"{join(config.out, HISTORY)} was {what}; restored from the checkpoint")
    if not writes:
        return done
    if done and config.save_models:
        _check_best(config, model, checkpoints, sure=known == checkpoints.epochs)
    if known != checkpoints.epochs and done:
        save_history(config.out, checkpoints.epochs)
    return done


def _check_best(
    config: RunConfig, model: keras.Model, checkpoints: Checkpoints, sure: bool
) -> None:
    """Writes the best model from its checkpoint unless the file contains that model.

    The history is written after the model, so a history with all epochs of the checkpoint (`sure`)
    proves that the model is that of the best epoch.
    """
    best = best_of(checkpoints.epochs).epoch
    problem = _damage(join(config.out, BEST))
    if problem is None and sure:
        return
    if checkpoints.restore_epoch(best):
        save_best(model, config.out)
        if problem is not None:
            print(f"{join(config.out, BEST)} was {problem}; restored from its checkpoint")
    elif problem is not None:
        raise DataError(
            f"{join(config.out, BEST)} is {problem}, and the checkpoint of its epoch {best} is "
            "missing; train again with --overwrite, or name another folder"
        )
    checkpoints.restore()


def save_best(model: keras.Model, out: str) -> None:
    """Writes the best model of a run, completely or not at all."""
    if not is_remote(out):
        local = os.path.join(out.removeprefix("file://"), f".best.{os.getpid()}.keras")
        try:
            model.save(local)
            os.replace(local, os.path.join(os.path.dirname(local), BEST))
        finally:
            with contextlib.suppress(FileNotFoundError):
                os.remove(local)
        return
    # Keras writes to local files only.
    with complete_or_absent(join(out, BEST)) as temporary, tempfile.TemporaryDirectory() as folder:
        local = os.path.join(folder, BEST)
        model.save(local)
        gfile.copy(local, temporary)


def _damage(path: str) -> str | None:
    """Returns "missing" or "damaged" if a model file cannot be loaded, else `None`."""
    if not gfile.exists(path):
        return "missing"
    try:
        with gfile.GFile(path, "rb") as file, zipfile.ZipFile(file) as archive:
            return "damaged" if archive.testzip() else None
    except Exception:  # of any type, as in `load_keras`
        return "damaged"


def load_best(out: str) -> zoo.models.ClickModel:
    """Loads the model of the epoch with the best validation AUC.

    Args:
        out: string, folder of the run.

    Returns:
        The model, without an optimizer.

    Raises:
        DataError: if the folder contains no trained model, or a damaged one.

    Example:
        >>> load_best("out/frappe").summary()  # doctest: +SKIP
    """
    path = join(out, BEST)
    advice = (
        "launch.train with the arguments of the run and --resume restores it from the checkpoint "
        "of its epoch; if that is missing too, train again with --overwrite"
    )
    if not gfile.exists(path):
        if not gfile.exists(join(out, CONFIG)):
            advice = "train one first: python -m launch.train"
        raise DataError(f"no model at {path}; {advice}")
    return load_keras(path, advice)
