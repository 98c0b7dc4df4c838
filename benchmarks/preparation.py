"""Time and memory of preparing a raw file of Criteo's shape, extrapolated to 45.8 million rows.

    python benchmarks/preparation.py [--rows=10000000] [--keep=FOLDER] [--prepare=--memory=500M]

Generates a file like Criteo's `train.txt` (label, 13 numbers with gaps, 26 hexadecimal ids with the
published number of distinct values), prepares it with `launch.prepare` as `criteo_x4_001` in a
separate process, and reports rows per second and peak memory.
"""

from __future__ import annotations

import os
import pathlib
import resource
import subprocess
import sys
import tempfile
import time

import numpy as np
import polars as pl
from absl import app, flags

_ROWS = flags.DEFINE_integer("rows", 10_000_000, "Rows to generate.", lower_bound=1)
_KEEP = flags.DEFINE_string("keep", None, "Folder for the files; by default they are removed.")
_DATASET = flags.DEFINE_string("dataset", "criteo_x4_001", "Data set to prepare the file as.")
_SHARDS = flags.DEFINE_integer("shards", 8, "Record files per split.")
_PREPARE = flags.DEFINE_multi_string("prepare", [], "More flags of launch.prepare.")

_ROOT = pathlib.Path(__file__).resolve().parents[1]
_CRITEO_ROWS = 45_840_617
_CHUNK = 500_000
# Distinct values of C1 to C26 over all of Criteo's rows.
_SIZES = (
    1460, 583, 10_131_227, 2_202_608, 305, 24, 12_517, 633, 3, 93_145, 5_683, 8_351_593, 3_194, 27,
    14_992, 5_461_306, 10, 5_652, 2_173, 4, 7_046_547, 18, 15, 286_181, 105, 142_572,
)  # fmt: skip
_NUMBERS = 13


def generate(path: str, rows: int) -> None:
    """Writes a tab-separated file without a header, a chunk at a time."""
    rng = np.random.default_rng(0)
    with open(path, "wb") as file:
        for start in range(0, rows, _CHUNK):
            count = min(_CHUNK, rows - start)
            columns = {"label": (rng.random(count) < 0.256).astype(np.int8)}
            for place in range(_NUMBERS):
                value = np.floor(rng.lognormal(1 + place / 3, 1.5, count)).astype(np.int64) - 1
                there = rng.random(count) > place / 28
                columns[f"I{place + 1}"] = pl.Series(value).set(~pl.Series(there), None)
            for place, size in enumerate(_SIZES):
                # Half of the ids follow a power law, the others are uniform.
                ids = np.where(
                    rng.random(count) < 0.5,
                    size ** rng.random(count) - 1,
                    size * rng.random(count),
                ).astype(np.uint64)
                columns[f"C{place + 1}"] = _hexadecimal(ids, place)
            table = pl.DataFrame(columns)
            table.write_csv(file, separator="\t", include_header=False)


def _hexadecimal(ids: np.ndarray, place: int) -> pl.Series:
    mixed = ((ids * 2_654_435_761 + place * 97) % 2**32).astype(">u4")
    return pl.Series(mixed.view("V4").tolist(), dtype=pl.Binary).bin.encode("hex")


def main(_) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        folder = _KEEP.value or scratch
        os.makedirs(folder, exist_ok=True)
        raw, out = os.path.join(folder, "train.txt"), os.path.join(folder, "prepared")
        start = time.perf_counter()
        if not os.path.exists(raw):
            generate(raw, _ROWS.value)
        size = os.path.getsize(raw)
        print(f"{_ROWS.value:,} rows, {size / 2**30:.2f} GiB", end=" ")
        print(f"(generated in {time.perf_counter() - start:.0f} s)", flush=True)
        command = [sys.executable, "-m", "launch.prepare", f"--dataset={_DATASET.value}"]
        command += [f"--source={raw}", f"--out={out}", f"--shards={_SHARDS.value}", "--overwrite"]
        command += _PREPARE.value
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        start = time.perf_counter()
        done = subprocess.run(command, cwd=_ROOT, capture_output=True, text=True, check=False)
        wall = time.perf_counter() - start
        if done.returncode:
            sys.exit(done.stderr[-3000:])
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        cpu = used.ru_utime + used.ru_stime - before.ru_utime - before.ru_stime
        print(done.stdout)
        print(f"prepared in {wall:.0f} s on {os.cpu_count()} cores ({cpu:.0f} s of CPU time)")
        print(f"rows per second: {_ROWS.value / wall:,.0f}, per core: {_ROWS.value / cpu:,.0f}")
        print(f"peak memory: {used.ru_maxrss / 2**20:.2f} GiB")
        scale = _CRITEO_ROWS / _ROWS.value
        print(f"all of Criteo ({_CRITEO_ROWS:,} rows), extrapolated: {scale * wall / 60:.0f} min")


if __name__ == "__main__":
    app.run(main)
