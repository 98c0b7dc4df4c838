"""A training step with `DynamicEmbedding` over one with `Embedding`, as the capacity grows.

    python benchmarks/dynamic_embedding.py [--rows=1e6,1e7] [--new=0,0.01] [--optimizer=adam]
                                           [--tfra=PYTHON] [--torchrec=PYTHON] [--out=DIR]

10 fields, batch 2048, dimension 16, a tower of 200 x 200, int64 ids. All rows of the dynamic tables
have an id before the time is taken. `--new` is the share of occurrences of ids that no batch had
before: the dynamic table admits each of them and evicts another id, and the static table reads the
row of unseen ids. Both models take their steps in turn, in one process per capacity and share, and
the ratio is that of steps in the same round. `--tfra` and `--torchrec` are the Python programs of
environments with TensorFlow Recommenders Addons (TensorFlow 2.16) and torchrec, whose steps on the
same ids are timed in separate processes. TFRA has no capacity: its tables grow with new ids.
torchrec admits new ids not in every step but when it sorts its tables, here one step in
`--steps` + 2; "+" is what that step takes longer.
"""

from __future__ import annotations

import json
import os
import pathlib
import statistics
import subprocess
import sys
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

import keras
import numpy as np
import tensorflow as tf
from absl import app, flags
from id_stream import BATCH, DIM, FIELDS, HIDDEN, batches, known_numbers, raw_ids

import tf_helen

_ROWS = flags.DEFINE_list("rows", ["1e6", "1e7"], "Capacities, over all fields.")
_NEW = flags.DEFINE_list("new", ["0", "0.01"], "Shares of occurrences of new ids.")
_OPTIMIZER = flags.DEFINE_string("optimizer", "adam", "Optimizer of tf_helen.")
_ROUNDS = flags.DEFINE_integer("rounds", 12, "Rounds of steps, both models in turn.")
_STEPS = flags.DEFINE_integer("steps", 5, "Steps of each model per round.")
_TFRA = flags.DEFINE_string("tfra", None, "Python of an environment with TFRA.")
_TORCHREC = flags.DEFINE_string("torchrec", None, "Python of an environment with torchrec.")
_OUT = flags.DEFINE_string("out", None, "Folder for dynamic_embedding.json.")
_CHILD = flags.DEFINE_boolean("child", False, "Internal: print one JSON value.")
_PEERS = pathlib.Path(__file__).parent / "peers"


class Runner:
    """Takes training steps of one model without `fit`, to leave out its overhead."""

    def __init__(self, layer: keras.layers.Layer, data: list[np.ndarray]):
        inputs = keras.Input((FIELDS,), dtype="int64")
        x = keras.layers.Flatten()(layer(inputs))
        for units in HIDDEN:
            x = keras.layers.Dense(units, activation="relu")(x)
        self.model = tf_helen.Model(inputs, keras.layers.Dense(1)(x))
        loss = keras.losses.BinaryCrossentropy(from_logits=True)
        self.model.compile(keras.optimizers.get(f"tf_helen>{_optimizer_name()}"), loss)
        self.model.optimizer.build(self.model.trainable_variables)
        rng = np.random.default_rng(1)
        labels = tf.constant(rng.integers(0, 2, (BATCH, 1)), tf.float32)
        self._data, self._taken = [(tf.constant(ids), labels) for ids in data], 0
        self._step = tf.function(lambda x, y: self.model.train_step((x, y)))

    def run(self, steps: int) -> float:
        """Milliseconds per step, averaged over `steps`."""
        start = time.perf_counter()
        for _ in range(steps):
            self._step(*self._data[self._taken % len(self._data)])
            self._taken += 1
        return 1e3 * (time.perf_counter() - start) / steps


def _optimizer_name() -> str:
    names = {cls.__name__.lower(): cls.__name__ for cls in tf_helen.optimizers.CLASSES}
    return names[_OPTIMIZER.value.lower()]


