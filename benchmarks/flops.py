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
_REDUCTIONS = {"Mean", "Sum", "Max"}


def flops_per_row(cls: type, schema, settings: dict) -> int:
    """Multiplications and additions count one each; lookups, copies and comparisons none."""
    # Tables of ten rows: their size does not count, and the graph holds them.
    small = tuple(dataclasses.replace(field, size=10) for field in schema.categorical)
    model = cls(dataclasses.replace(schema, categorical=small), **settings)
    dtypes = {"ids": tf.int32, "numeric": tf.float32}
    shapes = model.feature_shapes()
    specs = {key: tf.TensorSpec((1, width), dtypes[key]) for key, (_, width) in shapes.items()}
    graph = inlined(tf.function(lambda x: model(x)).get_concrete_function(specs)).graph
    return sum(_flops(operation) for operation in graph.get_operations())


def _flops(operation: tf.Operation) -> int:
    shapes = [tensor.shape for tensor in (*operation.inputs, *operation.outputs)]
    if operation.type not in _ELEMENTWISE | _REDUCTIONS | {"MatMul", "BatchMatMulV2", "Einsum"}:
        return 0
    if not all(shape.is_fully_defined() for shape in shapes):
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


def _einsum_terms(operation: tf.Operation, shapes: list) -> int:
    letters = operation.get_attr("equation").decode().split("->")[0].split(",")
    lengths: dict[str, int] = {}
    for names, shape in zip(letters, shapes, strict=False):
        lengths |= dict(zip(names.replace("...", ""), list(shape)[-len(names) :], strict=False))
    return int(np.prod(list(lengths.values())))
