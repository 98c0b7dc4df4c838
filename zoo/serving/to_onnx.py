"""The part of an export after the ids as an ONNX model."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from tf_helen.stores.local_copies import local_folder
from zoo.data.files import DataError
from zoo.serving.replaceable import check_export_folder

OPSET = 17
_SIGNATURE = "serve_ids"


def to_onnx(saved_model: str) -> bytes:
    """Converts the signature `serve_ids` of an export to ONNX.

    The model has the inputs `ids` int32 `[B, W]` and `numeric` float32 `[B, N]`, as far as the
    schema has such columns, and the outputs `probability` and `logit`, float32 `[B]`. Text is
    encoded outside of it; docs/serving.md says how.

    Args:
        saved_model: string, folder that `export_saved_model` wrote.

    Returns:
        The serialized model.

    Raises:
        DataError: if the folder has no such signature, or dynamic tables.
        ImportError: if tf2onnx is not installed.

    Example:
        >>> to_onnx("served")  # doctest: +SKIP
    """
    try:
        from tf2onnx import convert
    except ImportError:
        raise ImportError("ONNX needs tf2onnx: pip install 'tf-helen[onnx]'") from None
    check_export_folder(saved_model)
    loaded = tf.saved_model.load(local_folder(saved_model))
    if _SIGNATURE not in loaded.signatures:
        raise DataError(f"{saved_model} has no signature {_SIGNATURE}; export the model again")
    if len(getattr(loaded, "indices", ())):
        raise DataError(
            f"{saved_model} has dynamic tables, whose hash tables ONNX does not have; serve the "
            "SavedModel, or train without --model_args=dynamic=..."
        )
    serve = loaded.signatures[_SIGNATURE]
    specs = serve.structured_input_signature[1]
    names = sorted(specs)

    # Positional arguments, whose names tf2onnx keeps.
    @tf.function(input_signature=[specs[name] for name in names])
    def scored(*values):
        return serve(**dict(zip(names, values, strict=True)))

    model, _ = convert.from_function(
        scored,
        input_signature=[specs[name] for name in names],
        opset=OPSET,
        custom_op_handlers={"Log1p": (_log1p, []), "SelectV2": (_where, [])},
    )
    _rename(model.graph, names, sorted(serve.structured_outputs))
    return model.SerializeToString()


def _log1p(context: Any, node: Any, name: str, arguments: Any) -> Any:
    """Replaces `log1p(x)`, which ONNX does not have, by `log(1 + x)`."""
    del arguments
    one = context.make_const(f"{name}_one", np.array(1, np.float32))
    total = context.make_node("Add", [node.input[0], one.output[0]])
    context.replace_input(node, node.input[0], total.output[0], 0)
    node.type = "Log"
    return node


def _where(context: Any, node: Any, name: str, arguments: Any) -> Any:
    """Selects by ONNX's `Where`; tf2onnx multiplies by 0 and 1 instead, which keeps NaN."""
    del context, name, arguments
    node.type = "Where"
    return node


def _rename(graph: Any, inputs: list[str], outputs: list[str]) -> None:
    """Gives the inputs and outputs of a graph the names of the signature, in the same order."""
    names = dict(zip([x.name for x in graph.input], inputs, strict=True))
    names |= dict(zip([x.name for x in graph.output], outputs, strict=True))
    for value in (*graph.input, *graph.output):
        value.name = names[value.name]
    for node in graph.node:
        node.input[:] = [names.get(name, name) for name in node.input]
        node.output[:] = [names.get(name, name) for name in node.output]
