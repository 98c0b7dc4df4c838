"""Milliseconds per training step, and peak memory, as the embedding table grows.

    python benchmarks/step_cost.py [--optimizers=all|NAME,...] [--rows=1e4,1e5,1e6,1e7]
                                   [--tower=200,200] [--ids=fixed|uniform] [--nomemory] [--out=DIR]

A process holds as many optimizers, at every size, as fit `--budget`, and takes their steps in turn,
so that changes of the machine's speed affect all of them. The others are measured in further
processes. Every process includes Adam, and times are compared as ratios to Adam's step in the same
round. Peak memory is measured in a separate process for each optimizer and size. With `--ids=fixed`
(default), the batches of every size have the same number of distinct rows, drawn from the whole
table for each batch, so that only the size of the table changes. `--ids=uniform` draws ids
uniformly, so larger tables also have more distinct rows per batch.
"""

from __future__ import annotations

import functools
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
import step_cost_report
import tensorflow as tf
from absl import app, flags
from cases import CASES, DEFAULT, ROW_SPARSE, groups_of, state_bytes

import tf_helen

FIELDS, BATCH, DIM = 10, 2048, 16

_ROWS = flags.DEFINE_list("rows", ["1e4", "1e5", "1e6", "1e7"], "Table sizes.")
_IDS = flags.DEFINE_enum("ids", "fixed", ["fixed", "uniform"], "How ids are drawn.")
_ROUNDS = flags.DEFINE_integer("rounds", 12, "Rounds of steps, all optimizers in turn.")
_STEPS = flags.DEFINE_integer("steps", 5, "Steps of each optimizer per round.")
_NAMES = flags.DEFINE_list("optimizers", DEFAULT, "Which optimizers; 'all' for all row-sparse.")
_TOWER = flags.DEFINE_list("tower", ["200", "200"], "Units of the hidden layers; '' for none.")
_MEMORY = flags.DEFINE_boolean(
    "memory", True, "Also measure peak memory, in a separate process each."
)
_BUDGET = flags.DEFINE_float("budget", 12, "GB of tables and slots per process that is timed.")
_OUT = flags.DEFINE_string("out", None, "Folder for step_cost.json.")
_CHILD = flags.DEFINE_enum("child", None, ["times", "peak"], "Internal: print one JSON value.")


@flags.multi_flags_validator(["optimizers"], message=f"Known: all, {', '.join(CASES)}.")
def _known(values: dict) -> bool:
    return values["optimizers"] == ["all"] or set(values["optimizers"]) <= set(CASES)


