"""Floating-point operations of a model's forward pass, counted in its graph."""

from __future__ import annotations

import dataclasses

import numpy as np
import tensorflow as tf
from tensorflow.python.framework.convert_to_constants import (
    convert_variables_to_constants_v2 as inlined,
)

_ELEMENTWISE = {
    "Add", "AddN", "AddV2", "BiasAdd", "Erf", "Exp", "Log", "Maximum", "Mul", "Neg", "Pow",
    "RealDiv", "Relu", "Rsqrt", "Sigmoid", "Softmax", "Sqrt", "Square", "SquaredDifference",
    "Sub", "Tanh",
}  # fmt: skip
_REDUCTIONS = {"Mean", "Sum", "Max", "UnsortedSegmentSum"}


def flops_per_row(cls: type, schema, settings: dict, places: int | None = None) -> int:
    """Counts multiplications and additions as one each; lookups, copies and comparisons as zero.

    Operations on the ids of a multi-valued field are counted for `places` ids. The default is the
    length of the longest field, so the result is an upper bound.
    """
    places = places or max((field.length for field in schema.categorical), default=1)
    # The graph contains the tables, whose size has no effect; so they get ten rows.
    small = tuple(dataclasses.replace(field, size=10) for field in schema.categorical)
    model = cls(dataclasses.replace(schema, categorical=small), **settings)
    dtypes = {"ids": tf.int32, "numeric": tf.float32}
    shapes = model.feature_shapes()
    specs = {key: tf.TensorSpec((1, width), dtypes[key]) for key, (_, width) in shapes.items()}
    graph = inlined(tf.function(lambda x: model(x)).get_concrete_function(specs)).graph
    return sum(_flops(operation, places) for operation in graph.get_operations())


def _flops(operation: tf.Operation, places: int) -> int:
    if operation.type not in _ELEMENTWISE | _REDUCTIONS | {"MatMul", "BatchMatMulV2", "Einsum"}:
        return 0
    tensors = [*operation.inputs, *operation.outputs]
    shapes = [tensor.shape for tensor in tensors]
    if not all(shape.is_fully_defined() for shape in shapes):
        # Operations on integers are not counted.
        if not tensors[-1].dtype.is_floating:
            return 0
        shapes = [_with_places(shape, places) for shape in shapes]
    if None in shapes:
        return 0
    sizes = [int(np.prod(shape)) for shape in shapes]
    if operation.type in _ELEMENTWISE:
        return sizes[-1]
    if operation.type in _REDUCTIONS:
        return sizes[0]
    if operation.type == "Einsum":
        return 2 * _einsum_terms(operation, shapes)
    transposed = "transpose_a" if operation.type == "MatMul" else "adj_x"
    inner = shapes[0][-2 if operation.get_attr(transposed) else -1]
    return 2 * sizes[-1] * inner


def _with_places(shape: tf.TensorShape, places: int) -> list[int] | None:
    """Fills in the first length of a shape if it is unknown; `None` if others are unknown."""
    if shape.rank is None or None in list(shape)[1:]:
        return None
    return [places if length is None else length for length in shape]


def _einsum_terms(operation: tf.Operation, shapes: list) -> int:
    letters = operation.get_attr("equation").decode().split("->")[0].split(",")
    lengths: dict[str, int] = {}
    for names, shape in zip(letters, shapes, strict=False):
        lengths |= dict(zip(names.replace("...", ""), list(shape)[-len(names) :], strict=False))
    return int(np.prod(list(lengths.values())))
