"""Apache Beam writes the folder that one process writes, byte for byte."""

import dataclasses
import os
import sys
from pathlib import Path

import pytest
import small_tables
from small_tables import CASES, prepared

pytest.importorskip("apache_beam", reason="no apache-beam: Beam is not checked; run make test-beam")

import numpy as np
import polars as pl

from launch.datasets import own_table
from launch.datasets.raw import Options, RawData, in_memory
from launch.datasets.splitting import fold_splits
from launch.datasets.tables import table_rows
from launch.preparation import beam_passes
from launch.preparation.beam_passes import BeamEngine
from launch.prepare import prepare
from zoo import Categorical, Schema
from zoo.data.shard_writer import ShardWriter

ROOT = Path(__file__).parents[3]
PROCESSES = "--direct_running_mode=multi_processing --direct_num_workers=2"
THIS_PROCESS = "--direct_running_mode=in_memory --direct_num_workers=1"
PORTABLE = "--job_endpoint=embed --environment_type=LOOPBACK"  # as Flink's and Spark's runners
ENGINE = BeamEngine("DirectRunner", THIS_PROCESS, part_bytes=20_000)


def contents(folder: Path) -> dict[str, bytes]:
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


@pytest.mark.parametrize(
    ("case", "options"),
    [("random", PROCESSES), ("random", PORTABLE), *((case, THIS_PROCESS) for case in CASES)],
)
def test_the_folder_is_that_of_one_process(tmp_path, monkeypatch, case, options):
    runner = "PortableRunner" if "job_endpoint" in options else "DirectRunner"
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), *sys.path]))
    (tmp_path / "one").mkdir()
    (tmp_path / "beam").mkdir()
    monkeypatch.chdir(tmp_path / "one")  # the report names the damaged lines by their paths
    one = contents(prepared(case, Path("work")))
    monkeypatch.chdir(tmp_path / "beam")
    engine = BeamEngine(runner, options, part_bytes=20_000)
    assert contents(prepared(case, Path("work"), engine=engine)) == one
    assert [path.name for path in Path("work").iterdir()].count("out") == 1
    assert not list(Path("work").glob(".*"))


def test_parts_of_one_file_and_folds(tmp_path):
    """Ranges of lines, row numbers of the parts, fewer rows than shards, and more shards."""
    small_tables.table(700).write_csv(tmp_path / "rows.tsv", separator="\t")
    folds = np.random.default_rng(0).integers(0, 9, 700).astype(np.uint8)
    rows = table_rows([str(tmp_path / "rows.tsv")])
    splits = fold_splits(rows, folds, {"train": range(1, 9), "test": (0,)})
    raw = RawData(small_tables.SCHEMA, splits, (str(tmp_path / "rows.tsv"),))
    for name, engine in (("one", None), ("beam", ENGINE)):
        prepare(raw, tmp_path / name, shards=90, engine=engine)
    assert contents(tmp_path / "one") == contents(tmp_path / "beam")


def test_rows_in_memory_and_named_files(tmp_path):
    table = small_tables.table(200)
    for name, part in (("train", table[:150]), ("valid", table[150:])):
        part.write_parquet(tmp_path / f"{name}.parquet", row_group_size=20)
    schema = small_tables.SCHEMA.save(tmp_path / "described")
    for name, raw in (
        ("named", own_table.load(schema, Options(source=str(tmp_path)))),
        ("memory", RawData(small_tables.SCHEMA, {"train": in_memory(table)})),
    ):
        for kind, engine in (("one", None), ("beam", ENGINE)):
            prepare(raw, tmp_path / name / kind, engine=engine)
        assert contents(tmp_path / name / "one") == contents(tmp_path / name / "beam")


def test_an_interrupted_preparation_goes_on_with_its_counts_and_files(tmp_path, monkeypatch):
    small_tables.table(300).write_csv(tmp_path / "rows.tsv", separator="\t")
    schema = small_tables.SCHEMA.save(tmp_path / "described")
    raw = own_table.load(schema, Options(source=str(tmp_path / "rows.tsv")))
    prepare(raw, tmp_path / "one", shards=2)
    write, written = ShardWriter.write_rows, []

    def failing(writer, index, batches):
        if len(written) == 3:
            raise OSError("the disk is full")
        written.append(writer.name(index))
        return write(writer, index, batches)

    monkeypatch.setattr(ShardWriter, "write_rows", failing)
    with pytest.raises(OSError, match="the disk is full"):
        prepare(raw, tmp_path / "out", shards=2, engine=ENGINE)
    assert not (tmp_path / "out").exists() and (tmp_path / ".out.partial").exists()
    before = written.copy()
    written.clear()
    monkeypatch.setattr(ShardWriter, "write_rows", lambda *a: written.append(a) or write(*a))
    monkeypatch.setattr(BeamEngine, "_counts", None)  # counted already
    prepare(raw, tmp_path / "out", shards=2, engine=ENGINE)
    assert len(before) == 3 and len(written) == 3
    assert contents(tmp_path / "out") == contents(tmp_path / "one")
    assert not list(tmp_path.glob(".*"))


def test_what_was_begun_on_beam_goes_on_without_it(tmp_path, monkeypatch):
    small_tables.table(300).write_csv(tmp_path / "rows.tsv", separator="\t")
    schema = small_tables.SCHEMA.save(tmp_path / "described")
    raw = own_table.load(schema, Options(source=str(tmp_path / "rows.tsv")))
    prepare(raw, tmp_path / "one", shards=2)

    def lost(writer, index, batches):
        raise OSError("the connection is lost")

    with monkeypatch.context() as patch, pytest.raises(OSError, match="connection"):
        patch.setattr(ShardWriter, "write_rows", lost)
        prepare(raw, tmp_path / "out", shards=2, engine=ENGINE)
    monkeypatch.setattr("launch.preparation.passes.TrainingCounts", None)  # counted already
    prepare(raw, tmp_path / "out", shards=2)
    assert contents(tmp_path / "out") == contents(tmp_path / "one")


def test_bad_input_is_the_error_that_one_process_gives(tmp_path):
    rows = pl.DataFrame({"label": [1, 0, 1], "user": ["a", "b", "c"], "day": [1, 3, 2]})
    rows.write_csv(tmp_path / "train.tsv", separator="\t")
    schema = Schema("s", [Categorical("user")], time="day", time_ordered=True)
    files = (str(tmp_path / "train.tsv"),)
    errors = []
    for engine in (None, ENGINE, dataclasses.replace(ENGINE, part_bytes=6)):
        raw = RawData(schema, {"train": table_rows(files)}, files)
        with pytest.raises(ValueError) as error:
            prepare(raw, tmp_path / "out", engine=engine)
        errors.append(str(error.value))
    assert errors[0] == errors[1] == errors[2] and "2.0 comes after 3.0" in errors[0]
    with pytest.raises(ValueError, match="--runner=Direct; use one of DirectRunner"):
        BeamEngine("Direct")
    assert "DirectRunner" in beam_passes.RUNNERS
