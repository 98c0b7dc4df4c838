"""Exports SavedModels that take raw strings and numbers and return probabilities."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

import tensorflow as tf
from tensorflow.core.protobuf import fingerprint_pb2

from tf_helen.core import row_reuse
from tf_helen.layers import Embedding
from tf_helen.stores import gfile
from tf_helen.stores.schemes import check_reachable
from zoo.data.files import join, write_bytes
from zoo.data.folders import final_folder
from zoo.data.schema import Schema
from zoo.models import ClickModel
from zoo.serving.model_card import write_card
from zoo.serving.replaceable import EXPORT, check_replaceable, replacing
from zoo.serving.scorer import RawScorer
from zoo.serving.stored_tables import StoredTable
from zoo.serving.warmup import WARMUP_REQUESTS, check_warmup, write_warmup


def export_saved_model(
    model: ClickModel,
    data: str,
    out: str,
    *,
    stored: Mapping[Embedding, StoredTable] | None = None,
    user: Sequence[str] = (),
    warmup_requests: int = WARMUP_REQUESTS,
    card: Mapping[str, Any] | None = None,
) -> str:
    """Writes a SavedModel that serves raw features.

    Each signature has the outputs `probability` and `logit`, float32 `[B]`. `serving_default` takes
    a tensor `[B]` per column of the schema, named by `input_names` (characters other than letters,
    digits and "_" become "_"). `serve_examples` takes serialized `tf.train.Example`s `[B]`;
    `examples` is its name in version 0.2. `serve_ids` takes encoded features. `user_once`, with
    `user`, takes the user's columns as `[1]` and the others as `[N]`. The SavedModel contains the
    vocabularies as assets, warm-up requests for TensorFlow Serving, `model_card.json`, and no
    optimizer state.

    Args:
        model: a trained `zoo.ClickModel`.
        data: string, folder with the vocabularies that the model was trained with.
        out: string, folder to write, completely or not at all; replaces an existing SavedModel.
        stored: dict, the result of `stored_tables`, for quantized tables or tables without rows of
            zeros. Defaults to `None`: all rows in float32.
        user: names of the user's columns. Defaults to `()`: no signature `user_once`.
        warmup_requests: int from 0 to 1000, number of warm-up requests; see
            `zoo.serving.warmup`. Defaults to 12.
        card: dict that is added to `model_card.json`, such as the scores. Defaults to `None`.

    Returns:
        `out`.

    Raises:
        DataError: if a vocabulary is missing or does not fit, or `out` holds anything other than a
            SavedModel.
        ValueError: if `user` names an unknown column or all columns, or on a wrong number of
            warm-up requests.

    Example:
        >>> export_saved_model(model, "data/frappe", "served")  # doctest: +SKIP
    """
    check_warmup(warmup_requests)
    with replacing(out, EXPORT, "a SavedModel") as partial, model.settled():
        scorer = RawScorer(model, data, stored=stored, user=user)
        _save(scorer, partial)
        write_card(partial, scorer, data, card or {})
        write_warmup(partial, scorer, data, warmup_requests)
    return out


def _save(scorer: RawScorer, folder: str) -> None:
    served = tf.Module()  # what the signatures need, without the training state
    replaced = {id(variable) for layer in scorer.stored for variable in layer.variables}
    served.variables_ = [
        variable.value
        for variable in scorer.model.variables
        if id(variable) not in replaced and not row_reuse.is_record(variable)
    ]
    served.indices = scorer.indices
    served.stored = [table.parts for table in scorer.stored.values()]
    served.kernels = scorer.once.kernels if scorer.once is not None else []
    served.tables = scorer.tables
    served.columns = _told(scorer.inputs, scorer.schema)
    tf.saved_model.save(served, folder, signatures=_signatures(scorer))
    _set_fingerprint(folder)


def _set_fingerprint(folder: str) -> None:
    """Replaces the random identifier of a SavedModel, so that equal exports have equal bytes."""
    path = join(folder, "fingerprint.pb")
    content = fingerprint_pb2.FingerprintDef()
    # Older versions of TensorFlow, such as 2.18, write no identifier.
    if "uuid" not in content.DESCRIPTOR.fields_by_name or not gfile.exists(path):
        return
    with gfile.GFile(path, "rb") as file:
        content.ParseFromString(file.read())
    content.uuid = ""
    known = hashlib.sha256(content.SerializeToString(deterministic=True)).hexdigest()
    content.uuid = str(uuid.UUID(known[:32]))
    write_bytes(path, content.SerializeToString(deterministic=True))


def _signatures(scorer: RawScorer) -> dict[str, Any]:
    @tf.function
    def serving_default(**raw):
        return scorer.score(raw)

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "examples")])
    def serve_examples(examples):
        return scorer.score_examples(examples)

    @tf.function
    def serve_ids(**features):
        return scorer.score_ids(features)

    examples = serve_examples.get_concrete_function()
    signatures = {
        "serving_default": serving_default.get_concrete_function(**scorer.specs()),
        "serve_examples": examples,
        "examples": examples,
        "serve_ids": serve_ids.get_concrete_function(**scorer.feature_specs()),
    }
    if scorer.once is not None:

        @tf.function
        def user_once(**raw):
            return scorer.score_user_once(raw)

        signatures["user_once"] = user_once.get_concrete_function(**scorer.user_specs())
    return signatures


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
    check_replaceable(final_folder(out), EXPORT, "a SavedModel")
