"""How text becomes ids, as a table for clients that encode outside of TensorFlow."""

from __future__ import annotations

from typing import Any

from tf_helen.stores import gfile
from zoo.data.columns import Categorical
from zoo.data.files import DataError, read_text
from zoo.data.safe_paths import inside
from zoo.data.vocabulary import vocabulary_file
from zoo.serving.encoding import NEEDS_A_VOCABULARY
from zoo.serving.model_card import FILE as CARD
from zoo.serving.model_card import schema_of_card

FORMAT = 1


def encoding_table(saved_model: str) -> dict[str, Any]:
    """Returns what a client needs to encode raw rows for `serve_ids` or its ONNX model.

    Args:
        saved_model: string, folder that `export_saved_model` wrote.

    Returns:
        Dict with "version"; "fields", dicts in the order of the columns of `ids` with the field's
        "name", "encoding", "length", "missing" and, as far as its encoding and length use them,
        "size" (`hash`), "boundaries" (`buckets`), "vocabulary" (the texts of the ids 0, 1, ...)
        and "separator"; and "numbers", the names of the columns of `numeric`, in order.
        docs/serving.md says how they are used.

    Raises:
        DataError: if the model card or a vocabulary is missing or damaged.

    Example:
        >>> encoding_table("served")["numbers"]  # doctest: +SKIP
        ['price']
    """
    schema = schema_of_card(saved_model)
    return {
        "version": FORMAT,
        "fields": [_field(saved_model, field) for field in schema.categorical],
        "numbers": [column.name for column in schema.numeric],
    }


def _field(saved_model: str, field: Categorical) -> dict[str, Any]:
    found: dict[str, Any] = {
        "name": field.name,
        "encoding": field.encoding,
        "length": field.length,
        "missing": field.missing,
    }
    if field.length > 1:
        found["separator"] = field.separator
    if field.encoding == "hash":
        found["size"] = field.size
    if field.encoding == "buckets":
        found["boundaries"] = list(field.boundaries)
    if field.encoding in NEEDS_A_VOCABULARY:
        found["vocabulary"] = _vocabulary(saved_model, field)
    return found


def _vocabulary(saved_model: str, field: Categorical) -> list[str]:
    names = dict.fromkeys([vocabulary_file(field.name), f"{field.name}.tsv"])  # of 0.2, of 0.1
    for name in names:
        path = inside(saved_model, f"assets/{name}", CARD)
        if gfile.exists(path):
            # Not `splitlines`: a value may contain line ends of Unicode.
            lines = read_text(path).removesuffix("\n").split("\n")
            break
    else:
        raise DataError(f"no vocabulary {path}; export the model again")
    if len(lines) != field.size:
        raise DataError(
            f"{path} has {len(lines)} lines, and the field {field.name!r} {field.size} ids; export "
            "the model again"
        )
    return [line.split("\t", 1)[0] for line in lines]
