"""The two passes of a preparation on Apache Beam: the same folder as on one machine."""

from __future__ import annotations

import dataclasses
import shlex
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from launch.datasets.parts import PART_BYTES, Part, parts_of
from launch.datasets.raw import RawData, RowAccount, SharedSplits
from launch.datasets.splitting import TimeChoice
from launch.datasets.time_survey import TimeSurvey
from launch.preparation.counters import TextCounter, counter_of
from launch.preparation.counting import merged, with_sizes
from launch.preparation.damaged_lines import damaged_lines
from launch.preparation.exchange import read_tables
from launch.preparation.passes import (
    Counted,
    Files,
    check_counted,
    counted_rows,
    write_values,
)
from launch.preparation.stages import PartSummary, PlacedPart
from launch.preparation.sums import ExactSums
from launch.preparation.time_order import TimeOrder
from launch.preparation.vocabularies import Totals, Vocabulary
from launch.preparation.workspace import Workspace
from launch.raw.files import RawFile
from tf_helen.stores import gfile
from zoo.data.files import DataError, join
from zoo.data.schema import Schema
from zoo.data.shard_writer import Shard, shard_bounds
from zoo.data.vocabulary import check_file_names

if TYPE_CHECKING:
    import apache_beam

RUNNERS = ("DirectRunner", "FlinkRunner", "SparkRunner", "DataflowRunner", "PortableRunner")
_BUCKET_BYTES = 1 << 28  # of raw data, per bucket of values
_MOST_BUCKETS = 256
_PROCESSES = ("--direct_running_mode=multi_processing", "--direct_num_workers=0")


