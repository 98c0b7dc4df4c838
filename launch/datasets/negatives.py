"""Uniformly sampled negatives."""

from __future__ import annotations

import numpy as np

from zoo.data.files import DataError


def sample_outside(
    owners: np.ndarray, known: np.ndarray, ids: int, random: np.random.Generator
) -> np.ndarray:
    """Draws an id for each owner, uniformly from those that the owner does not have.

    Args:
        owners: int64 `[n]`, such as users; each occurrence of an owner draws independently.
        known: int64 `[k]`, ascending: `owner * ids + id` of every existing pair.
        ids: int, number of ids; ids are 0 to `ids - 1`.
        random: NumPy random generator.

    Returns:
        int64 `[n]`, the drawn ids.

    Raises:
        DataError: if an owner has all ids.

    Example:
        >>> random = np.random.default_rng(0)
        >>> sample_outside(np.array([0, 0]), np.array([0, 1]), 3, random).tolist()
        [2, 2]
    """
    if len(known) and len(owners):
        has = np.unique(known // ids, return_counts=True)
        full = has[0][has[1] >= ids]
        if np.isin(owners, full).any():
            raise DataError(
                f"a user or item has all {ids:,} ids, so no negative can be drawn; use more data"
            )
    drawn = random.integers(ids, size=len(owners))
    pending = np.arange(len(owners))
    while pending.size:
        pair = owners[pending] * ids + drawn[pending]
        place = np.minimum(np.searchsorted(known, pair), len(known) - 1)
        pending = pending[known[place] == pair] if len(known) else pending[:0]
        drawn[pending] = random.integers(ids, size=len(pending))
    return drawn
