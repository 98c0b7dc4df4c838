"""Trains, saves and resumes a table of 10^8 rows on one machine; prints memory and ms per step.

    python benchmarks/hundred_million_rows.py [--rows=1e8] [--dim=16] [--dtype=bfloat16]
                                              [--optimizer=AdamAR] [--shards=8] [--out=DIR]

The table is stored in --dtype with stochastic rounding; the slots of the optimizer are float32. A
first process trains --steps steps, saves the state with `ExactResume` and ends. A second one loads
the state and trains as many steps more. Each prints the largest resident memory of its life, and
the median of the milliseconds per step. A third process trains all steps without an interruption on
a table of at most --check_rows rows, and so do two others with one, and the bits are compared.
"""

from __future__ import annotations

import hashlib
import json
import os
import pathlib
import statistics
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
from launch.quiet import quiet
from tf_helen.callbacks.state_files import StateFiles
from tf_helen.callbacks.training_state import TrainingState

FIELDS = 10
OPTIMIZERS = {
    "Adam": tf_helen.Adam,
    "AdamAR": lambda: tf_helen.AdamAR(alpha=1e-4),
    "RowWiseAdagrad": tf_helen.RowWiseAdagrad,
    "Helen(AdamAR)": lambda: tf_helen.Helen(base_optimizer=tf_helen.AdamAR(alpha=1e-4)),
}

_ROWS = flags.DEFINE_string("rows", "1e8", "Rows of the table.")
_DIM = flags.DEFINE_integer("dim", 16, "Width of a row.")
_DTYPE = flags.DEFINE_enum("dtype", "bfloat16", ["float32", "float16", "bfloat16"], "Of the table.")
_OPTIMIZER = flags.DEFINE_enum("optimizer", "AdamAR", list(OPTIMIZERS), "Optimizer.")
_SHARDS = flags.DEFINE_integer(
    "shards", 8, "Variables that the table is divided into; a state is read one at a time."
)
_BATCH = flags.DEFINE_integer("batch", 2048, "Rows of the data per step.")
_STEPS = flags.DEFINE_integer("steps", 200, "Steps before and after the interruption.")
_CHECK_ROWS = flags.DEFINE_string("check_rows", "1e6", "Rows with which the bits are compared.")
_OUT = flags.DEFINE_string("out", None, "Folder for the state and hundred_million_rows.json.")
_CHILD = flags.DEFINE_enum("child", None, ["train", "resume", "whole"], "Internal.")
_FOLDER = flags.DEFINE_string("folder", None, "Internal: folder of the state.")


