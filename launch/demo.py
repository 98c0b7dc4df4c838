"""Shows one-epoch overfitting and two remedies, from raw data to a served model.

`python -m launch.demo` trains DeepFM with Adam, AdamAR and Helen on MovieLens-1M, or on generated
data if it cannot be downloaded. `--source` names a local copy (ml-1m.zip, its folder, or a folder
with train, valid and test `.csv.gz`).
"""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence

import numpy as np
import polars as pl
from absl import flags

import zoo
from launch import cli
from launch.cleaning import remove_comparison
from launch.compare import compare, parse_contenders
from launch.datasets import csv_folder, movielens_1m, synthetic
from launch.datasets.raw import Options, RawData, RowAccount
from launch.datasets.splitting import random_splits
from launch.export import export_run
from launch.prepare import prepare
from launch.quiet import quiet
from launch.run.config import RunConfig
from launch.run.results import Runs, results_table
from launch.run.training import load_best
from zoo.data.files import complete_or_absent, join
from zoo.data.locks import FolderLock

_FLAGS = flags.FLAGS
_CONTENDERS = "adam;adamar:alpha=1e-4;helen:rho=0.01"
_MOST_ROWS = 300_000  # more rows take more than a few minutes on two cores
_SHOWN = 8  # raw rows scored at the end


def load_raw(source: str | None) -> tuple[RawData, str]:
    """Finds the demo's data.

    Args:
        source: string, ml-1m.zip, its folder, or a folder with train, valid and test CSV files;
            `None`: downloads MovieLens-1M, or generates data if the download fails.

    Returns:
        The data, and a string that describes their origin.

    Raises:
        ValueError: if `source` is given and cannot be read.
    """
    if source:
        source = source.rstrip("/")
        if any(os.path.exists(join(source, f"train.csv{ending}")) for ending in ("", ".gz")):
            name = os.path.basename(os.path.abspath(source))
            raw = csv_folder.load_csv_folder(name, Options(source=source))
            return raw, f"{name}, the CSV files in {source}"
        return movielens_1m.load(Options(source=source)), f"MovieLens-1M from {source}"
    try:
        return movielens_1m.load(Options()), "MovieLens-1M, downloaded from grouplens.org"
    except ValueError as error:
        reason = str(error).split("; ")[0]
        return synthetic.load(Options()), f"generated data, not MovieLens-1M: {reason}"


def _at_most(raw: RawData, rows: int) -> RawData:
    """Returns the data set with at most `rows` training rows, sampled at random."""
    train = raw.splits["train"]
    total = sum(frame.height for frame in train(RowAccount()))
    if total <= rows:
        return raw
    shares = {"taken": rows / total, "left": 1 - rows / total}
    drawn = random_splits(train, shares, seed=0)["taken"]
    return dataclasses.replace(raw, splits={**raw.splits, "train": drawn})


def write_raw_rows(raw: RawData, rows: int, path: str) -> list[float]:
    """Writes the first raw test rows as CSV, like the input of a served model.

    Args:
        raw: `RawData`, the data set.
        rows: int, number of rows.
        path: string, file to write.

    Returns:
        Their labels.
    """
    table = next(t for t in raw.splits["test"](RowAccount()) if t.height).head(rows)
    labels = table[raw.schema.label].cast(pl.Float64).to_list()
    several = [
        pl.col(field.name).cast(pl.List(pl.String)).list.join(field.separator)
        for field in raw.schema.categorical
        if isinstance(table[field.name].dtype, pl.List)
    ]
    with complete_or_absent(path) as temporary:
        table.with_columns(several).drop(raw.schema.label).write_csv(temporary)
    return labels


def score_in_clean_process(saved_model: str, rows: str) -> list[float]:
    """Scores a CSV file in a new process.

    Args:
        saved_model: string, folder that `launch.export` wrote.
        rows: string, CSV file of raw rows.

    Returns:
        A probability per row.

    Raises:
        RuntimeError: if the process fails.
    """
    command = [sys.executable, "-m", "launch.predict"]
    command += [f"--saved_model={os.path.abspath(saved_model)}", f"--input={os.path.abspath(rows)}"]
    root = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    done = subprocess.run(command, capture_output=True, text=True, cwd=root, check=False)
    if done.returncode:
        raise RuntimeError(f"launch.predict failed: {done.stderr.strip()}")
    return [float(line) for line in done.stdout.splitlines()[1:]]


