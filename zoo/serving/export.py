"""Exports SavedModels that take raw strings and numbers and return probabilities."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import tensorflow as tf

from tf_helen.core.folders import remove_folder
from zoo.data.files import DataError
from zoo.data.folders import (
    final_folder,
    partial_folder,
    publish_folder,
    restore_folder,
    was_interrupted,
)
from zoo.data.locks import FolderLock
from zoo.data.remote import check_reachable
from zoo.data.schema import Schema
from zoo.models import ClickModel
from zoo.serving.encoding import ids_from_text, lookup_table
from zoo.serving.input_names import input_names

_MARKER = "saved_model.pb"


class RawScorer(tf.Module):
    """A model with its vocabularies, which takes raw features and returns probabilities.

    Args:
        model: a trained `zoo.ClickModel`.
        data: string, folder with the vocabularies that the model was trained with.

    Raises:
        DataError: if a vocabulary is missing, its size differs from that of the model's field, or
            it is not the one that the model was trained with.

    Example:
        >>> scorer = RawScorer(model, "data/frappe")  # doctest: +SKIP
    """

    def __init__(self, model: ClickModel, data: str):
        super().__init__()
        self.model = model
        self.schema = model.schema
        self.inputs = input_names(column.name for column in self.schema.columns)
        known = model.vocabularies
        tables = {
            field.name: lookup_table(data, field, known.get(field.name))
            for field in self.schema.categorical
        }
        self.tables = {name: table for name, table in tables.items() if table is not None}

    def specs(self) -> dict[str, tf.TensorSpec]:
        """Input specs by name: strings `[B]` for fields, float32 `[B]` for numbers."""
        dtypes = {field.name: tf.string for field in self.schema.categorical}
        dtypes |= {column.name: tf.float32 for column in self.schema.numeric}
        return {
            self.inputs[name]: tf.TensorSpec([None], dtype, self.inputs[name])
            for name, dtype in dtypes.items()
        }

    def score(self, raw: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        """Scores raw features.

        Args:
            raw: dict by input name: strings `[B]` for fields (several values joined by the field's
                separator; "" is missing) and numbers `[B]` (NaN is missing and becomes the column's
                `missing_value`). See `zoo.serving.encoding`.

        Returns:
            `{"probability": float32 [B]}`.
        """
        features = {}
        if self.schema.categorical:
            columns = [
                ids_from_text(field, raw[self.inputs[field.name]], self.tables.get(field.name))
                for field in self.schema.categorical
            ]
            features["ids"] = tf.concat(columns, axis=1)
        if self.schema.numeric:
            numbers = [(raw[self.inputs[c.name]], c.missing_value) for c in self.schema.numeric]
            columns = [tf.where(tf.math.is_finite(x), x, missing) for x, missing in numbers]
            features["numeric"] = tf.stack(columns, axis=1)
        logits = self.model(features, training=False)
        return {"probability": tf.sigmoid(tf.reshape(logits, [-1]))}

    def score_examples(self, serialized: tf.Tensor) -> dict[str, tf.Tensor]:
        """Scores serialized `tf.train.Example`s `[B]` that hold raw features.

        A multi-valued field is a list of bytes; absent features are missing values.
        """
        wanted: dict = {}
        for field in self.schema.categorical:
            several = tf.io.RaggedFeature(tf.string)
            wanted[field.name] = several if field.length > 1 else _one(tf.string, "")
        for column in self.schema.numeric:
            wanted[column.name] = _one(tf.float32, column.missing_value)
        raw = tf.io.parse_example(serialized, wanted)
        for field in self.schema.categorical:
            if field.length > 1:
                raw[field.name] = tf.strings.reduce_join(
                    raw[field.name], axis=1, separator=field.separator
                )
        return self.score({self.inputs[name]: values for name, values in raw.items()})


def export_saved_model(model: ClickModel, data: str, out: str) -> str:
    """Writes a SavedModel that serves raw features.

    It has two signatures, each with the output `probability` float32 `[B]`. `serving_default` takes
    a tensor `[B]` per column of the schema, named by `input_names` (characters other than letters,
    digits and "_" become "_"). `examples` takes serialized `tf.train.Example`s `[B]`. The
    SavedModel contains the vocabularies as assets and no optimizer state.

    Args:
        model: a trained `zoo.ClickModel`.
        data: string, folder with the vocabularies that the model was trained with.
        out: string, folder to write, completely or not at all; replaces an existing SavedModel.

    Returns:
        `out`.

    Raises:
        DataError: if a vocabulary is missing or does not fit, or `out` holds anything other than a
            SavedModel.

    Example:
        >>> export_saved_model(model, "data/frappe", "served")  # doctest: +SKIP
    """
    with FolderLock(final_folder(out)):
        return _export(model, data, out)


def _export(model: ClickModel, data: str, out: str) -> str:
    given, out = out, final_folder(out)
    restore_folder(out, _MARKER)
    _check_replaceable(out)
    partial = partial_folder(out)
    if tf.io.gfile.exists(partial):  # left by a killed process
        remove_folder(partial)
    with model.settled():
        scorer = RawScorer(model, data)

        @tf.function
        def serving_default(**raw):
            return scorer.score(raw)

        @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "examples")])
        def examples(examples):
            return scorer.score_examples(examples)

        signatures = {
            "serving_default": serving_default.get_concrete_function(**scorer.specs()),
            "examples": examples.get_concrete_function(),
        }
        try:
            served = tf.Module()  # what the signatures need, without the training state
            served.variables_ = [variable.value for variable in model.variables]
            served.tables = scorer.tables
            served.columns = _told(scorer.inputs, scorer.schema)
            tf.saved_model.save(served, partial, signatures=signatures)
            publish_folder(partial, out, last=_MARKER)
        finally:
            if tf.io.gfile.exists(partial):
                remove_folder(partial)
    return given


def _told(inputs: Mapping[str, str], schema: Schema) -> tf.types.experimental.PolymorphicFunction:
    """Returns a function that lists the columns, for clients.

    It gives their names, their input names, and the separators of fields of several values ("" for
    other columns).
    """
    separators = {f.name: f.separator for f in schema.categorical if f.length > 1}

    @tf.function(input_signature=[])
    def columns():
        return {
            "column": tf.constant(list(inputs), tf.string),
            "input": tf.constant(list(inputs.values()), tf.string),
            "separator": tf.constant([separators.get(name, "") for name in inputs], tf.string),
        }

    return columns


def _one(dtype: tf.DType, default: Any) -> tf.io.FixedLenFeature:
    return tf.io.FixedLenFeature([], dtype, default_value=default)


def check_export(out: str) -> None:
    """Raises unless `export_saved_model` can write to a folder.

    Args:
        out: string, folder to write.

    Raises:
        DataError: if it holds anything other than a SavedModel.

    Example:
        >>> check_export("served")
    """
    check_reachable(out)
    _check_replaceable(final_folder(out))


def _check_replaceable(out: str) -> None:
    if not tf.io.gfile.exists(out):
        return
    if not tf.io.gfile.isdir(out):
        raise DataError(f"{out} is a file; name a folder")
    is_export = tf.io.gfile.exists(f"{out}/{_MARKER}") or was_interrupted(out, _MARKER)
    if tf.io.gfile.listdir(out) and not is_export:
        raise DataError(f"{out} holds files other than a SavedModel; name another folder")
