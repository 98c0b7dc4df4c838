"""Trained runs, and the data that they are analyzed on."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

import zoo
from launch.run.config import FILE_NAME as CONFIG
from launch.run.data import check_run_data
from launch.run.files import load_best
from launch.run.history import Epoch, load_history
from tf_helen.analysis import tables_of
from tf_helen.core.checks import nearest
from tf_helen.layers import DynamicEmbedding, Embedding
from tf_helen.stores import gfile
from zoo.data.files import DataError, join, read_json
from zoo.data.manifest import load_manifest
from zoo.models import ClickModel

Batch = tuple[dict[str, np.ndarray], ...]
_ONLY_LOOK = (
    "embedding_norms",
    "sparsity",
    "id_counts",
)  # callbacks that do not change the training


@dataclasses.dataclass(frozen=True)
class TrainedRun:
    """A run of `launch.train` or `launch.compare` with its best model.

    Attributes:
        label: string, the optimizer and its arguments, different for each run.
        folder: string.
        data: string, the prepared data folder.
        settings: dict, the content of `config.json`.
        model: the model of the best epoch.
        epochs: tuple of `Epoch`, the measurements.
    """

    label: str
    folder: str
    data: str
    settings: dict[str, Any]
    model: ClickModel
    epochs: tuple[Epoch, ...]

    @property
    def schema(self) -> zoo.Schema:
        """The columns of the data."""
        return self.model.schema


def load_runs(folders: Sequence[str], data: str | None = None) -> list[TrainedRun]:
    """Loads runs that were trained on the same data.

    Args:
        folders: sequence of strings, folders of runs.
        data: string, the prepared data folder. Defaults to `None`: the one in the settings of each
            run.

    Returns:
        List of `TrainedRun`, in the order of `folders`.

    Raises:
        DataError: if a folder is not a run or has no model, or the data are not those that it was
            trained on.

    Example:
        >>> load_runs(["out/adam", "out/helen"])[0].label  # doctest: +SKIP
        'adam'
    """
    folders = [folder.rstrip("/") for folder in folders]
    twice = [folder for folder in folders if folders.count(folder) > 1]
    if not folders or twice:
        raise DataError(
            f"the run {twice[0]} is named twice; name it once"
            if twice
            else "name at least one run, such as --run=out/frappe"
        )
    labels = run_labels(folders)
    return [_load(folder, label, data) for folder, label in zip(folders, labels, strict=True)]


def run_settings(folder: str) -> dict[str, Any]:
    """Reads the settings of a run.

    Args:
        folder: string, folder of the run.

    Returns:
        Dict, the content of its `config.json`.

    Raises:
        DataError: if the folder is not a run, or the file is damaged.
    """
    path = join(folder, CONFIG)
    if not gfile.exists(path):
        what = "no folder" if not gfile.isdir(folder) else f"no {CONFIG} in"
        raise DataError(f"{what} {folder}; name the folder of a run, which launch.train writes")
    content = read_json(path)
    if not isinstance(content, dict) or not isinstance(content.get("data"), str):
        raise DataError(f"{path} is damaged (no settings in it); name another run")
    return content


def run_labels(folders: Sequence[str]) -> list[str]:
    """Returns the optimizers of runs; where two are equal, with the folders.

    Args:
        folders: sequence of strings, folders of runs.

    Returns:
        List of strings, all different.

    Raises:
        DataError: as `run_settings`.
    """
    labels = []
    for content in map(run_settings, folders):
        arguments = dict(content.get("optimizer_args") or {})
        named = content.get("callbacks") or ()
        if changing := [each for each in named if not each.startswith(_ONLY_LOOK)]:
            arguments["callbacks"] = ",".join(changing)
        inner = ", ".join(f"{key}={value}" for key, value in arguments.items())
        name = str(content.get("optimizer", "?"))
        labels.append(f"{name}({inner})" if inner else name)
    return [
        f"{label} {folder}" if labels.count(label) > 1 else label
        for label, folder in zip(labels, folders, strict=True)
    ]


def _load(folder: str, label: str, data: str | None) -> TrainedRun:
    settings = run_settings(folder)
    data = (data or settings["data"]).rstrip("/")
    if not gfile.isdir(data):
        raise DataError(
            f"no data folder {data}; name the data of the run in {folder} by --data=FOLDER"
        )
    model = load_best(folder)
    if not isinstance(model, ClickModel):
        raise DataError(f"{folder} has a {type(model).__name__}, which is not a model of the zoo")
    model.schema.check_same(zoo.Schema.load(data), where=data)
    check_run_data(folder, data)
    return TrainedRun(label, folder, data, settings, model, tuple(load_history(folder)))


def wide_tables(model: keras.Model) -> dict[str, Embedding]:
    """Returns the embedding tables of a model, without those of its linear part.

    Args:
        model: Keras model.

    Returns:
        Dict from name to layer: the tables of width 2 or more, or all if there are none.

    Raises:
        DataError: on dynamic tables, whose rows do not belong to the ids of a vocabulary.

    Example:
        >>> schema = zoo.Schema("tiny", [zoo.Categorical("user", 10)])
        >>> list(wide_tables(zoo.DeepFM(schema, embedding_dim=4, hidden_units=(8,))))
        ['embedding/table']
    """
    tables = tables_of(model)
    if any(isinstance(layer, DynamicEmbedding) for layer in tables.values()):
        raise DataError(
            f"{model.name} has dynamic tables, whose rows do not belong to the ids of the "
            "vocabulary; name a run without --model_args=dynamic=..., or use launch.inspect"
        )
    wide = {name: layer for name, layer in tables.items() if layer.output_dim > 1}
    return wide or tables


def training_sample(run: TrainedRun, samples: int, batch_size: int, seed: int) -> list[Batch]:
    """Returns rows of the training split, drawn at random.

    Args:
        run: `TrainedRun`.
        samples: int, number of rows; 0: all. They are in memory.
        batch_size: int, rows per batch.
        seed: int, of the draw.

    Returns:
        List of batches `(features, label)` or `(features, label, weight)` as arrays.

    Raises:
        DataError: if the data cannot be read.
    """
    rows = zoo.read_tfrecords(
        run.data, "train", run.schema, batch_size=batch_size, shuffle=samples > 0, seed=seed
    )
    found, left = [], samples or None
    for batch in rows.as_numpy_iterator():
        if left is not None:
            batch = tf.nest.map_structure(lambda part, n=left: part[:n], batch)
            left -= len(batch[1])
        found.append(batch)
        if left == 0:
            break
    return found


def scored_split(data: str) -> str:
    """Returns the name of a folder's split that models are scored on: "test", else "valid"."""
    splits = load_manifest(data)
    return "test" if not splits or "test" in splits else "valid"


def check_field_names(schema: zoo.Schema, fields: Sequence[str]) -> None:
    """Raises `DataError` on a field that the data do not have.

    Args:
        schema: `zoo.Schema` of the data.
        fields: sequence of strings.
    """
    known = [field.name for field in schema.categorical]
    for name in fields:
        if name not in known:
            raise DataError(
                f"the data have no field {name!r}.{nearest(name, known)} Fields: {', '.join(known)}"
            )


def check_out(out: str, name: str, overwrite: bool) -> None:
    """Raises `DataError` if a folder holds a result and it is not to be replaced.

    Args:
        out: string, folder for results.
        name: string, name of the file.
        overwrite: boolean, whether to replace it.
    """
    if gfile.exists(out) and not gfile.isdir(out):
        raise DataError(f"{out} is a file; name a folder")
    if gfile.exists(join(out, name)) and not overwrite:
        raise DataError(
            f"{os.fspath(out)} holds {name}; replace it with --overwrite, or name another folder"
        )