def takeaway(runs: Runs) -> str:
    """Says in one sentence what the comparison shows.

    Args:
        runs: for each label its runs, of which the first is used; the first label is the baseline.

    Returns:
        A sentence with the test AUC at the epochs that the validation split chooses.

    Example:
        >>> takeaway(runs)  # doctest: +SKIP
        'adam is best after epoch 1 (test AUC 0.7500; 0.7000 after epoch 2); helen is ...'
    """
    firsts = {label: several[0] for label, several in runs.items()}
    baseline = next(iter(firsts))
    best = max(firsts, key=lambda label: firsts[label].best.valid_auc)
    plain, last = firsts[baseline].best, firsts[baseline].epochs[-1]
    start = f"{baseline} is best after epoch {plain.epoch} (test AUC {plain.test_auc:.4f}"
    if last is not plain:
        start += f"; {last.test_auc:.4f} after epoch {last.epoch}"
    if best == baseline:
        return f"{start}); no other optimizer is better on the validation split of these data."
    other = firsts[best].best
    change = other.test_auc - plain.test_auc
    word = "better" if change > 0 else "worse"
    return (
        f"{start}); {best} is best after epoch {other.epoch} with {other.test_auc:.4f}, "
        f"{abs(change):.4f} {word}."
    )


def run_demo(source: str | None, out: str, rows: int = _MOST_ROWS, epochs: int = 4) -> None:
    """Prepares data, trains, exports and predicts; ends with a table, a picture and a sentence.

    Args:
        source: see `load_raw`.
        out: string, folder to write; the files of an earlier demo are replaced.
        rows: int, number of training rows; larger data sets are sampled.
        epochs: int, number of epochs.
    """
    with FolderLock(out):
        _run_demo(source, out, rows, epochs)


def _run_demo(source: str | None, out: str, rows: int, epochs: int) -> None:
    started = time.perf_counter()
    raw, where = load_raw(source)
    raw = _at_most(raw, rows)
    print(f"data: {where}", flush=True)
    data = join(out, "data")
    remove_comparison(join(out, "runs"))
    print(prepare(raw, data, overwrite=True), flush=True)
    common = RunConfig(data, join(out, "runs"), model="deepfm", epochs=epochs, learning_rate=1e-3)
    contenders = parse_contenders(_CONTENDERS)
    runs = compare(common, contenders, seeds=[0], title=f"{raw.schema.name}: DeepFM")
    best = max(contenders, key=lambda c: runs[c.label][0].best.valid_auc)
    print(f"best on the validation split: {best.label}; it is exported and served", flush=True)
    run = join(common.out, best.folder, "seed_0")
    saved = export_run(run, data, join(out, "saved_model"))
    _serve(raw, run, data, saved, join(out, "raw_rows.csv"))
    print(f"{time.perf_counter() - started:.0f} s; all files are in {out}")
    print(f"\nDeepFM on {raw.schema.name}: AUC per epoch")
    print(results_table(runs))
    print(f"\npicture: {join(common.out, 'curves.png')}")
    print(f"\n{takeaway(runs)}")


def _serve(raw: RawData, run: str, data: str, saved: str, path: str) -> None:
    labels = write_raw_rows(raw, _SHOWN, path)
    served = score_in_clean_process(saved, path)
    features, _ = next(iter(zoo.read_tfrecords(data, "test", batch_size=_SHOWN)))
    logits = load_best(run).predict_on_batch(features)[:, 0].astype(np.float64)
    trained = 1 / (1 + np.exp(-logits))
    shown = ", ".join(
        f"{probability:.3f} ({label:.0f})"
        for label, probability in zip(labels, served, strict=True)
    )
    print(f"raw rows of the test split, scored in a clean process by {saved}")
    print(f"probabilities (labels): {shown}")
    print(f"largest difference to the trained model: {np.abs(trained - served).max():.1e}")


def _main(argv: Sequence[str]) -> None:
    del argv
    out = _FLAGS.out or join(tempfile.gettempdir(), "tf-helen-demo")
    run_demo(_FLAGS.source, out, _FLAGS.rows, _FLAGS.epochs)


def _define_flags() -> None:
    quiet()
    flags.DEFINE_string("source", None, "ml-1m.zip, its folder, or a folder of CSV files.")
    flags.DEFINE_string("out", None, "Folder to write; by default in the temporary folder.")
    flags.DEFINE_integer(
        "rows", _MOST_ROWS, "Number of training rows; larger data sets are sampled.", lower_bound=1
    )
    flags.DEFINE_integer("epochs", 4, "Number of epochs.", lower_bound=1)


if __name__ == "__main__":
    _define_flags()
    cli.run(_main)