@dataclass(frozen=True)
class BeamEngine:
    """Runs the passes of a preparation on Apache Beam.

    Args:
        runner: string, one of `RUNNERS`. Defaults to "DirectRunner": processes on this machine, as
            many as it has cores.
        options: string, options of the pipeline, as on a command line. Defaults to "".
        part_bytes: int, bytes of a file that a worker reads at once, about; see
            `launch.datasets.parts.parts_of`. Defaults to 67,108,864.

    Raises:
        DataError: if apache-beam is not installed, or the runner is unknown.

    Example:
        >>> BeamEngine("FlinkRunner", "--flink_master=host:8081")  # doctest: +SKIP
    """

    runner: str = "DirectRunner"
    options: str = ""
    part_bytes: int = PART_BYTES

    def __post_init__(self) -> None:
        if self.runner not in RUNNERS:
            raise DataError(f"--runner={self.runner}; use one of {', '.join(RUNNERS)}")
        try:
            import apache_beam  # noqa: F401
        except ImportError as error:
            raise DataError(
                f"--runner={self.runner} needs Apache Beam ({error}); "
                "pip install 'tf-helen[launch,beam]', in an environment of its own"
            ) from None

    def count_pass(self, raw: RawData, work: Workspace, max_lost: float, memory: int) -> Counted:
        """Counts all rows, and writes the schema and the vocabularies to the workspace.

        Args:
            raw, work, max_lost, memory: as of `launch.preparation.passes.count_pass`.

        Returns:
            `Counted`.

        Raises:
            DataError: as `launch.preparation.passes.count_pass`.
        """
        parts = parts_of(raw, self.part_bytes)
        # One process counts without parts.
        if work.counted is not None and len(work.counted.get("parts", ())) == len(parts):
            found = Counted(**work.counted)
            check_counted(raw, found, max_lost)
            if _times(raw) is None and found.times is not None:
                raw.splits.choose.last = np.array(found.times)
            return found
        check_file_names(work.path, raw.schema)
        with work.shared_scratch() as folder:
            parts = self._numbered(raw, parts, folder)
            summaries, tables = self._counts(raw, parts, folder)
            rows, account, sums = _added(summaries, raw.schema)
            found = counted_rows(rows, account)
            if found.damaged:
                files = _damaged_files(raw, parts, summaries)
                found.lines = damaged_lines(files, raw.schema, raw.separator)
            check_counted(raw, found, max_lost)
            schema = _with_vocabularies(raw.schema, tables, sums, work.path)
        schema.save(work.path)
        found.times = _times(raw)
        found.parts = [[p.first, s.rows] for p, s in zip(parts, summaries, strict=True)]
        work.counted = vars(found)
        return found

    def write_pass(
        self, raw: RawData, counted: Counted, work: Workspace, files: Files, memory: int
    ) -> tuple[dict[str, list[Shard]], Counter[str]]:
        """Encodes all rows, and writes the record files that are still missing.

        Args:
            raw, counted, work, files, memory: as of `launch.preparation.passes.write_pass`.

        Returns:
            Dict from split to its record files, and a `Counter` of changed values by reason.

        Raises:
            DataError: as `launch.preparation.passes.write_pass`.
        """
        from launch.preparation import beam_results
        from launch.preparation.beam_shards import Shards

        bounds = {split: shard_bounds(rows, files.shards) for split, rows in counted.rows.items()}
        schema = Schema.load(work.path)
        known = {
            (split, number): shard
            for split in bounds
            for number, shard in enumerate(work.shards(split))
        }
        shards = beam_results.finished_shards(work.path, schema, bounds, files) | known
        changed: Counter[str] = Counter()
        with work.shared_scratch() as folder:
            parts = _placed(parts_of(raw, self.part_bytes), counted.parts)
            changed_file, shards_file = join(folder, "changed"), join(folder, "shards")

            def build(pipeline: apache_beam.Pipeline) -> None:
                found, written = pipeline | Shards(
                    parts, work.path, schema, bounds, frozenset(shards), files, folder, memory
                )
                beam_results.save_result(found, changed_file, "changed")
                beam_results.save_result(written, shards_file, "shards")

            self._run(build)
            for _, some in beam_results.load_result(changed_file):
                changed.update(some)
            for split, number, shard in beam_results.load_result(shards_file):
                shards[split, number] = shard
        for key, shard in sorted(shards.items(), key=lambda item: item[0]):
            if key not in known:
                work.add_shard(key[0], shard)
        return {split: work.shards(split) for split in counted.rows}, changed

    def _numbered(self, raw: RawData, parts: list[Part], folder: str) -> list[Part]:
        """Returns the parts, with the numbers of their first rows if splits depend on them."""
        from launch.preparation.beam_counts import Numbered
        from launch.preparation.beam_results import load_result, save_result

        if not isinstance(raw.splits, SharedSplits):
            return parts
        choice = raw.splits.choose
        surveys = isinstance(choice, TimeChoice) and choice.last is None
        column, buckets = choice.column if surveys else None, _buckets(raw)
        rows_file, times_file = join(folder, "rows"), join(folder, "times")

        def build(pipeline: apache_beam.Pipeline) -> None:
            rows, times = pipeline | Numbered(parts, column, buckets, folder)
            save_result(rows, rows_file, "rows")
            save_result(times, times_file, "times")

        self._run(build)
        counted = [found for _, found in load_result(rows_file)]
        if surveys:
            survey = TimeSurvey(column)
            for _, rows, samples in counted:
                survey.rows += rows
                survey.samples = {**samples, **survey.samples}
            survey.runs = [TableFile(path) for *_, path in load_result(times_file)]
            choice.last = survey.last_times(choice.ends, choice.names)
        first, found = 0, []
        for part, (rows, *_) in zip(parts, counted, strict=True):
            found.append(part.numbered(first, first + rows))
            first += rows
        raw.splits.check_rows(first)
        return found

    def _counts(
        self, raw: RawData, parts: Sequence[Part], folder: str
    ) -> tuple[list[PartSummary], list[tuple[str, str, Totals | None]]]:
        from launch.preparation.beam_counts import Counts
        from launch.preparation.beam_results import load_result, save_result

        buckets = _buckets(raw)
        summaries_file, tables_file = join(folder, "summaries"), join(folder, "tables")

        def build(pipeline: apache_beam.Pipeline) -> None:
            summaries, tables = pipeline | Counts(parts, raw.schema, buckets, folder)
            save_result(summaries, summaries_file, "summaries")
            save_result(tables, tables_file, "tables")

        self._run(build)
        summaries = [summary for _, summary in load_result(summaries_file)]
        tables = [(name, path, t) for name, _, (path, t) in load_result(tables_file)]
        return summaries, tables

    def _run(self, build: Callable[[apache_beam.Pipeline], object]) -> None:
        """Builds a pipeline and runs it to its end."""
        import apache_beam as beam
        from apache_beam.options.pipeline_options import PipelineOptions
        from apache_beam.runners.runner import PipelineState

        given = shlex.split(self.options)
        if self.runner == "DirectRunner":
            if not any(option.startswith("--direct_") for option in given):
                given += _PROCESSES
            options = PipelineOptions(given)
            pipeline = beam.Pipeline(_direct_runner(options), options)
        else:
            pipeline = beam.Pipeline(options=PipelineOptions([*given, f"--runner={self.runner}"]))
        build(pipeline)
        try:
            state = pipeline.run().wait_until_finish()
        except RuntimeError as error:  # of a worker, which Beam has tried again
            reason = str(error).strip().splitlines()[-1]
            raise OSError(f"the pipeline of {self.runner} failed: {reason}") from error
        if state not in (None, PipelineState.DONE):
            raise OSError(
                f"the pipeline ended with the state {state}; see the log of {self.runner}"
            )


