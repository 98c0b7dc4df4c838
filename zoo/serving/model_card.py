"""`model_card.json`: what an export contains, for people and for clients without this package."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from tf_helen.stores import gfile
from tf_helen.version import __version__
from zoo.data.files import DataError, join, read_json, write_json
from zoo.data.identity import vocabulary_checksum
from zoo.data.schema import VERSION as SCHEMA_VERSION
from zoo.data.schema import Schema
from zoo.data.schema_text import schema_from_text, schema_to_text
from zoo.serving.code_version import code_version
from zoo.serving.replaceable import EXPORT

if TYPE_CHECKING:
    from zoo.serving.scorer import RawScorer

FILE = "model_card.json"
VERSION = 1
_SETTINGS_IN_SCHEMA = ("schema", "vocabularies", "name", "dtype")


def write_card(folder: str, scorer: RawScorer, data: str, more: Mapping[str, Any]) -> None:
    """Writes the model card of a SavedModel.

    Args:
        folder: string, folder of the SavedModel.
        scorer: `RawScorer`, its functions.
        data: string, folder with the vocabularies.
        more: dict, further entries, such as the scores.
    """
    checksums = {f.name: vocabulary_checksum(data, f.name) for f in scorer.schema.categorical}
    vocabularies = {name: found for name, found in checksums.items() if found}
    content = {**_card(folder, scorer), "vocabularies": vocabularies, **more}
    write_json(join(folder, FILE), content)


def read_card(folder: str) -> dict[str, Any]:
    """Reads the model card of an export.

    Args:
        folder: string, folder that `export_saved_model` wrote.

    Returns:
        Dict; see docs/serving.md for its entries.

    Raises:
        DataError: if the file is missing or damaged.

    Example:
        >>> read_card("served")["tables"]["format"]  # doctest: +SKIP
        'float32'
    """
    path = join(folder, FILE)
    if not gfile.exists(path):
        raise DataError(f"no {FILE} in {folder}; export the model again with this version")
    try:
        found = read_json(path)
        if not isinstance(found, dict) or found.get("version") != VERSION:
            raise ValueError("not a model card of version 1")
    except ValueError as error:
        raise DataError(f"{path} is damaged ({error}); export the model again") from None
    return found


def schema_of_card(folder: str) -> Schema:
    """Returns the schema in the model card of an export.

    Args:
        folder: string, folder that `export_saved_model` wrote.

    Returns:
        `zoo.Schema`.

    Raises:
        DataError: if the card is missing or damaged.

    Example:
        >>> schema_of_card("served").field_sizes  # doctest: +SKIP
        {'user': 957}
    """
    path = join(folder, FILE)
    text = json.dumps(read_card(folder).get("schema"))
    return schema_from_text(text, path, Schema, SCHEMA_VERSION)


def _card(folder: str, scorer: RawScorer) -> dict[str, Any]:
    model = scorer.model
    config = model.get_config()
    settings = {name: value for name, value in config.items() if name not in _SETTINGS_IN_SCHEMA}
    return {
        "version": VERSION,
        "tf_helen": __version__,
        "commit": code_version(),
        "tensorflow": tf.__version__,
        "model": {"class": type(model).__name__, "settings": settings},
        "schema": json.loads(schema_to_text(scorer.schema)),
        "inputs": dict(scorer.inputs),
        "user": _user(scorer),
        "tables": tables_card(scorer),
        "signatures": _signatures(folder),
    }


def _user(scorer: RawScorer) -> list[str]:
    once = scorer.once
    return [] if once is None else [column.name for column in once.user.schema.columns]


def tables_card(scorer: RawScorer) -> dict[str, Any]:
    """Returns the formats and sizes of the embedding tables of an export."""
    tables = list(scorer.stored.values())
    return {
        "formats": sorted({table.form for table in tables}),
        "rows": sum(table.rows for table in tables),
        "zero_rows_dropped": sum(table.rows - table.stored_rows for table in tables),
        "bytes_float32": sum(table.bytes_before for table in tables),
        "bytes": sum(table.bytes_after for table in tables),
    }


def _signatures(folder: str) -> dict[str, Any]:
    """Returns the tensors of each signature, which clients in C name directly."""
    saved = saved_model_pb2.SavedModel()
    with gfile.GFile(join(folder, EXPORT), "rb") as file:
        saved.ParseFromString(file.read())
    found = {}
    for name, signature in sorted(saved.meta_graphs[0].signature_def.items()):
        if name.startswith("__"):
            continue
        found[name] = {
            side: {
                key: {
                    "tensor": tensor.name,
                    "dtype": tf.as_dtype(tensor.dtype).name,
                    "shape": [None if d.size < 0 else d.size for d in tensor.tensor_shape.dim],
                }
                for key, tensor in sorted(getattr(signature, side).items())
            }
            for side in ("inputs", "outputs")
        }
    return found
