"""The recorded trajectories of the authors' codes, and how to feed them to an optimizer."""

import functools
import json
import os
import pathlib
import re

import numpy as np
import tensorflow as tf

_TESTS = pathlib.Path(__file__).resolve().parents[1]
_SHARED = pathlib.Path(os.environ.get("TF_HELEN_SHARED", _TESTS.parent.parent / "shared"))
# A sample of the files lives in the repository; all of them are used where they are at hand.
ROOT = _SHARED / "golden" if (_SHARED / "golden").is_dir() else _TESTS / "data" / "golden"
RECORDED = {path.stem for path in ROOT.rglob("*.npz")}
SAMPLE = {path.stem for path in (_TESTS / "data" / "golden").rglob("*.npz")}
NAMES = ("emb0", "emb1", "emb2", "W1", "b1", "W2", "b2")
TABLES = NAMES[:3]


def ctr_runs(*kinds: str, official: bool | None = None) -> list[tuple[str, dict]]:
    """(name, index entry) of the runs of the given kinds whose files are at hand."""
    runs = json.loads((ROOT / "ctr" / "index.json").read_text())["runs"]
    return sorted(
        (name, entry)
        for name, entry in runs.items()
        if entry["kind"] in kinds
        and (official is None or entry["official"] == official)
        and (ROOT / "ctr" / "f32" / f"{name}.npz").exists()
    )


def rms_runs() -> list[tuple[str, dict[str, float]]]:
    """(name, settings) of the recorded runs of row-wise RMSprop with decay; the names hold them."""
    pattern = re.compile(
        r"rowwise_rmsprop_ar_lr(?P<lr>[^_]+)_alpha(?P<alpha>[^_]+)_floor(?P<floor>.+)"
    )
    found = sorted((ROOT / "rows").glob("rowwise_rmsprop_ar_*.npz"))
    matches = [pattern.fullmatch(path.stem) for path in found]
    return [
        (m.group(), {key: float(value) for key, value in m.groupdict().items()}) for m in matches
    ]


def has_float64(name: str) -> bool:
    return (ROOT / "ctr" / "f64" / f"{name}.npz").exists()


def row_runs(prefix: str) -> list[tuple[str, dict]]:
    """(name, index entry) of the recorded row trajectories whose names start with `prefix`."""
    index = {}
    for name in ("index_ar.json", "index_group.json"):
        index.update(json.loads((ROOT / "rows" / name).read_text()))
    return sorted(
        (name, entry)
        for name, entry in index.items()
        if name.startswith(prefix) and (ROOT / "rows" / f"{name}.npz").exists()
    )


@functools.lru_cache(maxsize=8)
def load(path: str) -> dict[str, np.ndarray]:
    with np.load(ROOT / path) as file:
        return dict(file)


def split_slices(dense: np.ndarray, ids: np.ndarray) -> tf.IndexedSlices:
    """Slices that sum to `dense`, one per occurrence, in unequal shares."""
    values = np.empty((len(ids), dense.shape[1]), np.float64)
    for row in np.unique(ids):
        where = np.flatnonzero(ids == row)
        shares = np.arange(1, len(where) + 1) / (len(where) * (len(where) + 1) / 2)
        values[where] = shares[:, None] * dense[row].astype(np.float64)
    return tf.IndexedSlices(
        tf.constant(values.astype(dense.dtype)), tf.constant(ids), tf.constant(dense.shape)
    )


def row_gradient(
    inputs: dict[str, np.ndarray], step: int, dtype: str, suffix: str = ""
) -> tf.IndexedSlices:
    """The slices of one step of the row problem, duplicates and all; of width 1 for `_dim1`."""
    start, stop = inputs[f"offsets{suffix}"][step : step + 2]
    return tf.IndexedSlices(
        tf.constant(inputs[f"grads_flat{suffix}"][start:stop].astype(dtype)),
        tf.constant(inputs[f"ids_flat{suffix}"][start:stop]),
        tf.constant(inputs[f"w0{suffix}"].shape),
    )
