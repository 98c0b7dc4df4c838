"""Prepares a data set: vocabularies, schema and TFRecord files, in two streaming passes.

Examples:
    python -m launch.prepare --dataset=synthetic --out=data/synthetic
    python -m launch.prepare --infer --source=clicks.parquet --schema=clicks.json
    python -m launch.prepare --schema=clicks.json --source=clicks.parquet --out=data/clicks
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence

from absl import flags

from launch import cli, datasets
from launch.datasets import own_table
from launch.datasets.raw import Options, RawData
from launch.preparation import passes
from launch.preparation.beam_passes import RUNNERS, BeamEngine
from launch.preparation.extending import Earlier
from launch.preparation.memory import default_memory, parse_memory
from launch.preparation.passes import Files
from launch.preparation.report import summary, write_report
from launch.preparation.workspace import Workspace, check_free, fingerprint
from launch.raw.header import parse_separator
from zoo.data.files import DataError
from zoo.data.manifest import save_parent, save_split
from zoo.data.record_layout import DEFAULT_LAYOUT, LAYOUTS
from zoo.data.schema import Schema
from zoo.data.shard_writer import split_of

_FLAGS = flags.FLAGS
MOST_LOST = 1e-4  # share of damaged rows above which a preparation stops


def prepare(
    raw: RawData,
    out: str | os.PathLike[str],
    shards: int = 1,
    compression: str | None = None,
    overwrite: bool = False,
    layout: str = DEFAULT_LAYOUT,
    max_lost: float = MOST_LOST,
    key: str = "",
    memory: int | None = None,
    engine: BeamEngine | None = None,
    extend: str | None = None,
) -> str:
    """Encodes a data set and writes it to a folder, completely or not at all.

    The rows are read twice and not kept in memory: once to count the values of the training split,
    once to encode all splits. The same input gives the same bytes. An interrupted preparation
    continues if it is repeated with the same arguments and files.

    Args:
        raw: `RawData`, the data set.
        out: string or path, folder to write, local or remote.
        shards: int, number of record files per split. Defaults to 1.
        compression: `None` or "GZIP". Defaults to `None`.
        overwrite: boolean, whether to replace a prepared folder. Defaults to `False`.
        layout: "blocks" (a record holds many rows), or one `tf.train.Example` per row: "packed"
            (ids and numbers as two vectors) or "columns" (one feature per column). Defaults to
            "blocks".
        max_lost: float, maximum share of damaged raw rows, in [0, 1]. Defaults to 1e-4.
        key: string, values other than the files and the schema that determine the rows, such as
            a seed. Defaults to "".
        memory: int, bytes that distinct values may take, about; more are sorted on disk, with the
            same result. Defaults to `None`: half of the machine's memory.
        engine: `BeamEngine` that runs the passes, with the same result. Defaults to `None`: this
            process.
        extend: string, an earlier prepared folder: its ids, boundaries and statistics are kept, and
            new values get the ids after them. Defaults to `None`.

    Returns:
        String, a summary to print; `report.json` in the folder has the same content.

    Raises:
        ValueError: if the folder is in use, or an argument or the data are invalid.

    Example:
        >>> import tempfile
        >>> from launch.datasets import synthetic
        >>> folder = tempfile.mkdtemp() + "/data"
        >>> print(prepare(synthetic.load(Options(rows=80)), folder).splitlines()[0])
        split    rows   positives
    """
    out = os.fspath(out).rstrip("/")
    if not 0 <= max_lost <= 1:
        raise DataError(f"max_lost={max_lost!r}; use a share from 0 to 1")
    if extend is not None and engine is not None:
        raise DataError(
            "--extend reads the earlier vocabularies in one process; leave out --runner"
        )
    memory = memory or default_memory()
    files = Files(shards, compression, layout)
    earlier = None if extend is None else Earlier(extend.rstrip("/"))
    if earlier is not None:
        raw = dataclasses.replace(raw, schema=earlier.started(raw.schema))
        key = f"{key} {earlier.checksum}"
    # Without files, only the caller knows whether the rows are unchanged.
    decisive = (repr(raw.schema), files, key, os.urandom(8) if not raw.files else "")
    with Workspace(out, overwrite, fingerprint(raw.files, *decisive)) as work:
        run = engine or passes
        known = {} if earlier is None else {"earlier": earlier}
        counted = run.count_pass(raw, work, max_lost, memory, **known)
        written, changed = run.write_pass(raw, counted, work, files, memory)
        for split, done in written.items():
            save_split(work.path, split, split_of(done, layout, compression))
        if earlier is not None:
            save_parent(work.path, earlier.checksum)
        report = write_report(work.path, counted, changed, raw.published)
        schema = Schema.load(work.path)
        work.finish()
    return summary(report, schema)


def _main(argv: Sequence[str]) -> None:
    del argv
    if _FLAGS.infer:
        separator = parse_separator(_FLAGS.separator)
        print(
            own_table.propose(
                _FLAGS.source, _FLAGS.schema, _FLAGS.label, _FLAGS.overwrite, separator
            )
        )
        return
    if bool(_FLAGS.dataset) == bool(_FLAGS.schema) or not _FLAGS.out:
        raise ValueError(
            "pass --out=DIRECTORY, and --dataset=NAME or --schema=FILE with --source=DATA (or "
            "--infer to propose a schema); data sets: " + ", ".join(datasets.available())
        )
    if _FLAGS.beam_options and not _FLAGS.runner:
        raise ValueError("--beam_options has no effect without --runner; add --runner=DirectRunner")
    engine = BeamEngine(_FLAGS.runner, _FLAGS.beam_options or "") if _FLAGS.runner else None
    check_free(_FLAGS.out.rstrip("/"), _FLAGS.overwrite)  # before a long read of the source
    options = Options(_FLAGS.source, _FLAGS.rows, _FLAGS.seed, _FLAGS.min_count)
    shares = own_table.parse_shares(_FLAGS.split) if _FLAGS.split else None
    raw = _own(options, shares) if _FLAGS.schema else _known(options)
    if _FLAGS.keep_time:
        raw = dataclasses.replace(raw, schema=dataclasses.replace(raw.schema, keep_time=True))
    text = prepare(
        raw,
        _FLAGS.out,
        _FLAGS.shards,
        _FLAGS.compression,
        _FLAGS.overwrite,
        _FLAGS.layout,
        _FLAGS.max_lost,
        key=repr((_FLAGS.dataset, options, shares, _FLAGS.split_by, _FLAGS.separator)),
        memory=parse_memory(_FLAGS.memory) if _FLAGS.memory else None,
        engine=engine,
        extend=_FLAGS.extend,
    )
    print(text)
    print(f"written to {_FLAGS.out}")


def _own(options: Options, shares: dict[str, float] | None) -> RawData:
    if options.rows is not None:
        raise ValueError(f"--rows={options.rows} is for --dataset=synthetic only; remove it")
    separator = parse_separator(_FLAGS.separator)
    survey = _FLAGS.runner is None
    return own_table.load(_FLAGS.schema, options, shares, _FLAGS.split_by, separator, survey)


def _known(options: Options) -> RawData:
    synthetic = _FLAGS.dataset == "synthetic"
    if synthetic and options.source is not None:
        raise ValueError(
            f"--source={options.source} has no effect with --dataset=synthetic; remove it"
        )
    if not synthetic and options.rows is not None:
        raise ValueError(f"--rows={options.rows} is for --dataset=synthetic only; remove it")
    return datasets.get(_FLAGS.dataset)(options)


def _define_flags() -> None:
    names = ", ".join(datasets.available())
    flags.DEFINE_string("dataset", None, f"Data set: {names}.")
    flags.DEFINE_string("out", None, "Folder to write.")
    flags.DEFINE_string("source", None, "File, folder or pattern of the raw data, local or remote.")
    flags.DEFINE_string("schema", None, "Schema file (.json) of your own CSV, TSV or Parquet data.")
    flags.DEFINE_boolean(
        "infer", False, "Propose a schema for --source and write it to --schema, for editing."
    )
    flags.DEFINE_string("label", None, "Name of the label column, for --infer.")
    flags.DEFINE_string(
        "split",
        None,
        "Shares of train, valid and test (with --schema), 0.8,0.1,0.1 unless files are named after "
        "splits.",
    )
    flags.DEFINE_string(
        "separator",
        None,
        "Separator of the columns of CSV files: a character or tab (with --schema or --infer).",
    )
    flags.DEFINE_enum(
        "split_by", None, ["random", "time"], "How to split the rows (with --schema)."
    )
    flags.DEFINE_integer("shards", 1, "Number of record files per split.", lower_bound=1)
    flags.DEFINE_enum("compression", None, ["GZIP"], "Compression of the record files.")
    flags.DEFINE_enum(
        "layout",
        DEFAULT_LAYOUT,
        LAYOUTS,
        "Layout of the records: many rows per record (blocks), or a tf.train.Example per row.",
    )
    flags.DEFINE_integer(
        "min_count",
        None,
        "Values that occur less often in the training split become id 0.",
        lower_bound=1,
    )
    flags.DEFINE_float("max_lost", MOST_LOST, "Maximum share of damaged raw rows.")
    flags.DEFINE_integer(
        "rows", None, "Number of training rows to generate (with --dataset=synthetic)."
    )
    flags.DEFINE_integer("seed", 0, "Seed of random splits, sampled negatives and synthetic data.")
    flags.DEFINE_string(
        "memory",
        None,
        "Memory for distinct values, such as 4G; more are sorted on disk. By default half of the "
        "machine's memory.",
    )
    flags.DEFINE_enum(
        "runner", None, RUNNERS, "Runner of Apache Beam; by default this process prepares the data."
    )
    flags.DEFINE_string(
        "beam_options",
        None,
        "Options of the pipeline (with --runner), such as '--flink_master=host:8081'.",
    )
    flags.DEFINE_string(
        "extend",
        None,
        "An earlier prepared folder: keep its ids, boundaries and statistics, and append new ids "
        "(docs/continual.md).",
    )
    flags.DEFINE_boolean(
        "keep_time",
        False,
        "Write the time of each row into the records, as keep_time of a schema does.",
    )
    flags.DEFINE_boolean("overwrite", False, "Replace a prepared folder.")


if __name__ == "__main__":
    _define_flags()
    cli.run(_main, advice="repeat the same command to continue")
