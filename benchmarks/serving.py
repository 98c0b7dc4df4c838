"""Latency of exports: raw features, ids, one user with many items, int8, ONNX Runtime, torch.

    python benchmarks/serving.py [--out=serving.json] [--torch_python=ENVIRONMENT/bin/python]

A DeepFM of Criteo's shape (26 fields, 13 numbers, d = 16) with random weights is exported in
float32 and int8. Each client runs in a process of its own, with one and with eight threads: p50 and
p99 in milliseconds, and rows per second, at 1, 32, 512 and 4096 rows. `ids`, `onnx` and `torch`
take the same ids; `raw` and `user_once` take text, which they hash. In `user_once`, half of the
columns are the user's; in `user_once 5/6`, 33 of 39, as in a ranker whose items have few features.
The memory of each process is compared before and after `--calls` calls of one row. ONNX Runtime
needs `pip install 'tf-helen[onnx]'`, torch another environment. Targets: `ids` is never slower than
torch, and `user_once` with 512 items at least three times as fast as `raw`. The upper layers of the
MLP, which no user shares, bound that ratio: with `--units=400,400,400` by 1.3 (half) and 1.6 (5/6)
of the multiplications, with `--units=200,80` by 1.8 and 4.0.
"""

from __future__ import annotations

import json
import os
import pathlib
import subprocess
import sys
import tempfile

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

import keras
import numpy as np
from absl import app, flags, logging

import zoo
from benchmarks.latency import BATCHES
from zoo.serving.export import export_saved_model
from zoo.serving.stored_tables import stored_tables
from zoo.serving.to_onnx import to_onnx

_OUT = flags.DEFINE_string("out", None, "JSON file to write.")
_TORCH = flags.DEFINE_string("torch_python", None, "Python of an environment with torch.")
_SECONDS = flags.DEFINE_float("seconds", 5.0, "Seconds per measurement.")
_CALLS = flags.DEFINE_integer("calls", 100_000, "Calls for the comparison of memory; 0: none.")
_THREADS = flags.DEFINE_list("threads", ["1", "8"], "Numbers of threads.")
_UNITS = flags.DEFINE_list("units", ["400", "400", "400"], "Widths of the hidden layers.")
_ROWS = flags.DEFINE_integer("field_rows", 40_000, "Rows of the table per field.")

ROOT = pathlib.Path(__file__).resolve().parents[1]
FIELDS, NUMBERS = 26, 13
CLIENTS = {
    "raw": ("raw", "float32"),
    "raw int8": ("raw", "int8"),
    "user_once": ("user_once", "float32"),
    "user_once int8": ("user_once", "int8"),
    "user_once 5/6": ("user_once", "most"),
    "ids": ("ids", "float32"),
    "ids int8": ("ids", "int8"),
    "onnx": ("onnx", "float32"),
    "onnx int8": ("onnx", "int8"),
}


def make_model() -> zoo.DeepFM:
    keras.utils.set_random_seed(0)
    fields = [zoo.Categorical(f"c{i}", _ROWS.value, encoding="hash") for i in range(FIELDS)]
    numbers = [zoo.Numeric(f"n{i}", mean=1.0, std=2.0) for i in range(NUMBERS)]
    schema = zoo.Schema("criteo_shape", fields, numbers)
    initializer = keras.initializers.RandomNormal(stddev=0.1, seed=1)
    units = [int(width) for width in _UNITS.value]
    return zoo.DeepFM(schema, 16, hidden_units=units, embeddings_initializer=initializer)


def torch_weights(model: zoo.DeepFM) -> dict[str, np.ndarray]:
    """The weights by the names of benchmarks/peers/torch_serving.py."""
    table, linear = (
        next(iter(part.tables.values())) for part in (model.embedding, model.linear.terms)
    )
    dense = [step for step in model.mlp.steps if isinstance(step, keras.layers.Dense)]
    dense.append(model.output_unit)
    found = {
        "offsets": table.offsets[:-1],
        "table": table.embeddings.numpy(),
        "linear_table": linear.embeddings.numpy(),
        "vectors": model.embedding.vectors.numpy(),
        "linear_vectors": model.linear.terms.vectors.numpy()[:, 0],
        "linear_bias": model.linear.bias.numpy(),
        "mean": np.array([c.mean for c in model.schema.numeric], np.float32),
        "std": np.array([c.std for c in model.schema.numeric], np.float32),
    }
    for i, layer in enumerate(dense):
        found |= {f"kernel_{i}": layer.kernel.numpy(), f"bias_{i}": layer.bias.numpy()}
    return found


