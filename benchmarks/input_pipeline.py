"""Rows per second that the TFRecord reader delivers, and that DeepFM trains at.

    python benchmarks/input_pipeline.py [--rows=400000] [--batch_size=4096] [--compression=GZIP]

Writes generated rows of Criteo's shape (26 categorical fields, 13 numbers) to a temporary folder,
reads them as training does (shuffled, parsed, batched) and trains DeepFM on a batch that is already
in memory, in turn. The reader shall be at least three times as fast, or it holds training back.
"""

from __future__ import annotations

import os
import pathlib
import sys
import tempfile
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

import keras
import numpy as np
import tensorflow as tf
from absl import app, flags

import tf_helen
import zoo

_ROWS = flags.DEFINE_integer("rows", 400_000, "Rows to write.")
_BATCH = flags.DEFINE_integer("batch_size", 4096, "Rows per batch.")
_SHARDS = flags.DEFINE_integer("shards", 4, "Record files.")
_COMPRESSION = flags.DEFINE_enum("compression", None, ["GZIP"], "Compression of the files.")
_ROUNDS = flags.DEFINE_integer("rounds", 5, "Rounds, reader and training in turn.")

FIELDS, NUMBERS, FIELD_SIZE = 26, 13, 40_000


def generated(rows: int):
    """Batches of rows whose ids follow a power law."""
    rng = np.random.default_rng(0)
    for start in range(0, rows, 50_000):
        n = min(50_000, rows - start)
        yield {
            "ids": (rng.zipf(1.2, (n, FIELDS)) - 1) % FIELD_SIZE,
            "numeric": rng.lognormal(size=(n, NUMBERS)).astype(np.float32),
            "label": rng.integers(0, 2, n).astype(np.float32),
        }


def read_once(folder: str) -> float:
    """Rows per second of one shuffled pass."""
    data = zoo.read_tfrecords(
        folder, "train", batch_size=_BATCH.value, shuffle=True, seed=1, verify=False
    )
    start, rows = time.perf_counter(), 0
    for _, label in data:
        rows += label.shape[0]
    return rows / (time.perf_counter() - start)


class Trainer:
    """DeepFM with Adam on one batch in memory."""

    def __init__(self, folder: str):
        schema = zoo.Schema.load(folder)
        data = zoo.read_tfrecords(folder, "train", batch_size=_BATCH.value, verify=False)
        self.batch = next(iter(data))
        self.model = zoo.get("deepfm")(schema)
        loss = keras.losses.BinaryCrossentropy(from_logits=True)
        self.model.compile(tf_helen.Adam(), loss)
        self.step = tf.function(lambda x, y: self.model.train_step((x, y)))
        self.train(3)

    def train(self, steps: int) -> float:
        """Rows per second over some steps."""
        start = time.perf_counter()
        for _ in range(steps):
            self.step(*self.batch)
        return steps * _BATCH.value / (time.perf_counter() - start)


def main(_) -> None:
    fields = [zoo.Categorical(f"c{i}", FIELD_SIZE) for i in range(FIELDS)]
    schema = zoo.Schema("generated", fields, [zoo.Numeric(f"n{i}") for i in range(NUMBERS)])
    with tempfile.TemporaryDirectory() as folder:
        batches = list(generated(_ROWS.value))
        start = time.perf_counter()
        zoo.write_tfrecords(folder, schema, "train", batches, _SHARDS.value, _COMPRESSION.value)
        written = _ROWS.value / (time.perf_counter() - start)
        trainer, ratios, read, trained = Trainer(folder), [], [], []
        read_once(folder)  # fills the cache of the file system
        for _ in range(_ROUNDS.value):
            read.append(read_once(folder))
            trained.append(trainer.train(20))
            ratios.append(read[-1] / trained[-1])
    print(f"{FIELDS} + {NUMBERS} columns, batch {_BATCH.value}, {_SHARDS.value} files; medians")
    print(f"written:  {written:>12,.0f} rows/s")
    print(f"read:     {np.median(read):>12,.0f} rows/s")
    print(f"trained:  {np.median(trained):>12,.0f} rows/s (DeepFM, Adam)")
    print(f"read / trained = {np.median(ratios):.2f}  (wanted: at least 3)")


if __name__ == "__main__":
    app.run(main)
