"""The shape that models are compared on: Criteo's columns, a million ids, one MLP."""

import numpy as np

FIELDS, NUMBERS, SIZE = 26, 13, 38_461
BATCH, DIM, HIDDEN = 4096, 16, (400, 400, 400)
BATCHES = 8  # taken in turn


def batches() -> list[dict[str, np.ndarray]]:
    """Rows whose ids follow a power law; the same in every process."""
    rng = np.random.default_rng(0)
    return [
        {
            "ids": ((rng.zipf(1.2, (BATCH, FIELDS)) - 1) % SIZE).astype(np.int32),
            "numeric": rng.normal(size=(BATCH, NUMBERS)).astype(np.float32),
            "label": rng.integers(0, 2, (BATCH, 1)).astype(np.float32),
        }
        for _ in range(BATCHES)
    ]
