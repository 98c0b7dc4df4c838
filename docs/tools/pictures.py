"""Draws the pictures of docs/how-it-works.md: `python docs/tools/pictures.py`.

The numbers come from Keras, from tf_helen, and from docs/results/step_cost/step_cost.json.
"""

from __future__ import annotations

import json
from pathlib import Path

import keras
import matplotlib
import numpy as np
import tensorflow as tf

import tf_helen

matplotlib.use("Agg")
from matplotlib import pyplot as plt

DOCS = Path(__file__).parents[1]
OUT = DOCS / "how-it-works"
SIZE = (6.4, 3.6)  # inches


def duplicates() -> None:
    """Distance between a table trained by ids and the same table trained by one-hot rows."""
    rng = np.random.default_rng(0)
    start = rng.normal(size=(20, 4)).astype("float32")
    batches = [(rng.zipf(1.5, 64) - 1) % 20 for _ in range(40)]
    targets = [rng.normal(size=(64, 4)).astype("float32") for _ in batches]

    def trained(optimizer, one_hot: bool) -> list[np.ndarray]:
        table, found = keras.Variable(start), []
        for ids, target in zip(batches, targets, strict=True):
            with tf.GradientTape() as tape:
                wide, narrow = tf.one_hot(ids, 20) @ table.value, tf.gather(table.value, ids)
                rows = wide if one_hot else narrow
                loss = tf.reduce_mean((rows - target) ** 2)
            optimizer.apply([tape.gradient(loss, table.value)], [table])
            found.append(table.numpy())
        return found

    same = {"epsilon": 1e-7, "epsilon_hat": True}  # Keras's form of the update
    exact = trained(tf_helen.Adam(0.01, moments="dense", **same), one_hot=True)
    figure, axis = plt.subplots(figsize=SIZE, layout="constrained")
    for name, optimizer in {
        "keras.optimizers.Adam": keras.optimizers.Adam(0.01),
        "tf_helen.Adam": tf_helen.Adam(0.01, moments="dense", **same),
    }.items():
        pairs = zip(trained(optimizer, one_hot=False), exact, strict=True)
        gaps = [np.abs(found - wanted).max() for found, wanted in pairs]
        print(f"duplicates, {name}: {gaps[-1]:.2g} after {len(gaps)} steps")
        axis.plot(range(1, len(gaps) + 1), gaps, marker=".", label=name)
    axis.set_xlabel("step")
    axis.set_ylabel("largest difference of a weight")
    axis.set_title("The same model by ids and by one-hot vectors")
    save(figure, axis, "duplicates.png")


def cost() -> None:
    """Milliseconds per step against the rows of the table, as measured."""
    measured = json.loads((DOCS / "results" / "step_cost" / "step_cost.json").read_text())
    figure, axis = plt.subplots(figsize=SIZE, layout="constrained")
    names = dict.fromkeys(key.partition("@")[0] for key in measured)
    for name in names:
        keys = sorted((k for k in measured if k.startswith(f"{name}@")), key=rows_of)
        times = [float(np.median(measured[key]["ms"])) for key in keys]
        axis.plot([rows_of(key) for key in keys], times, marker="o", label=name)
    axis.set_xscale("log")
    axis.set_yscale("log")
    axis.set_xlabel("rows of the embedding table")
    axis.set_ylabel("milliseconds per step")
    axis.set_title("10 fields, batch 2048, dimension 16, tower 200x200")
    save(figure, axis, "cost.png")


def rows_of(key: str) -> int:
    """Returns the number of rows in a key such as `Adam@10000`."""
    return int(key.partition("@")[2])


def absence() -> None:
    """The value of a row that occurs in some steps, with three ways to decay it."""
    occurs = {1, 3, 4, 6, 7, 9, 10, 55, 58, 60}
    figure, axis = plt.subplots(figsize=SIZE, layout="constrained")
    for name, optimizer in {
        "Adam": tf_helen.Adam(0.05),
        "decay when the row occurs": tf_helen.AdamAR(0.05, alpha=0.01, decay="on_occurrence"),
        "AdamAR: decay while it is absent": tf_helen.AdamAR(0.05, alpha=0.01),
    }.items():
        table, values = keras.Variable([[1.0], [1.0]]), []
        for step in range(1, 71):
            ids = tf.constant([0, 1] if step in occurs else [1])
            gradient = tf.IndexedSlices(-tf.ones((len(ids), 1)), ids, (2, 1))
            optimizer.apply([gradient], [table])
            optimizer.finalize_variable_values([table])  # applies the pending decay
            values.append(float(table.numpy()[0, 0]))
        axis.plot(range(1, 71), values, label=name)
    axis.vlines(sorted(occurs), 0, 0.08, color="gray", linewidth=1.2)
    axis.text(30, 0.03, "the row occurs", color="gray", fontsize=9)
    axis.set_ylim(bottom=0)
    axis.set_xlabel("step")
    axis.set_ylabel("value of the row")
    save(figure, axis, "absence.png")


def save(figure: plt.Figure, axis: plt.Axes, name: str) -> None:
    """Writes a picture with its legend to docs/how-it-works/."""
    axis.grid(alpha=0.3)
    axis.legend(fontsize=9)
    figure.savefig(OUT / name, dpi=110)
    plt.close(figure)


if __name__ == "__main__":
    OUT.mkdir(exist_ok=True)
    duplicates()
    cost()
    absence()
