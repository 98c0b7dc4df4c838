"""The shape of the comparison of models: Criteo's columns, a million ids, one MLP."""

import numpy as np

FIELDS, NUMBERS, SIZE = 26, 13, 38_461
BATCH, DIM, HIDDEN = 4096, 16, (400, 400, 400)
BATCHES = 8  # used in turn
HISTORY = 20  # ids of the first field at most, for models of histories


def batches() -> list[dict[str, np.ndarray]]:
    """Returns batches whose ids follow a power law; they are the same in every process."""
    rng = np.random.default_rng(0)
    return [
        {
            "ids": ((rng.zipf(1.2, (BATCH, FIELDS)) - 1) % SIZE).astype(np.int32),
            "numeric": rng.normal(size=(BATCH, NUMBERS)).astype(np.float32),
            "label": rng.integers(0, 2, (BATCH, 1)).astype(np.float32),
        }
        for _ in range(BATCHES)
    ]


def histories() -> list[np.ndarray]:
    """Returns the histories of each batch: 0 to 20 ids above 0, padded with 0."""
    rng = np.random.default_rng(1)
    found = []
    for _ in range(BATCHES):
        ids = 1 + (rng.zipf(1.2, (BATCH, HISTORY)) - 1) % (SIZE - 1)
        lengths = rng.integers(0, HISTORY + 1, (BATCH, 1))
        found.append(np.where(np.arange(HISTORY) < lengths, ids, 0).astype(np.int32))
    return found
