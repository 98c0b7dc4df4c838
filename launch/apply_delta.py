"""Applies a delta of `launch.export --since` to the earlier export.

Example: `python -m launch.apply_delta --base=served/1 --delta=delta --out=served/2`. The result has
the same bytes as the whole export.
"""

from __future__ import annotations

from collections.abc import Sequence

from absl import flags

from launch import cli
from launch.quiet import quiet
from zoo.serving.delta import apply_delta

_FLAGS = flags.FLAGS


def _main(argv: Sequence[str]) -> None:
    del argv
    if not _FLAGS.base or not _FLAGS.delta or not _FLAGS.out:
        raise ValueError("pass --base=EARLIER_EXPORT, --delta=FOLDER and --out=FOLDER")
    print(f"written to {apply_delta(_FLAGS.base, _FLAGS.delta, _FLAGS.out)}")


def _define_flags() -> None:
    quiet()
    flags.DEFINE_string("base", None, "Folder of the export that the delta was made with.")
    flags.DEFINE_string("delta", None, "Folder of the delta, written by launch.export --since.")
    flags.DEFINE_string("out", None, "Folder to write; it may be --base, which is then replaced.")


if __name__ == "__main__":
    _define_flags()
    cli.run(_main)
