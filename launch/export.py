"""Exports a run as a SavedModel that takes raw features and returns probabilities.

Example: `python -m launch.export --run=out/frappe --data=data/frappe --out=out/served`.
"""

from __future__ import annotations

from collections.abc import Sequence

from absl import flags

from launch import cli
from launch.quiet import quiet
from launch.run.data import check_vocabularies
from launch.run.training import load_best
from zoo.serving.export import export_saved_model

_FLAGS = flags.FLAGS


def export_run(run: str, data: str, out: str) -> str:
    """Exports the best epoch of a run; see `export_saved_model`.

    Args:
        run: string, folder of the run.
        data: string, prepared data folder of the run, or a copy; its record files are not needed.
        out: string, folder to write.

    Returns:
        `out`.

    Raises:
        DataError: names the field whose vocabulary or settings differ in `data`.
    """
    model = load_best(run)
    check_vocabularies(run, data, model)
    return export_saved_model(model, data, out)


def _main(argv: Sequence[str]) -> None:
    del argv
    if not _FLAGS.run or not _FLAGS.data or not _FLAGS.out:
        raise ValueError("pass --run=FOLDER_OF_THE_RUN, --data=PREPARED_FOLDER and --out=FOLDER")
    print(f"written to {export_run(_FLAGS.run, _FLAGS.data, _FLAGS.out)}")


def _define_flags() -> None:
    quiet()
    flags.DEFINE_string("run", None, "Folder of the run, written by launch.train.")
    flags.DEFINE_string("data", None, "Prepared data folder of the run, or a copy.")
    flags.DEFINE_string("out", None, "Folder to write.")


if __name__ == "__main__":
    _define_flags()
    cli.run(_main)
