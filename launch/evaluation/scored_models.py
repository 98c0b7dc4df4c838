"""Models that are scored on a split of a data folder: runs, and SavedModels."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

import zoo
from launch.analysis.runs import run_labels, run_settings
from launch.run.data import check_vocabularies
from launch.run.evaluation import DivergedError, Predictor
from launch.run.files import load_best
from tf_helen.analysis import sample_counts
from tf_helen.stores import gfile
from tf_helen.stores.local_copies import local_folder
from zoo.data.files import DataError, join, read_json
from zoo.data.identity import check_identity, data_identity
from zoo.data.manifest import load_manifest
from zoo.data.progress import ProgressBar
from zoo.data.schema import VERSION
from zoo.data.schema_text import schema_from_text
from zoo.models import ClickModel
from zoo.serving.model_card import FILE as CARD
from zoo.serving.replaceable import EXPORT

_SIGNATURE = "serve_ids"
_BATCH = 4096


@dataclasses.dataclass(frozen=True)
class ScoredModel:
    """A model that predicts encoded rows.

    Attributes:
        label: string, different for each model.
        folder: string.
        kind: "run" or "saved_model".
        predict: function from the features of a batch, arrays `[B, k]`, to logits `[B]`.
    """

    label: str
    folder: str
    kind: str
    predict: Callable[[dict[str, np.ndarray]], np.ndarray]


@dataclasses.dataclass(frozen=True)
class ScoredRows:
    """The rows of a split with the predictions of each model.

    Attributes:
        label: float64 `[n]`.
        weight: float64 `[n]`; `None` if the data have no weights.
        group: int64 `[n]`, the group of GAUC; `None` if the data have none.
        counts: int64 `[n]`, occurrences of each row's id in the training split; `None` without
            fields.
        logits: dict from the label of a model to float64 `[n]`.
    """

    label: np.ndarray
    weight: np.ndarray | None
    group: np.ndarray | None
    counts: np.ndarray | None
    logits: dict[str, np.ndarray]


def data_of(folders: Sequence[str], data: str | None) -> str:
    """Returns the data folder: the given one, or that of the first run.

    Args:
        folders: sequence of strings, folders of models.
        data: string, the given folder; `None`: not given.

    Returns:
        String.

    Raises:
        DataError: if the folder is missing, or none is given and the first model is a SavedModel.
    """
    if not folders or len(set(folders)) < len(folders):
        raise DataError("name one or more different folders, such as --runs=out/adam,out/helen")
    if data is None:
        if _is_saved_model(folders[0]):
            raise DataError(f"{folders[0]} is a SavedModel; name the data by --data=FOLDER")
        data = run_settings(folders[0])["data"]
    data = data.rstrip("/")
    if not gfile.isdir(data):
        raise DataError(f"no data folder {data}; name the prepared data by --data=FOLDER")
    return data


def load_models(folders: Sequence[str], data: str) -> list[ScoredModel]:
    """Loads runs and SavedModels to score them on the same data.

    Args:
        folders: sequence of strings: folders of `launch.train`, of which the best epoch is taken,
            or of `launch.export`.
        data: string, prepared data folder.

    Returns:
        List of `ScoredModel`, in the order of `folders`.

    Raises:
        DataError: if a folder is neither, or the schema or a vocabulary of the data is not that of
            the model.

    Example:
        >>> load_models(["out/adam", "served"], "data/frappe")[0].label  # doctest: +SKIP
        'adam'
    """
    schema = zoo.Schema.load(data)
    saved = [_is_saved_model(folder) for folder in folders]
    runs = [folder for folder, is_saved in zip(folders, saved, strict=True) if not is_saved]
    labels = dict(zip(runs, run_labels(runs), strict=True))
    return [
        _saved_model(folder, data, schema) if folder not in labels
        else _run(folder, labels[folder], data, schema)
        for folder in folders
    ]  # fmt: skip


def _is_saved_model(folder: str) -> bool:
    return gfile.exists(join(folder, EXPORT))


def _run(folder: str, label: str, data: str, schema: zoo.Schema) -> ScoredModel:
    model = load_best(folder)
    if not isinstance(model, ClickModel):
        raise DataError(f"{folder} has a {type(model).__name__}, which is not a model of the zoo")
    model.schema.check_same(schema, where=data)
    check_vocabularies(folder, data, model)
    return ScoredModel(label, folder, "run", Predictor(model))


def _saved_model(folder: str, data: str, schema: zoo.Schema) -> ScoredModel:
    loaded = tf.saved_model.load(local_folder(folder))
    if _SIGNATURE not in loaded.signatures:
        raise DataError(
            f"{folder} has no signature {_SIGNATURE}, which takes encoded rows; export the model "
            "again with this version"
        )
    serve = loaded.signatures[_SIGNATURE]
    _check_card(folder, data, schema)
    _check_widths(folder, serve.structured_input_signature[1], schema)

    def predict(features: dict[str, np.ndarray], owner: Any = loaded) -> np.ndarray:
        del owner  # keeps the tables of the SavedModel alive
        scores = serve(**{name: tf.constant(values) for name, values in features.items()})
        return scores["logit"].numpy()

    return ScoredModel(folder, folder, "saved_model", predict)


def _check_card(folder: str, data: str, schema: zoo.Schema) -> None:
    """Raises unless the data have the schema and the vocabularies of the export."""
    if not gfile.exists(join(folder, CARD)):
        return
    card = read_json(join(folder, CARD))
    try:
        known, vocabularies = json.dumps(card["schema"]), dict(card["vocabularies"])
    except (TypeError, KeyError, ValueError) as error:
        raise DataError(f"{folder}/{CARD} is damaged ({error!r}); export it again") from None
    _schema_of(known, join(folder, CARD)).check_same(schema, where=data)
    if not vocabularies:  # of a model that was trained without checksums
        return
    found = data_identity(data, splits=())["vocabularies"]
    check_identity({"vocabularies": vocabularies}, {"vocabularies": found}, data, folder)


def _schema_of(text: str, path: str) -> zoo.Schema:
    """Returns the schema of its JSON text; `path` is for messages."""
    return schema_from_text(text, path, zoo.Schema, VERSION)


def _check_widths(folder: str, specs: Mapping[str, tf.TensorSpec], schema: zoo.Schema) -> None:
    expected = {"ids": schema.ids_width, "numeric": len(schema.numeric)}
    found = {name: spec.shape[1] for name, spec in specs.items()}
    for name, width in expected.items():
        if found.get(name, 0) != width:
            raise DataError(
                f"{folder} takes {found.get(name, 0)} columns of {name!r}, and the data have "
                f"{width}; name the data that the model was trained with by --data"
            )


def predict_rows(
    models: Sequence[ScoredModel],
    data: str,
    split: str,
    counts: Mapping[str, np.ndarray] | None,
    *,
    field: str | None = None,
    ledger: zoo.Ledger | None = None,
    progress: bool = True,
) -> ScoredRows:
    """Predicts the rows of a split with each model.

    Args:
        models: sequence of `ScoredModel`.
        data: string, prepared data folder.
        split: string, name of the split.
        counts: dict from field to the occurrences of its ids in the training split; `None`: no
            counts.
        field: string, the field whose id's occurrences are the row's. Defaults to `None`: the
            rarest id.
        ledger: `zoo.Ledger` that receives the counts of damaged records. Defaults to `None`.
        progress: boolean; shows progress. Defaults to `True`.

    Returns:
        `ScoredRows`.

    Raises:
        DataError: if the split is missing or damaged.
        DivergedError: if a prediction is not finite.
    """
    schema = zoo.Schema.load(data)
    has_group = schema.group is not None
    reader = zoo.read_tfrecords(
        data, split, schema, batch_size=_BATCH, group=has_group, ledger=ledger
    )
    total = load_manifest(data)[split].total_rows if split in load_manifest(data) else None
    parts: dict[str, list[np.ndarray]] = {}
    names = [f"logits/{place}" for place in range(len(models))]
    with ProgressBar(f"predicting {split}", total, show=progress, delay=2.0) as bar:
        for features, label, *weight in reader.as_numpy_iterator():
            features = dict(features)
            found = {"label": label[:, 0]}
            if weight:
                found["weight"] = weight[0][:, 0]
            if has_group:
                found["group"] = features.pop("group").reshape(-1)
            if counts is not None:
                found["counts"] = sample_counts(
                    features["ids"], counts, field=field, lengths=schema.field_lengths
                )
            for name, model in zip(names, models, strict=True):
                found[name] = model.predict(features)
            for name, values in found.items():
                parts.setdefault(name, []).append(values)
            bar.update(len(label))
    columns = {name: np.concatenate(values) for name, values in parts.items()}
    logits = {
        model.label: columns[name].astype(np.float64)
        for name, model in zip(names, models, strict=True)
    }
    for model in models:
        if not np.isfinite(logits[model.label]).all():
            raise DivergedError(
                f"{os.fspath(model.folder)} gives predictions that are not finite; evaluate a "
                "model of an epoch before it diverged"
            )
    weights = columns.get("weight")
    return ScoredRows(
        columns["label"].astype(np.float64),
        None if weights is None else weights.astype(np.float64),
        columns.get("group"),
        columns.get("counts"),
        logits,
    )
