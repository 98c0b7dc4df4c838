"""Writes the part of an export after the ids as an ONNX model, and how text becomes ids.

Example: `python -m launch.to_onnx --saved_model=served --out=model.onnx` also writes
`model.encoding.json`. It needs an extra: `pip install 'tf-helen[onnx]'`.
"""

from __future__ import annotations

from collections.abc import Sequence

from absl import flags

from launch import cli
from launch.quiet import quiet
from zoo.data.files import write_bytes, write_json
from zoo.serving.encoding_table import encoding_table
from zoo.serving.to_onnx import to_onnx

_FLAGS = flags.FLAGS


def _main(argv: Sequence[str]) -> None:
    del argv
    if not _FLAGS.saved_model or not _FLAGS.out:
        raise ValueError("pass --saved_model=FOLDER and --out=FILE")
    try:
        content = to_onnx(_FLAGS.saved_model)
    except ImportError as error:
        raise ValueError(str(error)) from None
    table = f"{_FLAGS.out.removesuffix('.onnx')}.encoding.json"
    write_json(table, encoding_table(_FLAGS.saved_model))
    write_bytes(_FLAGS.out, content)
    print(f"written to {_FLAGS.out}: {len(content):,} bytes, and {table}")


def _define_flags() -> None:
    quiet()
    flags.DEFINE_string("saved_model", None, "Folder of the SavedModel, written by launch.export.")
    flags.DEFINE_string("out", None, "File to write, such as model.onnx.")


if __name__ == "__main__":
    _define_flags()
    cli.run(_main)
