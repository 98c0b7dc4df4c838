"""Rows per second of the TFRecord writer, of the reader, and of training DeepFM.

    python benchmarks/input_pipeline.py [--rows=400000] [--batch_size=4096] [--rounds=5]

Writes generated rows of Criteo's shape (26 categorical fields, 13 numbers) to temporary folders, in
both layouts, plain and GZIP. Then, in turn, it reads each as training does (shuffled, parsed,
batched), checks it as the first reading does, and trains DeepFM on a batch in memory. Targets with
the packed layout: the reader is at least three times as fast as training, so that it does not slow
down training, and the writer reaches 150,000 rows/s on one core.
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
import zoo.data.manifest

_ROWS = flags.DEFINE_integer("rows", 400_000, "Rows to write.")
_BATCH = flags.DEFINE_integer("batch_size", 4096, "Rows per batch.")
_SHARDS = flags.DEFINE_integer("shards", 4, "Record files.")
_ROUNDS = flags.DEFINE_integer("rounds", 5, "Rounds, reader and training in turn.")

FIELDS, NUMBERS, FIELD_SIZE = 26, 13, 40_000
KINDS = [(layout, gzip) for layout in ("packed", "columns") for gzip in (None, "GZIP")]


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


def check_once(folder: str) -> float:
    """Rows per second of the check before the first epoch."""
    for path in pathlib.Path(folder).glob("*.tfrecord*"):
        path.touch()  # the result of a check is stored with the time of the last change
    start = time.perf_counter()
    zoo.read_tfrecords(folder, "train")
    return _ROWS.value / (time.perf_counter() - start)


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


def write_once(folder: str, layout: str, compression: str | None, batches: list) -> float:
    """Rows per second of the writer."""
    fields = [zoo.Categorical(f"c{i}", FIELD_SIZE) for i in range(FIELDS)]
    schema = zoo.Schema("generated", fields, [zoo.Numeric(f"n{i}") for i in range(NUMBERS)])
    start = time.perf_counter()
    zoo.write_tfrecords(folder, schema, "train", batches, _SHARDS.value, compression, layout)
    return _ROWS.value / (time.perf_counter() - start)


def main(_) -> None:
    with tempfile.TemporaryDirectory() as parent:
        batches = list(generated(_ROWS.value))
        folders = {kind: f"{parent}/{kind[0]}-{kind[1]}" for kind in KINDS}
        written = {kind: write_once(folders[kind], *kind, batches) for kind in KINDS}
        trainer, trained = Trainer(folders[KINDS[0]]), []
        read, checked, ratios = ({kind: [] for kind in KINDS} for _ in range(3))
        for kind in KINDS:
            read_once(folders[kind])  # fills the cache of the file system
        for _ in range(_ROUNDS.value):
            trained.append(trainer.train(20))
            for kind in KINDS:
                read[kind].append(read_once(folders[kind]))
                checked[kind].append(check_once(folders[kind]))
                ratios[kind].append(read[kind][-1] / trained[-1])
        sizes = {
            kind: sum(zoo.data.manifest.load_manifest(f)["train"].bytes)
            for kind, f in folders.items()
        }
    print(f"{FIELDS} + {NUMBERS} columns, batch {_BATCH.value}, {_SHARDS.value} files; medians")
    print(f"DeepFM with Adam trains {np.median(trained):,.0f} rows/s")
    print("layout   gzip  bytes/row  written/s  checked/s     read/s  read / trained")
    for kind in KINDS:
        rates = (written[kind], np.median(checked[kind]), np.median(read[kind]))
        figures = "".join(f"{rate:>11,.0f}" for rate in rates)
        size = sizes[kind] / _ROWS.value
        print(
            f"{kind[0]:<9}{kind[1] or '-':<5}{size:>10.0f}{figures}{np.median(ratios[kind]):>16.2f}"
        )
    print("targets: packed written at 150,000 rows/s, and read / trained at least 3")


if __name__ == "__main__":
    app.run(main)
