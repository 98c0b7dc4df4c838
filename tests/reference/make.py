"""Writes `tests/data/reference/<case>.npz`; see README.md in this folder."""

from __future__ import annotations

import argparse
import importlib
import json
import pathlib
import sys

import numpy as np

HERE = pathlib.Path(__file__).resolve().parent
OUT = HERE.parent / "data" / "reference"
sys.path.insert(0, str(HERE))

from harness import ROWS, Case  # noqa: E402 - found by the line above


def features_of(case: Case, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Random rows that a schema describes."""
    columns = []
    for field in case.schema["categorical"]:
        length = field.get("length", 1)
        # FuxiCTR takes id 0 for padding in fields of several values.
        ids = rng.integers(1 if length > 1 else 0, field["size"], (ROWS, length))
        if length > 1:
            ids[np.arange(length) >= rng.integers(0, length + 1, (ROWS, 1))] = -1
        columns.append(ids)
    found = {"ids": np.concatenate(columns, axis=1).astype(np.int32)}
    if case.schema["numeric"]:
        shape = (ROWS, len(case.schema["numeric"]))
        found["numeric"] = rng.normal(size=shape).astype(np.float32)
    return found


def make(name: str, case: Case) -> None:
    """Writes the file of a case."""
    rng = np.random.default_rng(abs(hash_of(name)))
    reference = case.reference()
    reference.randomize(rng)
    features = features_of(case, rng)
    weights = {
        key: np.asarray(w, np.float32) for key, w in case.weights(reference.parameters).items()
    }
    meta = {
        "model": case.model,
        "settings": dict(case.settings),
        "schema": case.schema,
        "parameters": reference.count,
        "source": case.source,
    }
    logits = reference.logits(features)
    arrays = {f"weight:{key}": value for key, value in weights.items()}
    OUT.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(
        OUT / f"{name}.npz", meta=json.dumps(meta), logits=logits, **features, **arrays
    )
    print(
        f"{name}: {reference.count:,} parameters, logits {logits.min():.3f} to {logits.max():.3f}"
    )


def hash_of(name: str) -> int:
    """The same number in every process, unlike `hash`."""
    return int.from_bytes(name.encode()[:8].ljust(8, b"-"), "big")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--fuxictr", required=True, help="folder of a clone of FuxiCTR")
    parser.add_argument("--cases", default="", help="names with commas between; default: all")
    arguments = parser.parse_args()
    sys.path.insert(0, arguments.fuxictr)
    cases: dict[str, Case] = {}
    for path in sorted((HERE / "cases").glob("*.py")):
        cases |= importlib.import_module(f"cases.{path.stem}").CASES
    for name in arguments.cases.split(",") if arguments.cases else cases:
        make(name, cases[name])


if __name__ == "__main__":
    main()
