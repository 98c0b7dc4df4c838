"""Prepares a data set: vocabularies, schema and TFRecord files.

Example: `python -m launch.prepare --dataset=synthetic --out=data/synthetic`.
"""

import os
import posixpath
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import tensorflow as tf
from absl import flags
from tqdm import tqdm

from launch import cli, datasets
from launch.datasets.raw import Options, RawData
from launch.encoder import Encoder
from zoo.files import DataError, join
from zoo.manifest import FILE_NAME as MANIFEST
from zoo.manifest import Split
from zoo.tfrecords import write_tfrecords
from zoo.vocabulary import save_vocabulary

_FLAGS = flags.FLAGS


def prepare(
    raw: RawData,
    out: str | os.PathLike[str],
    shards: int = 1,
    compression: str | None = None,
    min_count: int = 1,
    overwrite: bool = False,
) -> str:
    """Encodes a data set and writes it to a folder, completely or not at all.

    The same input gives the same bytes.

    Args:
        raw: The data set.
        out: Folder to write.
        shards: Record files per split.
        compression: None or "GZIP".
        min_count: Values with fewer training occurrences become id 0.
        overwrite: Replaces an already prepared folder.

    Returns:
        A summary to print.

    Raises:
        ValueError: If the folder is in use or an argument or the data are wrong.

    Example:
        >>> import tempfile
        >>> from launch.datasets import synthetic
        >>> folder = tempfile.mkdtemp() + "/data"
        >>> print(prepare(synthetic.load(Options(rows=80)), folder).splitlines()[0])
        split    rows   positives
    """
    out = os.fspath(out).rstrip("/")
    _check_free(out, overwrite)
    encoder = Encoder(raw, min_count)
    parent, name = posixpath.split(out)
    partial = posixpath.join(parent, f".{name}.{os.getpid()}.partial")
    try:
        for field, (values, counts) in encoder.vocabularies.items():
            save_vocabulary(partial, field, values, counts)
        written = {
            split: write_tfrecords(
                partial,
                encoder.schema,
                split,
                _with_progress(encoder.batches(table), split, table.height),
                shards,
                compression,
            )
            for split, table in raw.splits.items()
        }
        if tf.io.gfile.exists(out):
            tf.io.gfile.rmtree(out)
        tf.io.gfile.rename(partial, out)
    finally:
        if tf.io.gfile.exists(partial):
            tf.io.gfile.rmtree(partial)
    return _summary(raw, encoder, written)


def _check_free(out: str, overwrite: bool) -> None:
    if not out:
        raise DataError("--out is empty; name the folder to write")
    if not tf.io.gfile.exists(out):
        return
    if not tf.io.gfile.isdir(out):
        raise DataError(f"--out={out} is a file; name a folder")
    if tf.io.gfile.listdir(out):
        if not overwrite:
            raise DataError(f"--out={out} is not empty; name another folder or add --overwrite")
        if not tf.io.gfile.exists(join(out, MANIFEST)):
            raise DataError(
                f"--out={out} holds files but no {MANIFEST}, so --overwrite will not delete it; "
                "name another folder"
            )


def _with_progress(
    batches: Iterable[dict[str, np.ndarray]], split: str, rows: int
) -> Iterator[dict[str, np.ndarray]]:
    # disable=None: no bar where the output is not a terminal, such as a log file
    with tqdm(total=rows, desc=split, unit="row", unit_scale=True, disable=None) as bar:
        for batch in batches:
            yield batch
            bar.update(len(batch["label"]))


def _summary(raw: RawData, encoder: Encoder, written: dict[str, Split]) -> str:
    width = max(len(f"{split.total_rows:,}") for split in written.values())
    lines = [f"{'split':<8} {'rows':>{width}}   positives"]
    for name, split in written.items():
        share = split.positives / split.total_rows
        lines.append(f"{name:<8} {split.total_rows:>{width},}   {share:>8.2%}")
    sizes = encoder.schema.field_sizes
    lines += ["", f"{'field':<24} {'features':>10}"]
    for name, size in sizes.items():
        lines.append(f"{name:<24} {size:>10,}")
    lines.append(f"{len(sizes):>3} fields in all {'':<9} {sum(sizes.values()):>10,}")
    for column in encoder.schema.numeric:
        lines.append(f"{column.name:<24} number, mean {column.mean:.6g}, std {column.std:.6g}")
    lines += [f"dropped {count:,} rows: {reason}" for reason, count in sorted(raw.dropped.items())]
    lines += [f"changed {count:,} {what}" for what, count in sorted(encoder.changes.items())]
    return "\n".join(lines)


def _main(argv: Sequence[str]) -> None:
    del argv
    if not _FLAGS.dataset or not _FLAGS.out:
        raise ValueError(
            "give --dataset=NAME and --out=DIRECTORY; data sets: " + ", ".join(datasets.available())
        )
    synthetic = _FLAGS.dataset == "synthetic"
    if synthetic and _FLAGS.source is not None:
        raise ValueError(f"--source={_FLAGS.source} has no use with --dataset=synthetic; leave out")
    if not synthetic and _FLAGS.rows is not None:
        raise ValueError(f"--rows={_FLAGS.rows} is for --dataset=synthetic only; leave it out")
    options = Options(source=_FLAGS.source, rows=_FLAGS.rows, seed=_FLAGS.seed)
    _check_free(_FLAGS.out, _FLAGS.overwrite)  # before a long read of the source
    summary = prepare(
        datasets.get(_FLAGS.dataset)(options),
        _FLAGS.out,
        _FLAGS.shards,
        _FLAGS.compression,
        _FLAGS.min_count,
        _FLAGS.overwrite,
    )
    print(summary)
    print(f"written to {_FLAGS.out}")


def _define_flags() -> None:
    names = ", ".join(datasets.available())
    flags.DEFINE_string("dataset", None, f"Data set: {names}.")
    flags.DEFINE_string("out", None, "Folder to write.")
    flags.DEFINE_string("source", None, "Local file or folder of the raw data.")
    flags.DEFINE_integer("shards", 1, "Record files per split.")
    flags.DEFINE_enum("compression", None, ["GZIP"], "Compression of the record files.")
    flags.DEFINE_integer("min_count", 1, "Rarer training values become id 0.")
    flags.DEFINE_integer("rows", None, "Training rows to generate (synthetic).")
    flags.DEFINE_integer("seed", 0, "Seed (synthetic).")
    flags.DEFINE_boolean("overwrite", False, "Replace an already prepared folder.")


if __name__ == "__main__":
    _define_flags()
    cli.run(_main)
