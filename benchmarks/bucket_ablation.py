"""Which rows must decay: AdamAR on the rows up to a frequency, Adam on all others.

    python benchmarks/bucket_ablation.py --data=data/movielens_crossed --out=docs/results/buckets

Groups the rows of all fields by their occurrences in the training split. The j-th row of the table
has AdamAR (`alpha`) on the groups 1 to j and Adam (alpha 0) on the others, as in the ablation of
AdamAR's paper (there with AdamW on the others). Scores are those of the test split after each
epoch.
"""

from __future__ import annotations

import json
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

import keras
import numpy as np
from absl import app, flags
from sklearn.metrics import roc_auc_score

import tf_helen
import zoo
from launch.run.counts import training_counts
from launch.run.results import aligned
from zoo.data.memory import RowsInMemory

_DATA = flags.DEFINE_string("data", None, "Prepared data folder.", required=True)
_OUT = flags.DEFINE_string("out", None, "Folder to write.", required=True)
_ALPHA = flags.DEFINE_float("alpha", 3e-4, "Decay per step of absence.")
_EDGES = flags.DEFINE_list("edges", ["1", "2", "4", "11", "101"], "Lowest count of each group.")
_EPOCHS = flags.DEFINE_integer("epochs", 4, "Number of epochs.")
_BATCH = flags.DEFINE_integer("batch_size", 1024, "Rows per step.")
_SEEDS = flags.DEFINE_integer("seeds", 3, "Number of seeds.")


def alphas(counts: dict[str, np.ndarray], edges: list[int], groups: int) -> dict[str, np.ndarray]:
    """Returns an alpha for every row: `--alpha` in the first groups, 0 in the others."""
    limit = edges[groups] if groups < len(edges) else np.inf
    return {
        field: np.where(count < limit, _ALPHA.value, 0.0) if groups else np.zeros(len(count))
        for field, count in counts.items()
    }


def aucs(schema: zoo.Schema, rows: dict, alpha: dict[str, np.ndarray], seed: int) -> list[float]:
    """Trains a DNN; returns the test AUC after each epoch."""
    keras.utils.set_random_seed(seed)
    model = zoo.DNN(schema, embedding_dim=16, hidden_units=(200, 200))
    loss = keras.losses.BinaryCrossentropy(from_logits=True)
    model.compile(tf_helen.AdamAR(learning_rate=1e-3, alpha=alpha), loss)
    test = rows["test"].batches(8192)
    labels = np.concatenate([label for _, label, *_ in test.as_numpy_iterator()]).ravel()
    found = []
    for epoch in range(_EPOCHS.value):
        order = 1000 * seed + epoch  # another order in each epoch, the same for every row
        train = rows["train"].batches(_BATCH.value, shuffle=True, seed=order)
        model.fit(train, epochs=1, verbose=0)
        found.append(float(roc_auc_score(labels, model.predict(test, verbose=0).ravel())))
    return found


def main(argv: list[str]) -> None:
    del argv
    out = pathlib.Path(_OUT.value)
    out.mkdir(parents=True, exist_ok=True)
    schema, edges = zoo.Schema.load(_DATA.value), [int(edge) for edge in _EDGES.value]
    counts = training_counts(_DATA.value, schema)
    rows = {split: RowsInMemory(_DATA.value, split, schema) for split in ("train", "test")}
    every = np.concatenate(list(counts.values()))
    groups = np.searchsorted(edges, every, side="right")
    print(
        {f"from {edge}": int((groups == n + 1).sum()) for n, edge in enumerate(edges)}, flush=True
    )
    table, runs = [["AdamAR on rows with", *(f"E{e + 1}" for e in range(_EPOCHS.value))]], {}
    for number in range(len(edges) + 1):
        name = "every count" if number == len(edges) else f"fewer than {edges[number]}"
        name = name if number else "no count (Adam)"
        alpha = alphas(counts, edges, number)
        runs[name] = [aucs(schema, rows, alpha, seed) for seed in range(_SEEDS.value)]
        values = np.array(runs[name])
        spread = values.std(axis=0, ddof=1) if len(values) > 1 else np.zeros(values.shape[1])
        cells = [f"{m:.4f} ± {s:.4f}" for m, s in zip(values.mean(axis=0), spread, strict=True)]
        table.append([name, *(cell.replace("0.", ".") for cell in cells)])
        print(table[-1], flush=True)
    (out / "results.md").write_text(aligned(table) + "\n")
    content = {"command": sys.argv[1:], "alpha": _ALPHA.value, "edges": edges, "runs": runs}
    (out / "results.json").write_text(json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    app.run(main)
