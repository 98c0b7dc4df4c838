"""SavedModels that take raw features: strings and numbers in, probabilities out.

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
        run: folder of the run.
        data: prepared data folder that it was trained on, or a copy; of its record files none is
            needed.
        out: folder to write.

    Returns:
        `out`.

    Raises:
        DataError: naming the field that has another vocabulary or other settings in `data`.
    """
    model = load_best(run)
    check_vocabularies(run, data, model)
    return export_saved_model(model, data, out)


def _main(argv: Sequence[str]) -> None:
    del argv
    if not _FLAGS.run or not _FLAGS.data or not _FLAGS.out:
        raise ValueError("give --run=FOLDER_OF_THE_RUN, --data=PREPARED_FOLDER and --out=FOLDER")
    print(f"written to {export_run(_FLAGS.run, _FLAGS.data, _FLAGS.out)}")


def _define_flags() -> None:
    quiet()
    flags.DEFINE_string("run", None, "Folder that launch.train wrote.")
    flags.DEFINE_string("data", None, "Prepared data folder that it was trained on.")
    flags.DEFINE_string("out", None, "Folder to write.")


if __name__ == "__main__":
    _define_flags()
    cli.run(_main)