def times(rows: int, new: float) -> dict:
    """Returns milliseconds per step of both models in each round, and what was evicted."""
    per_field = rows // FIELDS
    # Every batch is used once: a new id is new.
    numbers = batches(rows, new, 8 + _ROUNDS.value * (_STEPS.value + 2))
    fields = {f"field_{i}": per_field for i in range(FIELDS)}
    layer = tf_helen.layers.DynamicEmbedding(fields, DIM)
    dynamic = Runner(layer, [raw_ids(batch) for batch in numbers])
    for known in known_numbers(rows):
        layer(tf.constant(raw_ids(known)), training=True)
    sizes = {name: size + 1 for name, size in fields.items()}
    static = Runner(
        tf_helen.layers.Embedding(sizes, DIM),
        [np.where(batch < per_field, batch + 1, 0) for batch in numbers],
    )
    found: dict = {"dynamic": [], "static": []}
    for runner in (dynamic, static):
        runner.run(8)
    for _ in range(_ROUNDS.value):
        for name, runner in (("dynamic", dynamic), ("static", static)):
            runner.run(2)  # the other runner has emptied the caches
            found[name].append(runner.run(_STEPS.value))
    state = layer.table_state()
    for name in ("admitted", "evicted", "refused"):
        found[name] = sum(each[name] for each in state.values())
    return found


def in_child(rows: int, new: float) -> dict:
    """Measures in a fresh process."""
    flags_ = {"rows": rows, "new": new, "optimizer": _OPTIMIZER.value}
    flags_ |= {"rounds": _ROUNDS.value, "steps": _STEPS.value}
    command = [sys.executable, __file__, "--child"]
    return _json_of([*command, *(f"--{key}={value}" for key, value in flags_.items())])


def _json_of(command: list[str], **environment: str) -> dict:
    done = subprocess.run(
        command, capture_output=True, text=True, env={**os.environ, **environment}
    )
    if done.returncode:
        raise SystemExit(f"{done.stderr[-3000:]}\n{' '.join(command)}: rc {done.returncode}")
    return json.loads(done.stdout.strip().splitlines()[-1])


def _report(results: dict[str, dict]) -> str:
    lines = ["| rows | new | static ms | dynamic ms | dynamic / static | evicted | peers ms |"]
    lines.append("|---|---|---|---|---|---|---|")
    for each in results.values():
        ratio = statistics.median(np.divide(each["dynamic"], each["static"]))
        peers = ", ".join(f"{name} {_of_peer(**found)}" for name, found in each["peers"].items())
        lines.append(
            f"| {each['rows']:.0e} | {each['new']:g} | {statistics.median(each['static']):.1f} | "
            f"{statistics.median(each['dynamic']):.1f} | {ratio:.2f} | {each['evicted']:,} | "
            f"{peers or '-'} |"
        )
    return "\n".join(lines)


def _of_peer(ms: list[float], admit_ms: list[float] = ()) -> str:
    admission = f" (+{statistics.median(admit_ms):.0f} to admit)" if admit_ms else ""
    return f"{statistics.median(ms):.1f}{admission}"


def main(_) -> None:
    sizes, shares = [int(float(x)) for x in _ROWS.value], [float(x) for x in _NEW.value]
    if _CHILD.value:
        print(json.dumps(times(sizes[0], shares[0])))
        return
    results = {}
    for rows in sizes:
        for new in shares:
            print(f"{rows:,} rows, {new:g} new", file=sys.stderr, flush=True)
            found = {"rows": rows, "new": new, **in_child(rows, new), "peers": {}}
            for name, python, program in (
                ("TFRA", _TFRA.value, "tfra_dynamic.py"),
                ("torchrec", _TORCHREC.value, "torchrec_dynamic.py"),
            ):
                if python:
                    steps = [str(_ROUNDS.value), str(_STEPS.value)]
                    command = [python, str(_PEERS / program), str(rows), str(new), *steps]
                    found["peers"][name] = _json_of(command, TF_USE_LEGACY_KERAS="1")
            results[f"{rows}@{new}"] = found
    print(
        f"{FIELDS} fields x batch {BATCH}, dim {DIM}, tower {'x'.join(map(str, HIDDEN))}, "
        f"{_OPTIMIZER.value}; medians\n"
    )
    print(_report(results))
    if _OUT.value:
        os.makedirs(_OUT.value, exist_ok=True)
        path = pathlib.Path(_OUT.value) / "dynamic_embedding.json"
        temporary = path.with_suffix(".tmp")
        temporary.write_text(json.dumps(results, indent=1))
        temporary.rename(path)


if __name__ == "__main__":
    app.run(main)
