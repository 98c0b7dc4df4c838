"""What input costs: rows per second of writing, checking and reading, beside training.

    python benchmarks/input_pipeline.py [--rows=400000] [--batch_size=4096] [--rounds=5]
        [--data=PREPARED_FOLDER] [--peers=PYTHON]

1. Writes rows to temporary folders in each layout, plain and GZIP. Then, in turn, it reads each as
   training does (shuffled, parsed, batched), checks it as the first reading does, and trains DeepFM
   with Adam on batches in memory. Goal with the default layout: reading alone gives 10 times the
   rows per second of training.
2. Trains epochs of `launch.train` on the default layout; after each, the same number of steps of
   the same model on batches in memory, for each value of `--steps_per_execution`. Goal: an epoch
   takes at most 1.10 times its steps.

Each ratio is given twice: of rows per second, and of rows per CPU second (all threads), which other
work on the machine changes less.

The rows are generated with Criteo's shape (26 categorical fields, 13 numbers), or are those of the
split train of `--data`. `--peers` names the Python of an environment with torch and, if possible,
fuxictr, whose loaders read the same rows in turn with the others.
"""

from __future__ import annotations

import itertools
import json
import os
import pathlib
import subprocess
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
from launch.run.config import RunConfig
from launch.run.training import train

_ROWS = flags.DEFINE_integer("rows", 400_000, "Rows to write.")
_BATCH = flags.DEFINE_integer("batch_size", 4096, "Rows per batch.")
_SHARDS = flags.DEFINE_integer("shards", 4, "Record files.")
_ROUNDS = flags.DEFINE_integer("rounds", 5, "Rounds, reader and training in turn.")
_DATA = flags.DEFINE_string("data", None, "Prepared folder whose training rows are used.")
_PEERS = flags.DEFINE_string("peers", None, "Python with torch and fuxictr.")
_AT_ONCE = flags.DEFINE_list(
    "steps_per_execution", ["1", "auto"], "Values of --steps_per_execution whose epochs are timed."
)
_LAYOUTS = flags.DEFINE_list("layouts", ["blocks", "packed", "columns"], "Layouts to compare.")
_MODELS = flags.DEFINE_list("models", ["deepfm", "dnn"], "Models whose epochs are timed.")

FIELDS, NUMBERS, FIELD_SIZE = 26, 13, 40_000
PEERS = pathlib.Path(__file__).parent / "peers" / "loaders.py"
IN_MEMORY = 16  # batches of the bare steps


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


def source() -> tuple[zoo.Schema, list]:
    """The schema and the rows, in batches."""
    if not _DATA.value:
        fields = [zoo.Categorical(f"c{i}", FIELD_SIZE) for i in range(FIELDS)]
        schema = zoo.Schema("generated", fields, [zoo.Numeric(f"n{i}") for i in range(NUMBERS)])
        return schema, list(generated(_ROWS.value))
    found = zoo.Schema.load(_DATA.value)
    schema = zoo.Schema(found.name, found.categorical, found.numeric, found.label, found.weight)
    data = zoo.read_tfrecords(_DATA.value, "train", batch_size=50_000).as_numpy_iterator()
    batches = []
    for features, label, *weight in data:
        batches.append({**features, "label": label[:, 0]})
        batches[-1] |= {"weight": weight[0][:, 0]} if weight else {}
    return schema, batches


class Clock:
    """Seconds, and CPU seconds of all threads, since it was made."""

    def __init__(self):
        self._start = self._now()

    def read(self) -> np.ndarray:
        return self._now() - self._start

    @staticmethod
    def _now() -> np.ndarray:
        return np.array([time.perf_counter(), time.process_time()])


def read_once(folder: str) -> np.ndarray:
    """Rows per second, and per CPU second, of one shuffled pass."""
    data = zoo.read_tfrecords(
        folder, "train", batch_size=_BATCH.value, shuffle=True, seed=1, verify=False
    )
    clock, rows = Clock(), 0
    for _, label, *_rest in data:
        rows += label.shape[0]
    return rows / clock.read()


def check_once(folder: str, rows: int) -> float:
    """Rows per second of the check before the first epoch."""
    for path in pathlib.Path(folder).glob("*.tfrecord*"):
        path.touch()  # the result of a check is stored with the time of the last change
    start = time.perf_counter()
    zoo.read_tfrecords(folder, "train")
    return rows / (time.perf_counter() - start)


class Steps:
    """The steps of `fit` on batches in memory, without input and callbacks."""

    def __init__(self, folder: str, model: str):
        schema = zoo.Schema.load(folder)
        data = zoo.read_tfrecords(
            folder, "train", batch_size=_BATCH.value, shuffle=True, seed=1, drop_remainder=True,
            verify=False,
        )  # fmt: skip
        batches = list(data.take(IN_MEMORY))
        stacked = tf.nest.map_structure(lambda *parts: tf.stack(parts), *batches)
        self._batches = iter(tf.data.Dataset.from_tensor_slices(stacked).repeat().prefetch(2))
        self._model = zoo.get(model)(schema)
        loss = keras.losses.BinaryCrossentropy(from_logits=True)
        self._model.compile(tf_helen.Adam(), loss)
        self._model.make_train_function()
        self.seconds(3)

    def seconds(self, steps: int) -> np.ndarray:
        """Seconds, and CPU seconds, of some steps."""
        clock = Clock()
        for _ in range(steps):
            logs = self._model.train_function(self._batches)
        float(logs["loss"])
        return clock.read()


