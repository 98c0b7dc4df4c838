"""Milliseconds per training step, and peak memory, as the embedding table grows.

    python benchmarks/step_cost.py [--rows=1e4,1e5,1e6,1e7] [--tower=200,200] [--ids=fixed|uniform]
                                   [--out=DIR]

One process holds every optimizer at every size and takes their steps in turn, so that a machine
that slows down slows all of them; peak memory is that of a process of its own for each.
`--ids=fixed` (default) gives every size batches with the same number of distinct rows, spread over
the whole table anew in each batch, so only the table grows. `--ids=uniform` draws ids uniformly,
so larger tables also have more distinct rows per batch.
"""

from __future__ import annotations

import json
import os
import pathlib
import subprocess
import sys
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

import keras
import numpy as np
import tensorflow as tf
from absl import app, flags

import tf_helen

FIELDS, BATCH, DIM = 10, 2048, 16
OPTIMIZERS = {
    "SGD": lambda: tf_helen.SGD(),
    "Adam": lambda: tf_helen.Adam(),
    "AdamAR": lambda: tf_helen.AdamAR(),
    "Helen(Adam)": lambda: tf_helen.Helen(),
    "Keras Adam": lambda: keras.optimizers.Adam(),
}
SLOT_TABLES = {"SGD": 0, "Adam": 2, "AdamAR": 2, "Helen(Adam)": 2, "Keras Adam": 2}

_ROWS = flags.DEFINE_list("rows", ["1e4", "1e5", "1e6", "1e7"], "Table sizes.")
_IDS = flags.DEFINE_enum("ids", "fixed", ["fixed", "uniform"], "How ids are drawn.")
_ROUNDS = flags.DEFINE_integer("rounds", 12, "Rounds of steps, all optimizers in turn.")
_STEPS = flags.DEFINE_integer("steps", 5, "Steps of each optimizer per round.")
_NAMES = flags.DEFINE_list("optimizers", list(OPTIMIZERS), "Which optimizers.")
_TOWER = flags.DEFINE_list("tower", ["200", "200"], "Units of the hidden layers; '' for none.")
_OUT = flags.DEFINE_string("out", None, "Folder for step_cost.json.")
_MEMORY_OF = flags.DEFINE_string("memory_of", None, "Internal: print one peak, in bytes.")


