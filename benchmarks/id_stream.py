"""Batches of raw ids for tables of a fixed capacity, in NumPy only, for all libraries."""

from __future__ import annotations

import numpy as np

FIELDS, BATCH, DIM, HIDDEN = 10, 2048, 16, (200, 200)
_DISTINCT = 1000  # ids per field in a batch
_FACTOR, _OFFSET = np.int64(6364136223846793005), np.int64(1442695040888963407)


def raw_ids(numbers: np.ndarray) -> np.ndarray:
    """Returns raw ids, int64, that are different for different numbers."""
    with np.errstate(over="ignore"):
        return np.asarray(numbers, np.int64) * _FACTOR + _OFFSET


def known_numbers(rows: int, chunk: int = 100_000):
    """Yields `[n, FIELDS]`, the numbers of all ids that the full tables hold, in chunks."""
    per_field = rows // FIELDS
    for start in range(0, per_field, chunk):
        numbers = np.arange(start, min(start + chunk, per_field))
        yield np.repeat(numbers[:, None], FIELDS, axis=1)


def batches(rows: int, new: float, count: int, seed: int = 0) -> list[np.ndarray]:
    """Returns batches of numbers, `[BATCH, FIELDS]`.

    Args:
        rows: int, rows of all fields together.
        new: float, share of occurrences of ids that no batch before had.
        count: int, number of batches.
        seed: int. Defaults to 0.

    Returns:
        List of int64 arrays; numbers from `rows // FIELDS` on are new.
    """
    rng = np.random.default_rng(seed)
    per_field = rows // FIELDS
    distinct, fresh, made = min(_DISTINCT, per_field // 2), per_field, []
    for _ in range(count):
        ranks = rng.integers(0, distinct, (BATCH, FIELDS))
        spread = [rng.choice(per_field, distinct, replace=False) for _ in range(FIELDS)]
        numbers = np.stack(spread)[np.arange(FIELDS), ranks]
        is_new = rng.random((BATCH, FIELDS)) < new
        numbers[is_new] = fresh + np.arange(is_new.sum())
        fresh += int(is_new.sum())
        made.append(numbers)
    return made
