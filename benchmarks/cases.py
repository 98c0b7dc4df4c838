"""The optimizers whose steps are timed, by name, and their groups per process."""

from __future__ import annotations

import functools
from collections.abc import Callable

import keras

import tf_helen
from tf_helen.optimizers.wrapping import WrappingOptimizer

YARDSTICK = "Adam"
DEFAULT = ["SGD", "Adam", "AdamAR", "GroupAdam", "Helen(Adam)", "Keras Adam"]

# Arguments of classes whose defaults skip part of the update.
_LASSO = {"l1": 1e-6, "l21": 1e-5, "l2": 1e-5}
_ARGUMENTS = {
    cls.__name__: _LASSO
    for cls in tf_helen.optimizers.CLASSES
    if cls.__name__.startswith("Group")  # all strengths 0 skip the thresholds
}


def _per_variable() -> keras.optimizers.Optimizer:
    return tf_helen.PerVariable({"embedding": tf_helen.AdamAR(), "*": tf_helen.Adam()})


def _class_cases() -> dict[str, Callable[[], keras.optimizers.Optimizer]]:
    """One case per class of `tf_helen.optimizers.CLASSES`."""
    made = {}
    for cls in tf_helen.optimizers.CLASSES:
        name = cls.__name__
        if cls is tf_helen.PerVariable:
            made["PerVariable(AdamAR)"] = _per_variable
        elif issubclass(cls, WrappingOptimizer):
            made[f"{name}(Adam)"] = cls
        else:
            made[name] = functools.partial(cls, **_ARGUMENTS.get(name, {}))
    return made


_COMPOSED = {
    "Adam tracked": lambda: tf_helen.Adam(track_rows=True),
    "AdamW counted": lambda: tf_helen.AdamW(counter_halflife=1000),
    "Helen running": lambda: tf_helen.Helen(frequency="running"),
    "Helen(AdamAR)": lambda: tf_helen.Helen(base_optimizer=tf_helen.AdamAR()),
    "Helen(GroupAdam)": lambda: tf_helen.Helen(base_optimizer=tf_helen.GroupAdam(**_LASSO)),
    "CowClip(AdamAR)": lambda: tf_helen.CowClip(base_optimizer=tf_helen.AdamAR()),
    "Helen(CowClip)": lambda: tf_helen.Helen(base_optimizer=tf_helen.CowClip()),
    "Helen(PerVariable)": lambda: tf_helen.Helen(base_optimizer=_per_variable()),
}
ROW_SPARSE = _class_cases() | _COMPOSED
# Optimizers for comparison, whose step time grows with the table.
STOCK = {"Keras Adam": lambda: keras.optimizers.Adam()}
CASES = ROW_SPARSE | STOCK


def state_bytes(name: str, width: int) -> float:
    """Returns the bytes of optimizer state per row of a float32 table of a width."""
    rows, optimizer = 4096, CASES[name]()
    table = keras.Variable(keras.ops.zeros((rows, width)), name="embedding")
    optimizer.build([table])
    return (
        sum(v.value.dtype.size * v.value.shape.num_elements() for v in optimizer.variables) / rows
    )


def groups_of(names: list[str], rows: int, width: int, budget: float) -> list[list[str]]:
    """Splits optimizers into groups whose tables and slots fit `budget` bytes, in order.

    Args:
        names: names of the optimizers; Adam is in every group except that of Keras.
        rows: rows of all tables of one optimizer.
        width: numbers per row.
        budget: bytes per process.

    Returns:
        Groups of names. Keras's optimizers have a separate group, because steps of half a second
        would affect the times of the other optimizers.
    """
    groups, room = [], 0.0
    size = {name: rows * (4 * width + state_bytes(name, width)) for name in names}
    for name in names:
        if name in STOCK or name == YARDSTICK:
            continue
        if not groups or size[name] > room:
            groups.append([YARDSTICK])
            room = budget - rows * (4 * width + state_bytes(YARDSTICK, width))
        groups[-1].append(name)
        room -= size[name]
    if not groups and YARDSTICK in names:
        groups.append([YARDSTICK])
    stock = [[name for name in names if name in STOCK]]
    return groups + [group for group in stock if group]
