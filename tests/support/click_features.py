"""Random features for models of the zoo."""

import numpy as np


def features_of(schema, rows, seed=0):
    """Random features; of a multi-valued field any number of values, none included."""
    rng = np.random.default_rng(seed)
    features = {}
    if schema.categorical:
        columns = []
        for field in schema.categorical:
            ids = rng.integers(0, field.size, (rows, field.length), dtype=np.int32)
            if field.length > 1:
                present = rng.integers(0, field.length + 1, (rows, 1))
                ids[np.arange(field.length) >= present] = -1
            columns.append(ids)
        features["ids"] = np.concatenate(columns, axis=1)
    if schema.numeric:
        features["numeric"] = rng.normal(size=(rows, len(schema.numeric))).astype(np.float32)
    return features