def build_model(rows: int, optimizer: keras.optimizers.Optimizer) -> keras.Model:
    """Returns a compiled model: a table of `rows` rows and a tower."""
    inputs = keras.Input((FIELDS,), dtype="int32")
    sizes = {f"field_{i}": rows // FIELDS for i in range(FIELDS)}
    x = keras.layers.Flatten()(tf_helen.layers.Embedding(sizes, DIM)(inputs))
    for units in _TOWER.value:
        x = keras.layers.Dense(int(units), activation="relu")(x)
    model = tf_helen.Model(inputs, keras.layers.Dense(1)(x))
    model.compile(optimizer, keras.losses.BinaryCrossentropy(from_logits=True))
    return model


@functools.cache
def batches(rows: int, ids: str, count: int = 8) -> list[tuple[tf.Tensor, tf.Tensor]]:
    """`count` batches of ids `[BATCH, FIELDS]` and labels `[BATCH, 1]`."""
    rng = np.random.default_rng(0)
    per_field = rows // FIELDS
    distinct = min(1000, per_field)
    made = []
    for _ in range(count):
        if ids == "uniform":
            x = rng.integers(0, per_field, (BATCH, FIELDS))
        else:
            ranks = rng.integers(0, distinct, (BATCH, FIELDS))
            spread = [rng.choice(per_field, distinct, replace=False) for _ in range(FIELDS)]
            x = np.stack(spread)[np.arange(FIELDS), ranks]
        y = rng.integers(0, 2, (BATCH, 1)).astype(np.float32)
        made.append((tf.constant(x, tf.int32), tf.constant(y)))
    return made


class Runner:
    """Takes training steps of one model without `fit`, to leave out its overhead."""

    def __init__(self, rows: int, name: str, ids: str):
        self.model = build_model(rows, CASES[name]())
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


def times(sizes: list[int], names: list[str], ids: str) -> dict[str, list[float]]:
    """Returns milliseconds per step in each round, by `name@rows`, all in this process."""
    runners = {(name, rows): Runner(rows, name, ids) for rows in sizes for name in names}
    for runner in runners.values():
        runner.run(8)
    found = {f"{name}@{rows}": [] for name, rows in runners}
    for _ in range(_ROUNDS.value):
        for (name, rows), runner in runners.items():
            runner.run(2)  # the previous runner has emptied the caches
            found[f"{name}@{rows}"].append(runner.run(_STEPS.value))
    return found


def own_peak() -> int:
    """Returns this process's peak memory in bytes (Linux; `ru_maxrss` includes the parent)."""
    status = pathlib.Path("/proc/self/status").read_text()
    return 1024 * int(status.split("VmHWM:")[1].split()[0])


def in_child(what: str, sizes: list[int], names: list[str]):
    """Runs `--child=what` in a fresh process and returns the value that it prints."""
    lists = {"rows": sizes, "optimizers": names, "tower": _TOWER.value}
    command = [f"--{flag}={','.join(map(str, values))}" for flag, values in lists.items()]
    command += [f"--child={what}", f"--ids={_IDS.value}"]
    command += [f"--rounds={_ROUNDS.value}", f"--steps={_STEPS.value}"]
    output = subprocess.run([sys.executable, __file__, *command], capture_output=True, text=True)
    if output.returncode:
        raise SystemExit(f"{output.stderr}\n{' '.join(command)}: rc {output.returncode}")
    return json.loads(output.stdout.strip().splitlines()[-1])


def measure(sizes: list[int], names: list[str]) -> dict:
    """Times of every group of optimizers, and memory by optimizer and size."""
    result = {"sizes": sizes, "names": names, "groups": [], "peak": {}, "tables": {}}
    groups = groups_of(names, sum(sizes), DIM, 1e9 * _BUDGET.value)
    for i, group in enumerate(groups):
        print(f"process {i + 1} of {len(groups)}: {', '.join(group)}", file=sys.stderr, flush=True)
        result["groups"].append(in_child("times", sizes, group))
    for name in names if _MEMORY.value else ():
        result["tables"][name] = 1 + state_bytes(name, DIM) / (4 * DIM)
        for rows in sizes:
            result["peak"][f"{name}@{rows}"] = in_child("peak", [rows], [name])
    return result


def main(_) -> None:
    sizes = [int(float(rows)) for rows in _ROWS.value]
    names = list(ROW_SPARSE) if _NAMES.value == ["all"] else _NAMES.value
    if _CHILD.value == "times":
        print(json.dumps(times(sizes, names, _IDS.value)))
    elif _CHILD.value == "peak":
        Runner(sizes[0], names[0], _IDS.value).run(10)
        print(own_peak())
    else:
        result = measure(sizes, names)
        tower = "x".join(_TOWER.value) or "none"
        print(f"{FIELDS} fields x batch {BATCH}, dim {DIM}, tower {tower}; medians\n")
        print(step_cost_report.report(result, 4 * DIM))
        if _OUT.value:
            os.makedirs(_OUT.value, exist_ok=True)
            path = pathlib.Path(_OUT.value) / "step_cost.json"
            temporary = path.with_suffix(".tmp")
            temporary.write_text(json.dumps(result, indent=1))
            temporary.rename(path)


if __name__ == "__main__":
    app.run(main)
