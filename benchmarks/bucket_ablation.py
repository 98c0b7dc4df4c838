"""Which rows must decay: AdamAR on the rows up to a frequency, Adam on all others.

    python benchmarks/bucket_ablation.py --data=data/movielens_crossed --out=out/bucket_ablation

Groups the rows of all fields by their occurrences in the training split. The j-th row of the table
has AdamAR (`alpha`) on the groups 1 to j and Adam (alpha 0) on the others, as in the ablation of
AdamAR's paper (there with AdamW on the others). Scores are those of the test split after each
epoch. Finished runs are kept in `results.json`, so a second call with the same settings continues.
"""

from __future__ import annotations

import json
import math
import os
import pathlib
import sys
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

import keras
import numpy as np
import tensorflow as tf
from absl import app, flags
from sklearn.metrics import roc_auc_score

import tf_helen
import zoo
from launch.figures import save_figure
from launch.run.counts import training_counts
from launch.run.results import aligned, short
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
    limit = edges[groups - 1] if groups <= len(edges) else np.inf
    return {
        field: np.where(count < limit, _ALPHA.value, 0.0) if groups else np.zeros(len(count))
        for field, count in counts.items()
    }


def name_of(edges: list[int], groups: int) -> str:
    if groups == 0:
        return "no row (Adam)"
    return f"count < {edges[groups - 1]}" if groups <= len(edges) else "every row (AdamAR)"


def aucs(schema: zoo.Schema, rows: dict, alpha: dict[str, np.ndarray], seed: int) -> list[float]:
    """Trains a DNN; returns the test AUC after each epoch."""
    keras.backend.clear_session()
    keras.utils.set_random_seed(seed)
    model = zoo.DNN(schema, embedding_dim=16, hidden_units=(200, 200))
    loss = keras.losses.BinaryCrossentropy(from_logits=True)
    model.compile(tf_helen.AdamAR(learning_rate=1e-3, alpha=alpha), loss)
    test = _batches(rows["test"], 8192)
    labels = np.concatenate([label for _, label, *_ in test.as_numpy_iterator()]).ravel()
    found = []
    for epoch in range(_EPOCHS.value):
        order = 1000 * seed + epoch  # another order in each epoch, the same for every row
        train = _batches(rows["train"], _BATCH.value, shuffle=True, seed=order)
        model.fit(train, epochs=1, verbose=0, shuffle=False)
        found.append(float(roc_auc_score(labels, model.predict(test, verbose=0).ravel())))
    return found


def _batches(rows: RowsInMemory, size: int, **order: Any) -> tf.data.Dataset:
    batches = rows.batches(size, **order)
    # Keras warns of a number of batches that it does not know.
    return batches.apply(tf.data.experimental.assert_cardinality(math.ceil(rows.rows / size)))


def table(runs: dict[str, list[list[float]]], shares: dict[str, str]) -> str:
    epochs = len(next(iter(runs.values()))[0])
    rows = [["AdamAR on", "share of the rows", *(f"E{e + 1}" for e in range(epochs)), "best epoch"]]
    for name, several in runs.items():
        values = np.array(several)
        columns = [*values.T, values.max(axis=1)]
        rows.append([name, shares[name], *(_cell(column) for column in columns)])
    return aligned(rows)


def _cell(values: np.ndarray) -> str:
    mean = short(float(values.mean()), 4)
    return mean if len(values) < 2 else f"{mean} ± {short(float(values.std(ddof=1)), 4)}"


def plot(runs: dict[str, list[list[float]]], path: str, title: str) -> None:
    from matplotlib import pyplot as plt

    figure, axis = plt.subplots(figsize=(8, 4.5), layout="constrained")
    for place, (name, several) in enumerate(runs.items()):
        values = np.array(several)
        epochs, color = np.arange(1, values.shape[1] + 1), plt.cm.viridis(place / len(runs))
        axis.plot(epochs, values.mean(axis=0), marker="o", color=color, label=name)
        if len(values) > 1:
            spread = values.std(axis=0, ddof=1)
            low, high = values.mean(axis=0) - spread, values.mean(axis=0) + spread
            axis.fill_between(epochs, low, high, color=color, alpha=0.15, linewidth=0)
    axis.xaxis.get_major_locator().set_params(integer=True)
    axis.set_xlabel("epoch")
    axis.set_ylabel("test AUC")
    axis.grid(alpha=0.3)
    axis.legend(title="AdamAR on", loc="center left", bbox_to_anchor=(1.0, 0.5))
    axis.set_title(title)
    save_figure(figure, path)


def main(argv: list[str]) -> None:
    del argv
    out = pathlib.Path(_OUT.value)
    out.mkdir(parents=True, exist_ok=True)
    schema, edges = zoo.Schema.load(_DATA.value), [int(edge) for edge in _EDGES.value]
    counts = training_counts(_DATA.value, schema)
    every = np.concatenate([counts[field.name] for field in schema.categorical])
    names = [name_of(edges, groups) for groups in range(len(edges) + 2)]
    below = [0.0, *(float((every < edge).mean()) for edge in edges), 1.0]
    shares = {name: f"{share:.1%}" for name, share in zip(names, below, strict=True)}
    settings: dict[str, Any] = {
        "data": schema.name, "alpha": _ALPHA.value, "edges": edges, "epochs": _EPOCHS.value,
        "batch_size": _BATCH.value, "tf_helen": tf_helen.__version__,
    }  # fmt: skip
    file = out / "results.json"
    kept = json.loads(file.read_text()) if file.exists() else {}
    runs: dict[str, list[list[float]]] = {}
    if {key: kept.get(key) for key in settings} == settings:
        runs = kept["runs"]
    rows = {split: RowsInMemory(_DATA.value, split, schema) for split in ("train", "test")}
    for groups, name in enumerate(names):
        found = runs.setdefault(name, [])
        for seed in range(len(found), _SEEDS.value):
            found.append(aucs(schema, rows, alphas(counts, edges, groups), seed))
            print(f"AdamAR on {name}, seed {seed}: {found[-1]}", flush=True)
            file.write_text(json.dumps({**settings, "runs": runs}, indent=1) + "\n")
    runs = {name: runs[name][: _SEEDS.value] for name in names}
    text = table(runs, shares)
    print(text)
    (out / "results.md").write_text(text + "\n")
    plot(runs, str(out / "curves.png"), f"{schema.name}: DNN, AdamAR on the rarest rows")


if __name__ == "__main__":
    app.run(main)