class TableFile:
    """The tables of a file that `launch.preparation.exchange.write_table` has written.

    Args:
        path: string, the file; it can be read any number of times.

    Example:
        >>> list(TableFile("part.tables"))  # doctest: +SKIP
    """

    def __init__(self, path: str):
        self._path = path

    def __iter__(self) -> Iterator[pl.DataFrame]:
        with gfile.GFile(self._path, "rb") as file:
            yield from read_tables(file)


def _direct_runner(options: apache_beam.pipeline.PipelineOptions) -> object:
    """Returns the runner of processes on this machine.

    "DirectRunner" would first try to download and start Beam's Prism, which ignores the options of
    the number of processes.
    """
    from apache_beam.portability.api import beam_provision_api_pb2
    from apache_beam.runners.portability.fn_api_runner import fn_runner
    from apache_beam.runners.portability.portable_runner import JobServiceHandle

    encoded = JobServiceHandle.encode_pipeline_options(options.get_all_options())
    info = beam_provision_api_pb2.ProvisionInfo(pipeline_options=encoded)
    return fn_runner.FnApiRunner(provision_info=fn_runner.ExtendedProvisionInfo(info))


def _damaged_files(
    raw: RawData, parts: Sequence[Part], summaries: Sequence[PartSummary]
) -> list[str]:
    """Returns the files that may have damaged rows."""
    damaged = zip(parts, summaries, strict=True)
    files = {part.file for part, summary in damaged if any(summary.damaged.values())}
    return [path for path in raw.files if path in files or "" in files]


def _buckets(raw: RawData) -> int:
    """Returns the number of buckets of values, which are merged with one open file each."""
    total = sum(RawFile(path).size for path in raw.files)
    return min(_MOST_BUCKETS, 1 + total // _BUCKET_BYTES)


def _times(raw: RawData) -> list[float] | None:
    """Returns the times that divide the rows, `None` if there are none or they are not known."""
    choice = raw.splits.choose if isinstance(raw.splits, SharedSplits) else None
    known = isinstance(choice, TimeChoice) and choice.last is not None
    return choice.last.tolist() if known else None


def _placed(
    parts: Sequence[Part], known: Sequence[tuple[int, Mapping[str, int]]]
) -> list[PlacedPart]:
    """Returns the parts with the numbers of their first rows, in the stream and in the splits."""
    found, starts = [], Counter()
    firsts = [first for first, _ in known]
    for part, (first, rows), stop in zip(parts, known, [*firsts[1:], None], strict=True):
        found.append(PlacedPart(part.numbered(first, stop), dict(starts), dict(rows)))
        starts.update(rows)
    return found


def _added(
    summaries: Sequence[PartSummary], schema: Schema
) -> tuple[dict[str, int], RowAccount, dict[str, ExactSums]]:
    """Adds up the summaries of all parts, in the order of the rows."""
    rows: Counter[str] = Counter()
    account, sums = RowAccount(), {column.name: ExactSums() for column in schema.numeric}
    order = TimeOrder(schema.time) if schema.time_ordered else None
    for summary in summaries:
        rows.update(summary.rows)
        account.damaged.update(summary.damaged)
        account.left_out.update(summary.left_out)
        account.examples = {**summary.examples, **account.examples}
        for name, some in summary.sums.items():
            sums[name] = sums[name].plus(some)
        if order is not None:
            order.follow(summary.times)
    return rows, account, sums


def _with_vocabularies(
    schema: Schema,
    tables: Sequence[tuple[str, str, Totals | None]],
    sums: Mapping[str, ExactSums],
    directory: str,
) -> Schema:
    """Writes the vocabularies; returns the schema with sizes and statistics."""
    sized = {}
    for field in schema.categorical:
        if field.shares is not None:
            continue
        files = [TableFile(path) for name, path, _ in tables if name == field.name]
        counter = counter_of(field)
        if isinstance(counter, TextCounter):
            totals = Totals()
            for name, _, some in tables:
                totals = totals.plus(some) if name == field.name else totals
            values = Vocabulary(field, totals, files)
            sized[field.name] = dataclasses.replace(field, size=values.size)
        else:
            key = counter.key
            sized[field.name], values = counter.finish(
                lambda files=files, key=key: merged(files, key), None, None
            )
        for other in schema.categorical:
            if field.name == (other.shares or other.name):
                write_values(directory, other.name, values)
    return with_sizes(schema, sized, dict(sums))
