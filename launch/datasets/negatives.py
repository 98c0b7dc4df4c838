"""Sampled negatives: what somebody has not chosen, each equally likely."""

from __future__ import annotations

import numpy as np

from zoo.data.files import DataError


def sample_outside(
    owners: np.ndarray, known: np.ndarray, ids: int, random: np.random.Generator
) -> np.ndarray:
    """Draws an id for each owner, uniformly among those that the owner has not.

    Args:
        owners: int64 [n], such as users; one may stand several times and draws apart each time.
        known: int64 [k], ascending: `owner * ids + id` of every pair that exists.
        ids: Number of ids; an id is 0 to `ids - 1`.
        random: Source of randomness.

    Returns:
        int64 [n], the ids drawn.

    Raises:
        DataError: If an owner has all ids, so that none is left to draw.

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
                f"a user or item has all {ids:,} ids, so no negative is left; use more data"
            )
    drawn = random.integers(ids, size=len(owners))
    pending = np.arange(len(owners))
    while pending.size:
        pair = owners[pending] * ids + drawn[pending]
        place = np.minimum(np.searchsorted(known, pair), len(known) - 1)
        pending = pending[known[place] == pair] if len(known) else pending[:0]
        drawn[pending] = random.integers(ids, size=len(pending))
    return drawn
