"""Rows in the order of the files, cut into slices that are scored and trained from memory."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from launch.run.progressive_settings import Progressive
from zoo.data.files import DataError

Rows = dict[str, np.ndarray]  # features by name, "label" and, if present, "weight" and "group"
_NO_FEATURES = ("label", "weight", "group", "time")


class Span(NamedTuple):
    """The rows of a slice.

    Attributes:
        split: string, name of the split.
        start: int, its first row in the split.
        stop: int, the row after its last.
    """

    split: str
    start: int
    stop: int


def plan_slices(rows: Mapping[str, int], settings: Progressive, batch_size: int) -> list[Span]:
    """Cuts splits into slices of equal length; no slice holds rows of two splits.

    Args:
        rows: dict from the name of each split to its number of rows, in the order of the pass.
        settings: `Progressive`, the number or the length of the slices.
        batch_size: int, rows of a training step.

    Returns:
        List of `Span`, in order. The last slice of a split has up to half a slice more or less.

    Example:
        >>> plan_slices({"train": 950, "valid": 90}, Progressive(slices=3), 100)[2:]
        [Span(split='train', start=600, stop=950), Span(split='valid', start=0, stop=90)]
    """
    length = settings.slice_rows
    if length is None:
        batches = sum(rows.values()) / (settings.slices * batch_size)
        length = max(1, round(batches)) * batch_size
    spans = []
    for split, count in rows.items():
        slices = max(1, math.floor(count / length + 0.5))
        edges = [*range(0, slices * length, length), count]
        spans += [Span(split, start, stop) for start, stop in itertools.pairwise(edges)]
    return spans


def read_rows(data: tf.data.Dataset) -> Iterator[Rows]:
    """Yields the batches of a dataset as arrays.

    Args:
        data: result of `zoo.read_tfrecords`.

    Yields:
        Dict of arrays `[n, k]`.

    Example:
        >>> batch = ({"ids": np.array([[3], [4]])}, np.array([[1.0], [0.0]]))
        >>> [sorted(rows) for rows in read_rows(tf.data.Dataset.from_tensors(batch))]
        [['ids', 'label']]
    """
    for features, label, *weight in data.as_numpy_iterator():
        yield {**features, "label": label, **({"weight": weight[0]} if weight else {})}


def cut(chunks: Iterable[Rows], spans: Sequence[Span]) -> Iterator[Rows]:
    """Yields the slices of one split.

    Consecutive rows of one group, such as the items of an impression, stay together in the later
    slice, because a model that is trained with half of them has seen part of the answer.

    Args:
        chunks: dicts of arrays, the rows of the split in order.
        spans: list of `Span`, its slices.

    Yields:
        Dict of arrays, the rows of each slice.

    Raises:
        DataError: if there are not as many rows as planned.

    Example:
        >>> rows = {"label": np.zeros((5, 1)), "group": np.array([[1], [1], [2], [2], [2]])}
        >>> spans = [Span("train", 0, 3), Span("train", 3, 5)]
        >>> [len(part["label"]) for part in cut([rows], spans)]
        [2, 3]
    """
    chunks, waiting, first = iter(chunks), [], 0
    for span, last in zip(spans, [False] * (len(spans) - 1) + [True], strict=True):
        wanted = span.stop - first
        # One more row shows whether the last group continues.
        while sum(map(_count, waiting)) < wanted + (not last):
            chunk = next(chunks, None)
            if chunk is None:
                break
            waiting.append(chunk)
        rows = {key: np.concatenate([part[key] for part in waiting]) for key in waiting[0]}
        if _count(rows) < wanted or (last and _count(rows) > wanted):
            raise DataError(
                f"the number of rows of the split {span.split!r} is no longer {spans[-1].stop:,}; "
                "its files were changed during the run. Start again with --overwrite"
            )
        end = wanted if last else _end_of_group(rows, wanted)
        yield {key: values[:end] for key, values in rows.items()}
        waiting, first = [{key: values[end:] for key, values in rows.items()}], first + end


def batches(rows: Rows, batch_size: int) -> tf.data.Dataset:
    """Cuts rows in memory into batches of equal size, up to one row.

    Args:
        rows: dict of arrays.
        batch_size: int, maximum number of rows of a batch.

    Returns:
        A dataset of `(features, label)` or `(features, label, weight)`.

    Example:
        >>> rows = {"ids": np.zeros((7, 1), np.int32), "label": np.zeros((7, 1), np.float32)}
        >>> [label.shape[0] for _, label in batches(rows, 4)]
        [3, 4]
    """
    count = _count(rows)
    number = math.ceil(count / batch_size)
    edges = np.array([count * i // number for i in range(number + 1)], np.int64)
    tensors = {key: tf.constant(values) for key, values in rows.items() if key != "group"}
    # The training step passes the time to the optimizer.
    features = [*features_of(tensors), *(["time"] if "time" in tensors else [])]

    @tf.autograph.experimental.do_not_convert  # converting it for each slice takes as long as steps
    def part(start: tf.Tensor, stop: tf.Tensor) -> tuple:
        # Slicing tensors is cheap; batching a dataset of single rows takes longer than a step.
        chosen = {key: values[start:stop] for key, values in tensors.items()}
        rest = [chosen[key] for key in ("label", "weight") if key in chosen]
        return ({key: chosen[key] for key in features}, *rest)

    return tf.data.Dataset.from_tensor_slices((edges[:-1], edges[1:])).map(part).prefetch(2)


def features_of(rows: Rows) -> Rows:
    """Returns the features of rows, without label, weight, group and time.

    Args:
        rows: dict of arrays.

    Returns:
        Dict of arrays.

    Example:
        >>> list(features_of({"ids": np.zeros((1, 1)), "label": np.zeros((1, 1))}))
        ['ids']
    """
    return {key: values for key, values in rows.items() if key not in _NO_FEATURES}


def shuffled(rows: Rows, seed: int, number: int) -> Rows:
    """Shuffles the rows of a slice.

    Args:
        rows: dict of arrays.
        seed: int, seed of the run.
        number: int, number of the slice.

    Returns:
        The rows in another order, which depends on the two numbers only.

    Example:
        >>> shuffled({"label": np.arange(5)}, seed=0, number=1)["label"].tolist()
        [1, 4, 3, 0, 2]
    """
    order = np.random.default_rng((seed, number)).permutation(_count(rows))
    return {key: values[order] for key, values in rows.items()}


def _count(rows: Rows) -> int:
    return len(rows["label"])


def _end_of_group(rows: Rows, wanted: int) -> int:
    """Returns the last row up to `wanted` that begins a group, or `wanted` if that is row 0."""
    if "group" not in rows or _count(rows) <= wanted:
        return wanted
    group = rows["group"][:, 0]
    others = np.flatnonzero(group[:wanted] != group[wanted])
    return int(others[-1]) + 1 if len(others) else wanted
