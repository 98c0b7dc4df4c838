"""A data folder and a model of the zoo as version 0.1 wrote them, and what they hold.

Run once, at version 0.1, by `python tests/support/v0_1_data.py`, which wrote tests/data/v0_1/data
and tests/data/v0_1/*.keras of the zoo; nothing here may change without the files.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import keras
import numpy as np

import tf_helen
import zoo

FOLDER = Path(__file__).parents[1] / "data" / "v0_1"
SCHEMA = {
    "version": 2,
    "name": "clicks",
    "label": "clicked",
    "group": "user",
    "categorical": [
        {"name": "user", "min_count": 2, "missing": "bucket"},
        {"name": "ip", "encoding": "hash", "size": 11},
        {"name": "item"},
        {"name": "history", "length": 3, "separator": " ", "shares": "item"},
        {"name": "age", "encoding": "buckets", "size": 5},
        {"name": "visits", "encoding": "log_square", "min_count": 2},
    ],
    "numeric": [{"name": "price", "transform": "log"}, {"name": "ctr", "transform": "none"}],
}
MODELS = ("deepfm", "dnn", "din")


def raw_table() -> str:
    """A CSV file of 60 rows with gaps, several values and words that are no numbers."""
    rng = np.random.default_rng(3)
    lines = ["clicked,user,ip,item,history,age,visits,price,ctr"]
    for row in range(60):
        items = " ".join(f"i{x}" for x in rng.integers(0, 7, rng.integers(0, 4)))
        user = "" if row % 9 == 0 else f"u{rng.integers(0, 12)}"
        price = "" if row % 7 == 0 else f"{rng.normal():.3f}"
        lines.append(
            f"{rng.integers(0, 2)},{user},10.0.0.{rng.integers(0, 30)},i{rng.integers(0, 7)},"
            f"{items},{rng.integers(18, 70)},{rng.integers(0, 50)},{price},{rng.random():.4f}"
        )
    return "\n".join(lines) + "\n"


def batches(folder: Path, split: str) -> dict[str, np.ndarray]:
    """All rows of a split, in order."""
    data = zoo.read_tfrecords(folder, split, batch_size=100, group=True)
    features, label = next(iter(data))
    return {**{name: value.numpy() for name, value in features.items()}, "label": label.numpy()}


def write() -> None:
    """Writes the files."""
    data = FOLDER / "data"
    with tempfile.TemporaryDirectory() as folder:
        schema, source = Path(folder) / "schema.json", Path(folder) / "clicks.csv"
        schema.write_text(json.dumps(SCHEMA), encoding="utf-8")
        source.write_text(raw_table(), encoding="utf-8")
        command = [sys.executable, "-m", "launch.prepare", f"--schema={schema}"]
        command += [f"--source={source}", f"--out={data}", "--split=0.5,0.25,0.25", "--shards=2"]
        subprocess.run(command, check=True)
    expected = {}
    for split in ("train", "valid", "test"):
        expected |= {f"{split}/{name}": value for name, value in batches(data, split).items()}
    schema = zoo.Schema.load(data)
    rows = {k: v for k, v in batches(data, "valid").items() if k in ("ids", "numeric")}
    for name in MODELS:
        keras.utils.set_random_seed(5)
        model = zoo.get(name)(schema, embedding_dim=4, hidden_units=(8,))
        model.compile(
            tf_helen.Helen(rho=0.01, base_optimizer=tf_helen.AdamAR(0.01, alpha=0.01)),
            keras.losses.BinaryCrossentropy(from_logits=True),
        )
        train = zoo.read_tfrecords(data, "train", batch_size=10)
        model.fit(train, epochs=2, verbose=0)
        model.save(FOLDER / f"zoo_{name}.keras")
        expected[f"{name}/logits"] = model.predict(rows, verbose=0)
    np.savez_compressed(FOLDER / "data.npz", **expected)


if __name__ == "__main__":
    sys.exit(write())
