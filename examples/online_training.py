"""Online training on a stream of clicks, interrupted and continued.

    python examples/online_training.py

It prepares a small data folder for the vocabularies, trains DeepFM on a stream of rows that it
generates, ends, and continues from the checkpoint in a new model when there are more rows.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator

import keras
import numpy as np

import tf_helen
import zoo
from zoo.data.vocabulary import save_vocabulary

USERS, ITEMS = 200, 50


def clicks(rows: int) -> Iterator[dict]:
    """Rows as a message queue would deliver them: dicts of raw values."""
    rng = np.random.default_rng(0)
    for user, item, hour in zip(
        rng.integers(0, USERS, rows), rng.integers(0, ITEMS, rows), rng.random(rows), strict=True
    ):
        chance = 1 / (1 + np.exp(-(user % 5 - 2 + item % 3 - 1)))
        yield {
            "user": f"user{user}",
            "item": f"item{item}",
            "hour": float(24 * hour),
            "label": int(rng.random() < chance),
        }


def vocabularies(folder: str) -> zoo.Schema:
    """Writes a schema and vocabularies, as launch.prepare does from a first log."""
    schema = zoo.Schema(
        "clicks",
        [zoo.Categorical("user", USERS + 1), zoo.Categorical("item", ITEMS + 1)],
        [zoo.Numeric("hour", mean=12.0, std=7.0)],
    )
    schema.save(folder)
    for name, size in (("user", USERS), ("item", ITEMS)):
        words = ["<oov>", *(f"{name}{i}" for i in range(size))]
        save_vocabulary(folder, name, words, np.ones(size + 1, np.int64))
    return schema


def train(folder: str, states: str, schema: zoo.Schema, rows: int, epochs: int) -> None:
    """Trains on the rows that are there, from where the last process stopped."""
    keras.utils.clear_session()  # as in a new process: layers get the same names
    keras.utils.set_random_seed(0)
    model = zoo.DeepFM(schema, embedding_dim=8, hidden_units=(32,))
    loss = keras.losses.BinaryCrossentropy(from_logits=True)
    model.compile(tf_helen.Adagrad(0.05), loss, metrics=[tf_helen.metrics.AUC(from_logits=True)])
    data = zoo.read_stream(clicks(rows), folder, batch_size=100)
    resume = tf_helen.callbacks.ExactResume(states, minutes=0, stream=data.stream)
    history = model.fit(data, epochs=epochs, callbacks=[resume], verbose=0)
    logs = {name: round(values[-1], 4) for name, values in history.history.items()}
    print(f"{data.stream.state()}: {logs}")


def main() -> None:
    """Trains on the rows of the morning, then, as a new process would, on those that follow."""
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryDirectory() as states:
        schema = vocabularies(folder)
        train(folder, states, schema, rows=6_000, epochs=1)
        train(folder, states, schema, rows=20_000, epochs=2)


if __name__ == "__main__":
    main()
