"""Memory and traffic of a training step on many machines, computed from measured bytes per row.

    python benchmarks/traffic.py [--rows=1e9] [--dim=32] [--workers=64] [--servers=16]
                                 [--batch=1024] [--fields=40] [--exponent=1.05]

Nothing is trained. The bytes of the slots of a row are those of the variables that each optimizer
creates; the distinct rows of a batch are those of a batch of ids from a power law. What crosses the
network for one distinct row follows from where the operations run:

- Parameter servers: a lookup sends an id and receives a row (and, with decay of absent rows, the
  records of the row). The update sends an id, the summed gradient and the number of occurrences.
  Optimizers with two passes look every row up twice.
- Synchronous workers: every worker receives the distinct rows of every other, with their number of
  occurrences; with two passes, twice.

Dense weights are left out: 4 bytes per weight, each way, for every worker and pass.
"""

from __future__ import annotations

import os
import pathlib
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

import numpy as np
import tensorflow as tf
from absl import app, flags
from cases import state_bytes
from step_bytes import bytes_of, draw_ids

from tf_helen.core.replicas import rows_to_send

OPTIMIZERS = {"SGD": 1, "Adagrad": 1, "Adam": 1, "AdamAR": 1, "Helen(AdamAR)": 2}  # and passes
_RECORDS = {"AdamAR": 8, "Helen(AdamAR)": 8}  # bytes of a row's records that a lookup needs

_WORKERS = flags.DEFINE_integer("workers", 64, "Workers.", lower_bound=1)
_SERVERS = flags.DEFINE_integer("servers", 16, "Parameter servers.", lower_bound=1)


def main(argv: list[str]) -> None:
    del argv
    given = flags.FLAGS
    rows, width = int(float(given.rows[0])), given.dim
    ids = draw_ids(rows, given.batch, given.fields, given.exponent)
    number = ids if rows > np.iinfo(np.int32).max else ids.astype(np.int32)
    sent = rows_to_send(tf.IndexedSlices(tf.ones([len(ids), width]), tf.constant(number)))
    distinct, id_bytes = len(sent.indices), number.dtype.itemsize
    print(
        f"{rows:,} rows x {width}, {given.workers} workers, {given.servers} servers; "
        f"{len(ids):,} lookups per worker and step, {distinct:,} distinct rows\n"
    )
    heads = (
        "optimizer", "table and slots", "of a server", "with a bfloat16 table",
        "servers: traffic of a worker's step", "servers: of a server, for a step of every worker",
        "synchronous: traffic of a worker's step",
    )  # fmt: skip
    print(f"| {' | '.join(heads)} |")
    print("|---" * 7 + "|")
    for name, passes in OPTIMIZERS.items():
        slots = state_bytes(name, width)
        whole, half = rows * (4 * width + slots), rows * (2 * width + slots)
        lookup = id_bytes + 4 * width + _RECORDS.get(name, 0)
        update = id_bytes + 4 * width + 4
        worker = distinct * (passes * lookup + update)
        server = worker * given.workers / given.servers
        synchronous = passes * bytes_of(sent) * (given.workers - 1)
        cells = [whole / 1e9, whole / given.servers / 1e9, half / given.servers / 1e9]
        texts = [f"{cell:,.0f} GB" for cell in cells]
        texts += [f"{cell / 1e6:,.1f} MB" for cell in (worker, server, synchronous)]
        print(f"| {name} | {' | '.join(texts)} |")


if __name__ == "__main__":
    flags.FLAGS.set_default("rows", ["1e9"])
    for flag, value in (("dim", 32), ("batch", 1024), ("fields", 40)):
        flags.FLAGS.set_default(flag, value)
    app.run(main)
