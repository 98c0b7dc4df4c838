"""The stratified folds by which AutoInt and BARS split Criteo and Avazu.

They were created with `StratifiedKFold` of scikit-learn 0.19.1. Version 0.21 changed its shuffling
(pull request 13124), and version 0.22 its assignment of rows to folds (14704), so current versions
give other rows and, for Avazu, other sizes. This module implements the version of 0.19.1.
"""

from __future__ import annotations

import numpy as np
import polars as pl

from launch.datasets.raw import RowAccount, Rows
from launch.datasets.table_types import as_numbers
from zoo.data.files import DataError
from zoo.data.progress import ProgressBar


def stratified_folds(classes: np.ndarray, folds: int, seed: int) -> np.ndarray:
    """Assigns the rows of each class to folds of equal size, at random.

    Each class is shuffled with its own generator of the same seed, and cut into `folds` parts, of
    which the first `n mod folds` are one row larger.

    Args:
        classes: integers `[n]`, the class of each row.
        folds: int, number of folds, 2 to 255.
        seed: int, seed of NumPy's `RandomState`, whose numbers are the same in every version.

    Returns:
        uint8 `[n]`, the fold of each row.

    Raises:
        DataError: if the number of folds is out of range.

    Example:
        >>> np.bincount(stratified_folds(np.array([0, 1] * 10), 10, seed=2018)).tolist()
        [2, 2, 2, 2, 2, 2, 2, 2, 2, 2]
    """
    if not 2 <= folds <= 255:
        raise DataError(f"folds={folds}; use 2 to 255")
    result = np.zeros(len(classes), np.uint8)
    for value in np.unique(classes):
        members = classes == value
        size = int(members.sum())
        # int32 takes half the memory of int64, and the generator draws the same numbers.
        order = np.arange(size, dtype=np.int32)
        np.random.RandomState(seed).shuffle(order)
        fold = np.empty(size, np.uint8)
        # The remainder goes to the first folds.
        sizes = np.full(folds, size // folds)
        sizes[: size % folds] += 1
        fold[order] = np.repeat(np.arange(folds, dtype=np.uint8), sizes)
        result[members] = fold
    return result


def label_classes(rows: Rows, column: str, what: str) -> np.ndarray:
    """Reads the labels of a stream, one byte per row.

    Args:
        rows: the stream.
        column: string, name of the label column.
        what: string before the progress bar.

    Returns:
        int8 `[n]`: 0, 1, or -1 for any other value.

    Example:
        >>> from launch.datasets.raw import in_memory
        >>> label_classes(in_memory(pl.DataFrame({"y": ["1", "0", "?"]})), "y", "labels").tolist()
        [1, 0, -1]
    """
    parts = [np.empty(0, np.int8)]
    with ProgressBar(what) as bar:
        for frame in rows(RowAccount()):
            label = as_numbers(frame[column]).cast(pl.Float32)
            known = label.is_in([0.0, 1.0]).fill_null(False).to_numpy()
            parts.append(np.where(known, label.fill_null(-1).to_numpy(), -1).astype(np.int8))
            bar.update(frame.height)
    return np.concatenate(parts)