def build_model(rows: int) -> keras.Model:
    """Returns a compiled model: a table of `rows` rows and a tower."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input((FIELDS,), dtype="int32")
    table = tf_helen.layers.Embedding(
        {f"field_{i}": rows // FIELDS for i in range(FIELDS)},
        _DIM.value,
        shards=_SHARDS.value,
        embeddings_dtype=None if _DTYPE.value == "float32" else _DTYPE.value,
        embeddings_initializer=keras.initializers.RandomNormal(stddev=0.01, seed=1),
    )
    x = keras.layers.Flatten()(table(inputs))
    for units in (200, 200):
        x = keras.layers.Dense(units, activation="relu")(x)
    model = tf_helen.Model(inputs, keras.layers.Dense(1)(x))
    model.compile(OPTIMIZERS[_OPTIMIZER.value](), keras.losses.BinaryCrossentropy(from_logits=True))
    return model


def batch(number: int, rows: int) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns a batch whose ids follow a power law, spread over the whole table."""
    rng = np.random.default_rng(number)
    rank = rng.zipf(1.1, (_BATCH.value, FIELDS)) - 1
    ids = (rank * 2_654_435_761) % (rows // FIELDS)
    return tf.constant(ids, tf.int32), tf.constant(
        rng.integers(0, 2, (_BATCH.value, 1)), tf.float32
    )


def peak_bytes() -> int:
    """Returns this process's largest resident memory."""
    status = pathlib.Path("/proc/self/status").read_text(encoding="utf-8")
    return 1024 * int(status.split("VmHWM:")[1].split()[0])


def child(rows: int) -> dict[str, float | str]:
    """Trains in this process; returns what it measured."""
    start = time.perf_counter()
    model = build_model(rows)
    state, files = TrainingState(model), StateFiles(_FOLDER.value)
    found: dict[str, float | str] = {"seconds to build": time.perf_counter() - start}
    first, last = 0, _STEPS.value
    if _CHILD.value == "resume":
        start = time.perf_counter()
        saved, notes = files.newest_whole()
        if saved is None:
            raise SystemExit(f"no state in {_FOLDER.value}: {notes}")
        state.load(saved)
        found["seconds to load"] = time.perf_counter() - start
        first, last = _STEPS.value, 2 * _STEPS.value
    elif _CHILD.value == "whole":
        last *= 2
    step = tf.function(lambda x, y: model.train_step((x, y)))
    times = []
    for number in range(first, last):
        x, y = batch(number, rows)
        start = time.perf_counter()
        step(x, y)
        times.append(1e3 * (time.perf_counter() - start))
    found["ms per step"] = statistics.median(times[5:])
    found["GB while training"] = peak_bytes() / 1e9
    if _CHILD.value == "train":
        start = time.perf_counter()
        files.write(state.checkpoint(0), 0, _STEPS.value, {})
        found["seconds to save"] = time.perf_counter() - start
        found["GB of the state"] = (
            sum(f.stat().st_size for f in pathlib.Path(_FOLDER.value).iterdir()) / 1e9
        )
    else:
        digest = hashlib.sha256()
        for variable in [*model.weights, *model.optimizer.variables]:
            digest.update(np.ascontiguousarray(variable.value.numpy()).view(np.uint8))
        found["sha256"] = digest.hexdigest()
    found["GB at most"] = peak_bytes() / 1e9
    return found


def in_child(what: str, rows: int, folder: str) -> dict[str, float | str]:
    """Runs a part in a process of its own and returns what it measured."""
    own = ("rows", "child", "folder", "out", "check_rows")
    given = [
        f"--{f.name}={f.value}"
        for f in flags.FLAGS.get_key_flags_for_module(sys.argv[0])
        if f.name not in own and f.value is not None
    ]
    command = [sys.executable, __file__, *given, f"--rows={rows}", f"--child={what}"]
    done = subprocess.run([*command, f"--folder={folder}"], stdout=subprocess.PIPE, text=True)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}: exit code {done.returncode}")
    return json.loads(done.stdout.strip().splitlines()[-1])


def main(argv: list[str]) -> None:
    del argv
    rows = int(float(_ROWS.value))
    if _CHILD.value is not None:
        print(json.dumps(child(rows)))
        return
    few = min(rows, int(float(_CHECK_ROWS.value)))
    if _OUT.value:
        os.makedirs(_OUT.value, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=_OUT.value) as folder:
        small = {
            what: in_child(what, few, f"{folder}/small") for what in ("train", "resume", "whole")
        }
        same = small["resume"]["sha256"] == small["whole"]["sha256"]
        print(
            f"{few:,} rows: the resumed training has "
            f"{'the bits' if same else 'OTHER BITS than those'} of an uninterrupted one"
        )
        parts = {what: in_child(what, rows, f"{folder}/state") for what in ("train", "resume")}
    print(
        f"{rows:,} rows x {_DIM.value}, {_DTYPE.value}, {_OPTIMIZER.value}, batch {_BATCH.value} "
        f"x {FIELDS} ids, {_SHARDS.value} shards"
    )
    names = dict.fromkeys(name for part in parts.values() for name in part if name != "sha256")
    for name in names:
        cells = [f"{what} {part[name]:.2f}" for what, part in parts.items() if name in part]
        print(f"{name}: {', '.join(cells)}")
    if _OUT.value:
        path = pathlib.Path(_OUT.value) / "hundred_million_rows.json"
        path.write_text(json.dumps({"rows": rows, "same bits": same, **parts}, indent=1) + "\n")
    sys.exit(0 if same else 1)


if __name__ == "__main__":
    quiet()
    app.run(main)
