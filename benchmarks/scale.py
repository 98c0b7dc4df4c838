"""Milliseconds per training step, and rows per second, on replicas, workers and parameter servers.

    python benchmarks/scale.py [--rows=1e4,1e5,1e6,1e7] [--optimizers=Adam,AdamAR,Helen(AdamAR)]
                               [--cases=one,mirrored_2,...] [--out=DIR]

The cases are one process without a strategy; 1 and 2 replicas on logical CPUs of one process; 1 and
2 workers, processes that train synchronously; and 1 and 2 workers with 1 to 4 parameter servers,
among which the table is divided. All processes are on this machine and share its cores, so the
times show what the distribution costs, not what more machines gain. Every batch has --batch rows:
replicas and synchronous workers share it, and a worker of parameter servers trains one of its own.
Each time is the median of rounds. Cases run in turn in processes of their own, which are repeated
--repeats times; the shortest median is reported.
"""

from __future__ import annotations

import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

import keras
import numpy as np
import tensorflow as tf
from absl import app, flags

import tf_helen
from launch.quiet import quiet
from launch.run.cluster import read_cluster
from launch.run.local_tasks import LocalCluster
from launch.run.parameter_servers import Chief
from launch.run.serving_tasks import serve
from launch.run.strategies import make_strategy

OPTIMIZERS: dict[str, Callable[[], keras.optimizers.Optimizer]] = {
    "Adam": tf_helen.Adam,
    "AdamAR": tf_helen.AdamAR,
    "Helen(AdamAR)": lambda: tf_helen.Helen(base_optimizer=tf_helen.AdamAR()),
}
# (processes that train or logical CPUs, parameter servers)
CASES = {
    "one": (1, 0),
    "mirrored_1": (1, 0),
    "mirrored_2": (2, 0),
    "workers_1": (1, 0),
    "workers_2": (2, 0),
    **{f"servers_{workers}_{ps}": (workers, ps) for workers in (1, 2) for ps in (1, 2, 3, 4)},
}
FIELDS, DIM = 10, 16

_ROWS = flags.DEFINE_list("rows", ["1e4", "1e5", "1e6", "1e7"], "Table sizes.")
_NAMES = flags.DEFINE_list("optimizers", list(OPTIMIZERS), "Optimizers.")
_CASES = flags.DEFINE_list("cases", list(CASES), "Cases.")
_BATCH = flags.DEFINE_integer("batch", 1024, "Rows per batch.")
_ROUNDS = flags.DEFINE_integer("rounds", 10, "Rounds per process.")
_STEPS = flags.DEFINE_integer("steps", 10, "Steps per round.")
_REPEATS = flags.DEFINE_integer("repeats", 3, "Processes per case.")
_OUT = flags.DEFINE_string("out", None, "Folder for scale.json.")
_CHILD = flags.DEFINE_string("child", None, "Internal: the case that this process measures.")
_RESULT = flags.DEFINE_string("result", None, "Internal: file for the measured times.")


