"""Describes a run as one HTML page: curves, scores, calibration, frequency, norms, settings, times.

Example: `python -m launch.report out/frappe` writes `out/frappe/report.html`. The page loads
nothing from the network or other files, so it can be sent or stored as it is.
"""

from __future__ import annotations

from collections.abc import Sequence

from absl import flags

from launch import cli
from launch.analysis.runs import load_runs
from launch.quiet import quiet
from launch.reporting.run_report import run_report
from zoo.data.files import join, write_text

FILE_NAME = "report.html"
_FLAGS = flags.FLAGS


def _main(argv: Sequence[str]) -> None:
    named = [*argv[1:], *([_FLAGS.run] if _FLAGS.run else [])]
    if len(named) != 1:
        received = f"; received {', '.join(map(repr, named))}" if named else ""
        raise ValueError(
            f"name one folder of a run, such as python -m launch.report out/frappe{received}"
        )
    if _FLAGS.samples < 0:
        raise ValueError(
            f"--samples={_FLAGS.samples}; use 0 for no intervals, or a positive integer"
        )
    (run,) = load_runs(named, _FLAGS.data)
    out = _FLAGS.out or join(run.folder, FILE_NAME)
    write_text(out, run_report(run, split=_FLAGS.split, samples=_FLAGS.samples))
    print(f"written to {out}")


def _define_flags() -> None:
    quiet()
    flags.DEFINE_string("run", None, "Folder of the run, if it is not the argument.")
    flags.DEFINE_string("data", None, "Prepared data folder, if it has moved since the training.")
    flags.DEFINE_string("split", None, "Split to score; by default test, or valid without one.")
    flags.DEFINE_string("out", None, f"File to write; by default {FILE_NAME} in the run's folder.")
    flags.DEFINE_integer("samples", 200, "Bootstrap samples of the intervals; 0: no intervals.")


if __name__ == "__main__":
    _define_flags()
    cli.run(_main, words=None)
