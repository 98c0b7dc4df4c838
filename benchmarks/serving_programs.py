"""Latencies of one client of an export; benchmarks/serving.py runs it in a process of its own.

    python benchmarks/serving_programs.py CLIENT FOLDER BATCHES THREADS SECONDS CALLS

CLIENT is raw, ids, user_once or onnx. It prints a JSON object.
"""

from __future__ import annotations

import json
import os
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

import numpy as np
from latency import BATCHES, latencies, resident_bytes


def main() -> None:
    client, folder, path, threads, seconds, calls = sys.argv[1:]
    for name in ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"):
        os.environ[name] = threads
    with np.load(path) as file:
        batches = dict(file)
    call = (_onnx if client == "onnx" else _tensorflow)(client, folder, batches, int(threads))
    found = {
        str(rows): latencies(call(rows), rows, float(seconds))
        for rows in BATCHES
        if rows <= len(batches["ids"])
    }
    logits = np.asarray(call(32)()).tolist()
    result = {"latencies": found, "logits": logits, "growth": _growth(call(1), int(calls))}
    print(json.dumps(result))


def _growth(call, calls: int) -> int | None:
    """Returns by how many bytes the process grows in a number of calls, after a tenth of them."""
    if not calls:
        return None
    for _ in range(calls // 10):
        call()
    before = resident_bytes()
    for _ in range(calls):
        call()
    return resident_bytes() - before


def _tensorflow(client: str, folder: str, batches: dict, threads: int):
    import tensorflow as tf

    loaded = tf.saved_model.load(folder)
    name = {"raw": "serving_default", "ids": "serve_ids", "user_once": "user_once"}[client]
    serve = loaded.signatures[name]
    specs = serve.structured_input_signature[1]
    keep = loaded  # it owns the tables

    def of(rows: int):
        def value(name: str, spec: tf.TensorSpec) -> tf.Tensor:
            if client == "ids":
                return tf.constant(batches[name][:rows])
            kind, place = name[0], int(name[1:])
            column = batches["ids" if kind == "c" else "numeric"][:rows, place]
            column = column[:1] if spec.shape[0] == 1 else column
            return tf.constant(column.astype(str) if kind == "c" else column)

        inputs = {name: value(name, spec) for name, spec in specs.items()}
        return lambda: (keep, serve(**inputs)["logit"].numpy())[1]

    return of


def _onnx(client: str, folder: str, batches: dict, threads: int):
    import onnxruntime

    del client
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    session = onnxruntime.InferenceSession(
        f"{folder}.onnx", options, providers=["CPUExecutionProvider"]
    )

    def of(rows: int):
        inputs = {name: batches[name][:rows] for name in ("ids", "numeric")}
        return lambda: session.run(["logit"], inputs)[0]

    return of


if __name__ == "__main__":
    main()