def build_model(rows: int, optimizer: keras.optimizers.Optimizer) -> keras.Model:
    """A table of `rows` rows under a tower, compiled."""
    inputs = keras.Input((FIELDS,), dtype="int32")
    sizes = {f"field_{i}": rows // FIELDS for i in range(FIELDS)}
    x = keras.layers.Flatten()(tf_helen.layers.Embedding(sizes, DIM)(inputs))
    for units in _TOWER.value:
        x = keras.layers.Dense(int(units), activation="relu")(x)
    model = tf_helen.Model(inputs, keras.layers.Dense(1)(x))
    model.compile(optimizer, keras.losses.BinaryCrossentropy(from_logits=True))
    return model


def batches(rows: int, ids: str, count: int = 8) -> list[tuple[tf.Tensor, tf.Tensor]]:
    """`count` batches of ids `[BATCH, FIELDS]` and labels `[BATCH, 1]`."""
    rng = np.random.default_rng(0)
    per_field = rows // FIELDS
    made = []
    for _ in range(count):
        if ids == "uniform":
            x = rng.integers(0, per_field, (BATCH, FIELDS))
        else:
            ranks = rng.integers(0, 1000, (BATCH, FIELDS))
            spread = np.stack([rng.choice(per_field, 1000, replace=False) for _ in range(FIELDS)])
            x = spread[np.arange(FIELDS), ranks]
        y = rng.integers(0, 2, (BATCH, 1)).astype(np.float32)
        made.append((tf.constant(x, tf.int32), tf.constant(y)))
    return made


class Runner:
    """Takes training steps of one model, outside `fit`, whose overhead is not the optimizer's."""

    def __init__(self, rows: int, name: str, ids: str):
        self.model = build_model(rows, OPTIMIZERS[name]())
        self.model.optimizer.build(self.model.trainable_variables)
        self.data, self.taken = batches(rows, ids), 0
        self.step = tf.function(lambda x, y: self.model.train_step((x, y)))

    def run(self, steps: int) -> float:
        """Milliseconds per step, averaged over `steps`."""
        start = time.perf_counter()
        for _ in range(steps):
            self.step(*self.data[self.taken % len(self.data)])
            self.taken += 1
        return 1e3 * (time.perf_counter() - start) / steps


def own_peak() -> int:
    """Bytes: the most memory this process has held (Linux; `ru_maxrss` counts its parent too)."""
    status = pathlib.Path("/proc/self/status").read_text()
    return 1024 * int(status.split("VmHWM:")[1].split()[0])


def peak_memory(rows: int, name: str, ids: str) -> int:
    """Bytes: the peak of a fresh process that builds the model and takes some steps."""
    tower = ",".join(_TOWER.value)
    flag = f"--memory_of={name}", f"--rows={rows}", f"--ids={ids}", f"--tower={tower}"
    output = subprocess.run(
        [sys.executable, __file__, *flag], check=True, capture_output=True, text=True
    )
    return int(output.stdout.strip().splitlines()[-1])


def measure(sizes: list[int], names: list[str], ids: str) -> dict:
    """Times and memory by optimizer and size."""
    times = {}
    # Keras's half-second steps would slow down whatever is measured next to them.
    stock = [name for name in names if name.startswith("Keras")]
    for group in ([name for name in names if name not in stock], stock):
        runners = {(name, rows): Runner(rows, name, ids) for rows in sizes for name in group}
        for runner in runners.values():
            runner.run(8)
        for _ in range(_ROUNDS.value):
            for key, runner in runners.items():
                runner.run(2)  # the previous runner has emptied the caches
                times.setdefault(key, []).append(runner.run(_STEPS.value))
    return {f"{name}@{rows}": {"ms": values} for (name, rows), values in times.items()}


def median_ratio(above: list[float], below: list[float]) -> float:
    """Median over rounds of the ratio within a round."""
    return float(np.median(np.array(above) / np.array(below)))


def report(result: dict, sizes: list[int], names: list[str]) -> str:
    """The tables, and each promise beside its figure."""
    tower = "x".join(_TOWER.value) or "none"
    shape = f"{FIELDS} fields x batch {BATCH}, dim {DIM}, tower {tower}"
    lines = [f"{shape}; medians", "", "ms per step"]
    header = f"{'rows':>10}" + "".join(f"{name:>14}" for name in names)
    for unit, pick in (("ms", np.median), ("GB", None)):
        if unit == "GB":
            lines += ["", "peak memory, GB (tables: 1 + slots, " + _tables_note(names) + ")"]
        lines.append(header)
        for rows in sizes:
            cells = [result[f"{name}@{rows}"] for name in names]
            values = [float(pick(c["ms"])) if pick else c["peak"] / 1e9 for c in cells]
            lines.append(f"{rows:>10,}" + "".join(f"{value:>14.2f}" for value in values))
    small, large = sizes[0], sizes[-1]
    lines.append("")
    for name in names:
        ratio = median_ratio(result[f"{name}@{large}"]["ms"], result[f"{name}@{small}"]["ms"])
        promise = "" if name.startswith("Keras") else "  (promised: at most 1.30)"
        lines.append(f"{name}: time at {large:,} rows / at {small:,} = {ratio:.2f}{promise}")
    for name, bound in (("Helen(Adam)", 2.1), ("AdamAR", 1.1)):
        if name in names and "Adam" in names:
            ratios = [
                median_ratio(result[f"{name}@{r}"]["ms"], result[f"Adam@{r}"]["ms"]) for r in sizes
            ]
            shown = ", ".join(f"{ratio:.2f}" for ratio in ratios)
            lines.append(f"{name} / Adam = {shown}  (promised: at most {bound})")
    table = large * DIM * 4
    for name in names:
        grown = result[f"{name}@{large}"]["peak"] - result[f"{name}@{small}"]["peak"]
        lines.append(
            f"{name}: memory grows by {grown / table:.2f} tables + "
            f"{max(0, grown - (1 + SLOT_TABLES[name]) * table) / large:.1f} bytes per row beyond "
            f"{1 + SLOT_TABLES[name]} tables"
        )
    return "\n".join(lines)


def _tables_note(names: list[str]) -> str:
    return ", ".join(f"{name} {1 + SLOT_TABLES[name]}" for name in names)


def main(_) -> None:
    sizes = [int(float(rows)) for rows in _ROWS.value]
    if _MEMORY_OF.value:
        Runner(sizes[0], _MEMORY_OF.value, _IDS.value).run(10)
        print(own_peak())
        return
    names = _NAMES.value
    result = measure(sizes, names, _IDS.value)
    for name in names:
        for rows in sizes:
            result[f"{name}@{rows}"]["peak"] = peak_memory(rows, name, _IDS.value)
    print(report(result, sizes, names))
    if _OUT.value:
        os.makedirs(_OUT.value, exist_ok=True)
        path = pathlib.Path(_OUT.value) / "step_cost.json"
        temporary = path.with_suffix(".tmp")
        temporary.write_text(json.dumps(result, indent=1))
        temporary.rename(path)


if __name__ == "__main__":
    app.run(main)
