"""Which operations of a traced step have no GPU kernel; needs a CUDA build, but no GPU."""

from collections.abc import Iterator, Mapping

import tensorflow as tf
from tensorflow.python.framework import kernels

# Operations on strings run on the host. They make the messages of errors, from single ids.
ON_THE_HOST = {"AsString", "StringJoin", "StringFormat", "Assert"}
_GPU = ("GPU", "DEFAULT")


def is_known() -> bool:
    """Whether the registered kernels contain those for GPUs (not in a CPU build)."""
    registered = kernels.get_registered_kernels_for_op("MatMul").kernel
    return any(kernel.device_type == "GPU" for kernel in registered)


def without_gpu_kernel(graph: tf.Graph) -> set[str]:
    """Returns the operations of a graph and its functions that run on the host, with their types.

    Args:
        graph: the graph of a concrete function.

    Returns:
        Strings such as `Unique(T=string)`. Operations on strings are left out if they are a
        constant, a slice, or one of `ON_THE_HOST`.
    """
    found = set()
    for node in _nodes(graph.as_graph_def()):
        types = {k: tf.as_dtype(v.type).name for k, v in node.attr.items() if v.type}
        if node.op in ON_THE_HOST:
            continue
        if node.op in ("Const", "StridedSlice") and "string" in types.values():
            continue
        registered = kernels.get_registered_kernels_for_op(node.op).kernel
        # Operations such as While have no kernel; those of their functions count.
        if registered and not any(_fits(kernel, node.attr) for kernel in registered):
            inner = ", ".join(f"{key}={name}" for key, name in sorted(types.items()))
            found.add(f"{node.op}({inner})")
    return found


def _nodes(definition) -> Iterator:
    yield from definition.node
    for function in definition.library.function:
        yield from function.node_def


def _fits(kernel, attributes: Mapping) -> bool:
    if kernel.device_type not in _GPU:
        return False
    for constraint in kernel.constraint:
        value = attributes[constraint.name]
        given = [value.type] if value.type else list(value.list.type)
        if not set(given) <= set(constraint.allowed_values.list.type):
            return False
    return True