def peer_rates(folder: str) -> dict[str, float]:
    """Rows per second of the loaders of other libraries, in a process of their own."""
    done = subprocess.run(
        [_PEERS.value, str(PEERS), folder, str(_BATCH.value)],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        print(done.stderr[-2000:], file=sys.stderr)
        return {}
    return json.loads(done.stdout.splitlines()[-1])


def save_for_peers(folder: str, schema: zoo.Schema, batches: list) -> None:
    """Writes the rows as arrays, which the other libraries read into memory."""
    columns, start = {}, 0
    for field in schema.categorical:
        stop = start + field.length
        values = np.concatenate([batch["ids"][:, start:stop] for batch in batches])
        columns[field.name] = values[:, 0] if field.length == 1 else np.maximum(values, 0)
        start = stop
    for place, column in enumerate(schema.numeric):
        columns[column.name] = np.concatenate([batch["numeric"][:, place] for batch in batches])
    columns[schema.label] = np.concatenate([batch["label"] for batch in batches])
    np.savez(f"{folder}/train.npz", **columns)
    (pathlib.Path(folder) / "columns.json").write_text(
        json.dumps({
            "sizes": {field.name: field.size for field in schema.categorical},
            "numeric": [column.name for column in schema.numeric],
            "label": schema.label,
        })
    )  # fmt: skip


def compare_layouts(parent: str, schema: zoo.Schema, batches: list, rows: int) -> None:
    kinds = [(layout, gzip) for layout in _LAYOUTS.value for gzip in (None, "GZIP")]
    folders = {kind: f"{parent}/{kind[0]}-{kind[1]}" for kind in kinds}
    written = {}
    for (layout, gzip), folder in folders.items():
        start = time.perf_counter()
        zoo.write_tfrecords(folder, schema, "train", batches, _SHARDS.value, gzip, layout)
        written[layout, gzip] = rows / (time.perf_counter() - start)
    if _PEERS.value:
        save_for_peers(parent, schema, batches)
    steps, trained = Steps(folders[kinds[0]], "deepfm"), []
    read, checked, ratios = ({kind: [] for kind in kinds} for _ in range(3))
    peers: dict[str, list] = {}
    for kind in kinds:
        read_once(folders[kind])  # fills the cache of the file system
    for _ in range(_ROUNDS.value):
        before = steps.seconds(20)
        for kind in kinds:
            read[kind].append(read_once(folders[kind]))
            checked[kind].append(check_once(folders[kind], rows))
        for name, rate in (peer_rates(parent) if _PEERS.value else {}).items():
            peers.setdefault(name, []).append(rate)
        trained.append(40 * _BATCH.value / (before + steps.seconds(20)))
        for kind in kinds:
            ratios[kind].append(read[kind][-1] / trained[-1])
    print(f"{schema.name}: {rows:,} rows, batch {_BATCH.value}, {_SHARDS.value} files; medians")
    per_second, per_cpu_second = np.median(trained, axis=0)
    print(
        f"DeepFM with Adam trains {per_second:,.0f} rows/s, {per_cpu_second:,.0f} rows per CPU "
        "second"
    )
    print(
        "layout   gzip  bytes/row  written/s  checked/s     read/s  read / trained  of CPU seconds"
    )
    for kind, folder in folders.items():
        size = sum(zoo.data.manifest.load_manifest(folder)["train"].bytes) / rows
        rates = (written[kind], np.median(checked[kind]), np.median(read[kind], axis=0)[0])
        figures = "".join(f"{rate:>11,.0f}" for rate in rates)
        ratio, of_cpu = np.median(ratios[kind], axis=0)
        print(f"{kind[0]:<9}{kind[1] or '-':<5}{size:>10.0f}{figures}{ratio:>16.2f}{of_cpu:>16.2f}")
    for name, rates in peers.items():
        ratio = np.median(np.array(rates) / np.array(trained)[:, 0])
        print(f"{name:<46}{np.median(rates):>11,.0f}{ratio:>16.2f}")


def time_epochs(parent: str, schema: zoo.Schema, batches: list, rows: int) -> None:
    folder = f"{parent}/epochs"
    zoo.write_tfrecords(folder, schema, "train", batches, _SHARDS.value)
    zoo.write_tfrecords(folder, schema, "valid", batches[:1])
    for model, at_once in itertools.product(_MODELS.value, _AT_ONCE.value):
        bare, ratios = Steps(folder, model), []

        def after_epoch(epoch, bare=bare, ratios=ratios) -> None:
            if epoch.epoch > 1:  # the first one traces the step
                ratios.append(epoch.seconds / bare.seconds(-(-rows // _BATCH.value))[0])

        config = RunConfig(
            folder, f"{parent}/run-{model}-{at_once}", model=model, epochs=1 + _ROUNDS.value,
            batch_size=_BATCH.value, evaluate_test=False, save_models=False, progress=False,
            steps_per_execution=at_once if at_once == "auto" else int(at_once),
        )  # fmt: skip
        train(config, after_epoch=after_epoch)
        print(
            f"{model}, steps_per_execution={at_once}: an epoch of launch.train takes "
            f"{np.median(ratios):.3f} times its steps "
            f"({', '.join(f'{ratio:.3f}' for ratio in ratios)})"
        )


def main(_) -> None:
    schema, batches = source()
    rows = sum(len(batch["label"]) for batch in batches)
    with tempfile.TemporaryDirectory() as parent:
        compare_layouts(parent, schema, batches, rows)
        time_epochs(parent, schema, batches, rows)
    print("goals: blocks read / trained at least 10, epochs at most 1.10 times their steps")


if __name__ == "__main__":
    app.run(main)
