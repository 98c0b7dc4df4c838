"""Bytes that a replica sends per training step: rows summed, not summed, and the dense table.

    python benchmarks/step_bytes.py [--rows=1e4,1e6,1e8] [--batch=2048] [--fields=10] [--dim=16]
                                    [--exponent=1.05]

The ids of each field are drawn from a power law, `P(rank k) ~ k^-exponent`. The gradient is that of
one replica's batch; `tf_helen.core.replicas.rows_to_send` gives what is sent of it. No table is
allocated.
"""

from __future__ import annotations

import os
import pathlib
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

import numpy as np
import tensorflow as tf
from absl import app, flags

from tf_helen.core.replicas import rows_to_send

_ROWS = flags.DEFINE_list("rows", ["1e4", "1e6", "1e8"], "Table sizes.")
_BATCH = flags.DEFINE_integer("batch", 2048, "Rows of the batch of one replica.", lower_bound=1)
_FIELDS = flags.DEFINE_integer("fields", 10, "Fields of equal size.", lower_bound=1)
_DIM = flags.DEFINE_integer("dim", 16, "Width of a row.", lower_bound=1)
_EXPONENT = flags.DEFINE_float("exponent", 1.05, "Exponent of the power law.", lower_bound=0)


def draw_ids(rows: int, batch: int, fields: int, exponent: float) -> np.ndarray:
    """Returns ids `[batch * fields]` of a table whose fields have the same number of rows."""
    rng, size = np.random.default_rng(0), rows // fields
    # The inverse of the continuous distribution function.
    uniform, power = rng.random((batch, fields)), 1 - exponent
    if abs(power) < 1e-9:
        ranks = size**uniform
    else:
        ranks = (1 + uniform * (size**power - 1)) ** (1 / power)
    ids = np.minimum(ranks.astype(np.int64) - 1, size - 1) + size * np.arange(fields)
    return ids.ravel()


def bytes_of(slices: tf.IndexedSlices) -> int:
    """Returns the bytes of the values and indices of slices."""
    return sum(part.numpy().nbytes for part in (slices.values, slices.indices))


def main(argv: list[str]) -> None:
    del argv
    print("| table rows | lookups | distinct rows | rows summed | not summed | dense table |")
    print("|---:|---:|---:|---:|---:|---:|")
    for rows in (int(float(size)) for size in _ROWS.value):
        ids = draw_ids(rows, _BATCH.value, _FIELDS.value, _EXPONENT.value)
        gradient = tf.IndexedSlices(tf.ones([len(ids), _DIM.value]), tf.constant(ids, tf.int32))
        sent = rows_to_send(gradient)
        cells = [bytes_of(sent), bytes_of(gradient), rows * _DIM.value * 4]
        counts = [rows, len(ids), len(sent.indices)]
        numbers = [f"{n:,}" for n in counts] + [f"{n / 1e6:,.2f} MB" for n in cells]
        print(f"| {' | '.join(numbers)} |")


if __name__ == "__main__":
    app.run(main)