def _columns(fields: int, numbers: int) -> list[str]:
    return [f"c{i}" for i in range(fields)] + [f"n{i}" for i in range(numbers)]


def write_inputs(folder: str) -> np.ndarray:
    """Writes the exports, the ONNX models, the weights and the batches; returns logits."""
    model = make_model()
    half, most = _columns(FIELDS // 2, NUMBERS // 2), _columns(22, 11)
    export_saved_model(model, folder, f"{folder}/most", user=most)
    for form in ("float32", "int8"):
        stored = stored_tables(model, form=form)
        export_saved_model(model, folder, f"{folder}/{form}", stored=stored, user=half)
        try:
            content = to_onnx(f"{folder}/{form}")
        except ImportError as error:
            print(f"without ONNX Runtime: {error}", file=sys.stderr)
            continue
        pathlib.Path(f"{folder}/{form}.onnx").write_bytes(content)
    np.savez(f"{folder}/weights.npz", **torch_weights(model))
    rng = np.random.default_rng(0)
    ids = ((rng.zipf(1.2, (max(BATCHES), FIELDS)) - 1) % _ROWS.value).astype(np.int32)
    numbers = rng.normal(size=(max(BATCHES), NUMBERS)).astype(np.float32)
    np.savez(f"{folder}/batches.npz", ids=ids, numeric=numbers)
    return model({"ids": ids[:32], "numeric": numbers[:32]}).numpy()[:, 0]


def run(command: list[str]) -> dict | None:
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    if done.returncode:
        print(f"{' '.join(command)}\n{done.stderr[-2000:]}", file=sys.stderr)
        return None
    return json.loads(done.stdout.splitlines()[-1])


def measure(folder: str, logits: np.ndarray) -> dict[str, dict]:
    found: dict[str, dict] = {}
    for threads in _THREADS.value:
        for name, (client, form) in CLIENTS.items():
            if client == "onnx" and not os.path.exists(f"{folder}/{form}.onnx"):
                continue
            program = str(ROOT / "benchmarks/serving_programs.py")
            ends = [f"{folder}/batches.npz", threads, str(_SECONDS.value), str(_CALLS.value)]
            result = run([sys.executable, program, client, f"{folder}/{form}", *ends])
            _add(found, name, threads, result, logits if name in ("ids", "onnx") else None)
        if _TORCH.value:
            program = str(ROOT / "benchmarks/peers/torch_serving.py")
            files = [f"{folder}/weights.npz", f"{folder}/batches.npz"]
            result = run([_TORCH.value, program, *files, threads, str(_SECONDS.value)])
            _add(found, "torch", threads, result, logits)
    return found


def _add(found: dict, name: str, threads: str, result: dict | None, logits) -> None:
    if result is None:
        return
    if logits is not None:  # the same model
        np.testing.assert_allclose(result.pop("logits"), logits, atol=1e-3, rtol=1e-4)
    result.pop("logits", None)
    found[f"{name}, {threads}"] = result
    print(line(f"{name}, {threads}", result), flush=True)


def line(name: str, result: dict) -> str:
    cells = [
        f"{each['p50']:.3f} / {each['p99']:.3f} / {each['rows_per_second']:,}"
        for each in result["latencies"].values()
    ]
    growth = result.get("growth")
    memory = "" if growth is None else f"{growth / 2**20:.1f}"
    return f"| {name} | {' | '.join(cells)} | {memory} |"


def main(argv: list[str]) -> None:
    del argv
    logging.set_verbosity(logging.ERROR)
    heads = [f"{rows} rows: p50 / p99 ms / rows/s" for rows in BATCHES]
    print(f"| client, threads | {' | '.join(heads)} | growth, MiB |")
    print(f"|{'---|' * (len(BATCHES) + 2)}")
    with tempfile.TemporaryDirectory() as folder:
        found = measure(folder, write_inputs(folder))
    if _OUT.value:
        pathlib.Path(_OUT.value).write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    app.run(main)
