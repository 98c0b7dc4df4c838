"""Compares the record files of a prepared folder with the checksums in its manifest.

Example: `python -m launch.verify --data=data/frappe`.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence

import tensorflow as tf
from absl import flags

from launch import cli
from launch.quiet import quiet
from tf_helen.stores import gfile
from zoo.data.checksums import verify_files
from zoo.data.files import DataError, join
from zoo.data.manifest import FILE_NAME, load_manifest

_FLAGS = flags.FLAGS


def verify(data: str | os.PathLike[str]) -> Iterator[tuple[str, bool, str]]:
    """Compares the files of each split with their sizes and checksums.

    Args:
        data: string or path, prepared data folder.

    Yields:
        For each split its name, a boolean that is `True` if all files are unchanged, and a line
        that says so or names the first file that is missing, differs, or does not belong to the
        split.

    Raises:
        DataError: if the folder or its manifest is missing or malformed.

    Example:
        >>> import tempfile, zoo
        >>> folder, schema = tempfile.mkdtemp(), zoo.Schema("tiny", [zoo.Categorical("user", 10)])
        >>> _ = zoo.write_tfrecords(folder, schema, "train", [{"ids": [[3]], "label": [1]}])
        >>> list(verify(folder))
        [('train', True, '1 file, 1 row, as written')]
    """
    splits = load_manifest(data)
    if not splits:
        raise DataError(f"no {FILE_NAME} with a split in {os.fspath(data)}; name a prepared folder")
    for name, split in splits.items():
        try:
            count = verify_files(data, name)
        except (DataError, tf.errors.OpError) as error:
            yield name, False, getattr(error, "message", str(error))
        else:
            files = f"{count:,} file{'s' * (count != 1)}"
            rows = f"{split.total_rows:,} row{'s' * (split.total_rows != 1)}"
            yield name, True, f"{files}, {rows}, as written"


def _main(argv: Sequence[str]) -> None:
    del argv
    if not _FLAGS.data:
        raise ValueError("pass --data=PREPARED_FOLDER")
    if not gfile.isdir(join(_FLAGS.data)):
        raise DataError(f"no folder {_FLAGS.data}; name a prepared folder")
    found = []
    for name, good, line in verify(_FLAGS.data):
        print(f"{name}: {'' if good else 'WRONG: '}{' '.join(line.split())}", flush=True)
        found.append(good)
    if not all(found):
        sys.exit(1)


def _define_flags() -> None:
    quiet()
    flags.DEFINE_string("data", None, "Prepared data folder.")


if __name__ == "__main__":
    _define_flags()
    cli.run(_main)