def build_model(rows: int, optimizer: keras.optimizers.Optimizer) -> keras.Model:
    """Returns a compiled model: a table of `rows` rows and a tower."""
    inputs = keras.Input((FIELDS,), dtype="int32")
    sizes = {f"field_{i}": rows // FIELDS for i in range(FIELDS)}
    x = keras.layers.Flatten()(tf_helen.layers.Embedding(sizes, DIM, shards="auto")(inputs))
    for units in (200, 200):
        x = keras.layers.Dense(units, activation="relu")(x)
    model = tf_helen.Model(inputs, keras.layers.Dense(1)(x))
    model.compile(optimizer, keras.losses.BinaryCrossentropy(from_logits=True))
    return model


def batches(rows: int, count: int = 8) -> list[tuple[np.ndarray, np.ndarray]]:
    """Returns batches of ids that follow a power law, and labels."""
    rng = np.random.default_rng(0)
    made = []
    for _ in range(count):
        ids = (rng.zipf(1.2, (_BATCH.value, FIELDS)) - 1) % (rows // FIELDS)
        made.append((ids.astype(np.int32), rng.integers(0, 2, (_BATCH.value, 1)).astype("f4")))
    return made


def median_ms(take_steps: Callable[[int], None]) -> float:
    """Returns the median over rounds of the milliseconds per step."""
    take_steps(max(3, _STEPS.value))  # traces the step
    times = []
    for _ in range(_ROUNDS.value):
        start = time.perf_counter()
        take_steps(_STEPS.value)
        times.append((time.perf_counter() - start) * 1000 / _STEPS.value)
    return statistics.median(times)


def in_sync(strategy: tf.distribute.Strategy, rows: int, name: str) -> float:
    """Measures a strategy whose replicas share each batch."""
    keras.utils.set_random_seed(0)
    with strategy.scope():
        model = build_model(rows, OPTIMIZERS[name]())
        model.optimizer.build(model.trainable_variables)
    replicas = strategy.num_replicas_in_sync
    share = _BATCH.value // replicas

    def part(batch):
        def of_replica(context):
            first = context.replica_id_in_sync_group * share
            return tuple(tf.constant(part[first : first + share]) for part in batch)

        return strategy.experimental_distribute_values_from_function(of_replica)

    parts = [part(batch) for batch in batches(rows)]

    @tf.function
    def step(batch):
        strategy.run(model.train_step, args=(batch,))

    def take_steps(count: int) -> None:
        for number in range(count):
            step(parts[number % len(parts)])
        model.optimizer.iterations.numpy()

    return median_ms(take_steps)


def on_servers(chief: Chief, rows: int, name: str) -> float:
    """Measures workers and parameter servers; the time is that of the whole job per step."""
    keras.utils.set_random_seed(0)
    with chief.strategy.scope():
        model = build_model(rows, OPTIMIZERS[name]())
        model.optimizer.build(model.trainable_variables)
    data = batches(rows)
    kinds = tuple((part.dtype, (None, part.shape[1])) for part in data[0])

    def take_steps(count: int) -> None:
        chosen = (data[number % len(data)] for number in range(count))
        source = tf.data.Dataset.from_generator(
            lambda: chosen, output_signature=tuple(tf.TensorSpec(s, d) for d, s in kinds)
        )
        chief.fit(model, source, 0, [])

    return median_ms(take_steps)


def measure(case: str) -> dict[str, dict[str, float]] | None:
    """Measures a case in this process; `None` in processes that do not lead."""
    kind = case.split("_")[0]
    if kind == "servers":
        cluster = read_cluster("parameter_server")
        if cluster.task_type != "chief":
            serve(cluster, 120)
            return None
        with Chief(cluster, 120) as chief:
            return _table(lambda rows, name: on_servers(chief, rows, name))
    if kind == "mirrored":
        strategy = make_strategy("mirrored", CASES[case][0])
    elif kind == "workers":
        strategy = tf.distribute.MultiWorkerMirroredStrategy()
    else:
        strategy = tf.distribute.get_strategy()
    found = _table(lambda rows, name: in_sync(strategy, rows, name))
    leads = kind != "workers" or read_cluster("multi_worker").index == 0
    return found if leads else None


def _table(time_of: Callable[[int, str], float]) -> dict[str, dict[str, float]]:
    found: dict[str, dict[str, float]] = {}
    for rows in _ROWS.value:
        for name in _NAMES.value:
            found.setdefault(name, {})[rows] = time_of(int(float(rows)), name)
            keras.backend.clear_session()
    return found


def run_case(case: str) -> dict[str, dict[str, float]]:
    """Measures a case in processes of its own; empty if they fail."""
    with tempfile.TemporaryDirectory() as folder:
        result = os.path.join(folder, "times.json")
        # `__main__` is this file, so that the flags are those of this process.
        command = [__file__, *sys.argv[1:], f"--child={case}", f"--result={result}"]
        if CASES[case][1] or case.startswith("workers"):
            with LocalCluster(command, workers=CASES[case][0], ps=CASES[case][1]) as cluster:
                code = cluster.wait()
        else:
            code = subprocess.run([sys.executable, *command], check=False).returncode
        if code:
            print(f"the case {case} ended with exit code {code}", file=sys.stderr)
            return {}
        return json.loads(pathlib.Path(result).read_text(encoding="utf-8"))


def report(times: dict[str, dict[str, dict[str, float]]]) -> str:
    """Returns a table of Markdown per optimizer: ms per step, and rows/s against one process."""
    lines = []
    for name in _NAMES.value:
        heads = [f"{float(rows):.0e}".replace("e+0", "e") for rows in _ROWS.value]
        lines += [f"\n{name}: ms per step (rows/s relative to one process)\n"]
        lines += ["| case | " + " | ".join(heads) + " |", "|---" * (len(heads) + 1) + "|"]
        for case, found in times.items():
            cells = []
            for rows in _ROWS.value:
                spent = found.get(name, {}).get(rows)
                if spent is None:
                    cells.append("failed")
                    continue
                one = times.get("one", {}).get(name, {}).get(rows)
                cells.append(f"{spent:.1f}" + (f" ({one / spent:.2f})" if one else ""))
            lines.append(f"| {case} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main(argv: list[str]) -> None:
    del argv
    unknown = [name for name in _CASES.value if name not in CASES]
    unknown += [name for name in _NAMES.value if name not in OPTIMIZERS]
    if unknown:
        sys.exit(f"unknown: {', '.join(unknown)}; cases: {', '.join(CASES)}")
    if _CHILD.value is not None:
        found = measure(_CHILD.value)
        if found is not None:
            pathlib.Path(_RESULT.value).write_text(json.dumps(found), encoding="utf-8")
        sys.stdout.flush()
        os._exit(0)  # TensorFlow cannot stop the servers of a process
    times: dict[str, dict[str, dict[str, float]]] = {}
    for _ in range(_REPEATS.value):
        for case in _CASES.value:
            times.setdefault(case, {})
            for name, found in run_case(case).items():
                best = times[case].setdefault(name, {})
                for rows, spent in found.items():
                    best[rows] = min(spent, best.get(rows, float("inf")))
    print(report(times))
    if _OUT.value:
        folder = pathlib.Path(_OUT.value)
        folder.mkdir(parents=True, exist_ok=True)
        text = json.dumps({"cores": os.cpu_count(), "batch": _BATCH.value, "ms": times}, indent=1)
        (folder / "scale.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    quiet()
    app.run(main)
