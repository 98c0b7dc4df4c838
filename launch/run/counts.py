"""How often each id occurs in the training split."""

from __future__ import annotations

import numpy as np

import zoo
from tf_helen.stores import gfile
from zoo.data.vocabulary import vocabulary_path


def training_counts(data: str, schema: zoo.Schema) -> dict[str, np.ndarray]:
    """Returns the number of occurrences of each id in the training split.

    The vocabularies hold them. If the folder has none, such as one that `zoo.write_tfrecords`
    wrote, the ids of the records are counted.

    Args:
        data: string, prepared data folder.
        schema: `zoo.Schema` of the data.

    Returns:
        Dict from field name to int64 counts [size].

    Raises:
        DataError: if a vocabulary does not fit the schema, or the records cannot be read.

    Example:
        >>> import tempfile
        >>> folder, schema = tempfile.mkdtemp(), zoo.Schema("tiny", [zoo.Categorical("user", 4)])
        >>> rows = {"ids": np.array([[3], [3], [1]]), "label": np.array([1.0, 0.0, 1.0])}
        >>> _ = zoo.write_tfrecords(folder, schema, "train", [rows])
        >>> training_counts(folder, schema)["user"].tolist()
        [0, 1, 0, 2]
    """
    names = [field.name for field in schema.categorical]
    if any(gfile.exists(vocabulary_path(data, name)) for name in names):
        return zoo.load_counts(data, schema)
    counts = {name: np.zeros(size, np.int64) for name, size in schema.field_sizes.items()}
    ends = np.cumsum([field.length for field in schema.categorical])
    for features, *_ in zoo.read_tfrecords(data, "train", schema, batch_size=8192):
        ids = features["ids"].numpy()
        for field, end in zip(schema.categorical, ends, strict=True):
            found = ids[:, end - field.length : end]
            counts[field.name] += np.bincount(found[found >= 0], minlength=field.size)
    return counts
