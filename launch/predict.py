"""Scores raw rows of a table with a SavedModel.

Example: `python -m launch.predict --saved_model=out/frappe/saved_model --input=rows.csv`.
Rows are read as `launch.prepare` reads them: CSV, TSV or Parquet files, compressed or not; columns
that the model does not use, such as the label, are ignored; empty values, and numbers that are not
finite numbers, are missing. A row with a wrong number of columns, or with invalid UTF-8 in a column
that the model uses, is an error that names its line, or, with `--damaged=empty`, has an empty line
in the output.
"""

from __future__ import annotations

import itertools
import os
import re
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl
import tensorflow as tf
from absl import flags

from launch import cli
from launch.datasets.damaged_rows import damage, damaged_rows
from launch.datasets.raw import RowAccount
from launch.datasets.table_types import as_text
from launch.datasets.tables import column_names, table_rows
from launch.preparation.rows import check_type
from launch.preparation.texts import as_texts, finite_numbers, note_unread, unread
from launch.quiet import quiet
from launch.raw.header import parse_separator
from tf_helen.core.checks import one_of
from tf_helen.core.folders import is_remote
from tf_helen.stores import gfile
from tf_helen.stores.local_copies import local_folder
from zoo.data.files import DataError, complete_or_absent
from zoo.data.progress import ProgressBar
from zoo.serving.input_names import input_name
from zoo.serving.replaceable import EXPORT

_FLAGS = flags.FLAGS
_ROWS = 4096  # rows per batch
DAMAGED = ("error", "empty")


@dataclass(frozen=True)
class _Column:
    """A column that the model takes, its type, and the separator of several values, or ""."""

    name: str
    dtype: tf.DType
    separator: str


def predict(
    saved_model: str,
    rows: str,
    damaged: str = "error",
    changed: Counter[str] | None = None,
    progress: bool = False,
    separator: str | None = None,
) -> Iterator[float | None]:
    """Scores the rows of a table, in order.

    Args:
        saved_model: string, folder that `launch.export` wrote.
        rows: string, CSV, TSV or Parquet file with a header, also compressed.
        damaged: "error": a row that `launch.prepare` counts as damaged is an error, before the
            first score; "empty": its score is `None`. Defaults to "error".
        changed: `Counter` that receives the number of values that are read as missing although
            they are not empty, by reason. Defaults to `None`.
        progress: boolean, whether to show progress. Defaults to `False`.
        separator: string, separator of the columns of a CSV file. Defaults to `None`: that of the
            file name.

    Yields:
        A probability per row; blank lines are no rows.

    Raises:
        ValueError: if a folder, file or column is missing or ambiguous, the file cannot be read to
            its end, or a row is damaged.

    Example:
        >>> list(predict("out/frappe/saved_model", "rows.csv"))  # doctest: +SKIP
        [0.27, 0.91]
    """
    one_of("damaged", damaged, DAMAGED)
    changed = Counter() if changed is None else changed
    loaded = _loaded(saved_model)  # kept alive, because it owns the lookup tables
    if "serving_default" not in loaded.signatures:
        raise DataError(f"{saved_model} has no signature serving_default; export the model again")
    serve = loaded.signatures["serving_default"]
    columns = _columns(loaded, serve.structured_input_signature[1])
    if "://" not in rows and not os.path.isfile(rows):
        raise DataError(f"no file {rows}; name a CSV, TSV or Parquet file with a header")
    found = _header(rows, columns, separator)
    how = {"separator": separator, "needed": frozenset(found.values())}
    total, bad = _survey(rows, how, progress)
    if bad and damaged == "error":
        raise DataError(
            f"{damage(rows, bad, separator)}; correct the file, or pass --damaged=empty for empty "
            "scores"
        )
    number = 0
    with ProgressBar("scoring", total, show=progress, delay=1.0) as bar:
        for frame in table_rows([rows], **how)(RowAccount()):
            for start in range(0, frame.height, _ROWS):
                part = frame[start : start + _ROWS]
                inputs = {
                    name: _tensor(part[found[column.name]], column, changed)
                    for name, column in columns.items()
                }
                for score in serve(**inputs)["probability"].numpy().tolist():
                    while number in bad:
                        number += 1
                        yield None
                    number += 1
                    yield score
                bar.update(part.height)
    while number in bad:
        number += 1
        yield None


def _loaded(folder: str) -> Any:
    found = _found(folder)
    try:
        return tf.saved_model.load(local_folder(found))
    except tf.errors.OpError as error:
        # The message of an assertion, without its position in TensorFlow's graph.
        text = re.search(r"assertion failed: \[(.*?)\]\s*(?:\[\[|\Z)", error.message, re.DOTALL)
        if text:
            raise DataError(text[1].replace("] [", " ")) from None
        raise DataError(f"{found} cannot be loaded: {error.message}; export it again") from None
    except Exception as error:  # TensorFlow raises various errors for damaged files
        raise DataError(
            f"{found} is damaged ({type(error).__name__}: {error}); export it again"
        ) from None


def _found(folder: str) -> str:
    """Returns the folder of the SavedModel.

    If an export was killed, that is the renamed folder of the previous SavedModel.
    """
    parent, name = os.path.split(folder.rstrip("/"))
    for place in (folder, os.path.join(parent, f".{name}.replaced")):
        if gfile.exists(f"{place}/{EXPORT}"):  # local or remote
            return place
    raise DataError(f"no SavedModel in {folder}; write one with launch.export")


def _columns(loaded: Any, specs: Mapping[str, tf.TensorSpec]) -> dict[str, _Column]:
    """Returns the column of each input; older SavedModels do not contain their names."""
    tensors = loaded.columns() if hasattr(loaded, "columns") else {}
    told = {key: [text.decode() for text in values.numpy()] for key, values in tensors.items()}
    inputs = told.get("input", [*specs])
    names = told.get("column", inputs)
    # Exports of version 0.2 lack the separators, which only fields of several values need.
    separators = told.get("separator", ["|"] * len(inputs))
    return {
        key: _Column(name, specs[key].dtype, separator)
        for key, name, separator in zip(inputs, names, separators, strict=True)
    }


def _header(path: str, columns: Mapping[str, _Column], separator: str | None) -> dict[str, str]:
    """Returns the file's column for each column of the model.

    If the header lacks a column, the name of its input is accepted.
    """
    header = column_names(path, separator)  # raises if a name occurs twice
    found, missing = {}, []
    needed = [column.name for column in columns.values()]
    known = set(header)
    others = [name for name in header if name not in set(needed)]
    inputs: dict[str, list[str]] = {}
    for other in others:
        inputs.setdefault(input_name(other), []).append(other)
    for key, name in zip(columns, needed, strict=True):
        fitting = [name] if name in known else inputs.get(key, [])
        if len(fitting) > 1:
            raise DataError(
                f"{path}: the columns {' and '.join(map(repr, fitting))} both fit the model's "
                f"column {name!r}; rename one to {name!r}"
            )
        if fitting:
            found[name] = fitting[0]
        else:
            missing.append(name)
    if missing:
        raise DataError(
            f"{path} lacks the columns {', '.join(sorted(missing))}; the model needs "
            f"{', '.join(needed)}"
        )
    return found


def _survey(path: str, how: Mapping[str, Any], progress: bool) -> tuple[int, dict[int, str]]:
    """Returns the number of rows that can be scored and the damaged rows; reads the whole file."""
    account = RowAccount()
    with ProgressBar("checking rows", show=progress, delay=1.0) as bar:
        for frame in table_rows([path], **how)(account):
            bar.update(frame.height)
    return bar.done, damaged_rows(path, **how) if account.total_damaged else {}


def _tensor(column: pl.Series, wanted: _Column, changed: Counter[str]) -> tf.Tensor:
    """Returns the input of the model for a column, as the preparation reads it."""
    if column.dtype == pl.Binary:
        column = as_text(column.to_frame(), RowAccount(), [column.name]).to_series()
    is_text = wanted.dtype == tf.string
    check_type(wanted.name, column.dtype, several=bool(wanted.separator), text=is_text)
    if is_text:
        return tf.constant(as_texts(column, wanted.separator).to_list(), tf.string)
    values = finite_numbers(column, pl.Float32)
    _, no_number = unread(column, values)
    note_unread(wanted.name, 0, no_number, changed)
    return tf.constant(values.cast(pl.Float32).fill_null(float("nan")).to_numpy())


def _write(scores: Iterator[float | None], path: str | None) -> None:
    first = list(itertools.islice(scores, 1))  # raises before anything is written
    chained = itertools.chain(first, scores)
    lines = ("" if score is None else f"{score:.9g}" for score in chained)
    text = (f"{line}\n" for line in lines)
    if not path:
        sys.stdout.write("probability\n")
        sys.stdout.writelines(text)
        return
    if is_remote(path):
        with complete_or_absent(path) as temporary, gfile.GFile(temporary, "w") as file:
            for line in itertools.chain(["probability\n"], text):
                file.write(line)
        return
    temporary = f"{path}.{os.getpid()}.tmp"
    try:
        with open(temporary, "w", encoding="utf-8") as file:
            file.write("probability\n")
            file.writelines(text)
        os.replace(temporary, path)
    finally:
        if os.path.exists(temporary):
            os.remove(temporary)


def _main(argv: Sequence[str]) -> None:
    del argv
    if not _FLAGS.saved_model or not _FLAGS.input:
        raise ValueError("pass --saved_model=FOLDER and --input=rows.csv")
    changed: Counter[str] = Counter()
    # Scores and progress do not share a terminal.
    progress = bool(_FLAGS.output) or not sys.stdout.isatty()
    separator = parse_separator(_FLAGS.separator)
    scores = predict(_FLAGS.saved_model, _FLAGS.input, _FLAGS.damaged, changed, progress, separator)
    _write(scores, _FLAGS.output)
    sys.stdout.flush()
    for reason, count in changed.items():
        print(f"{count:,} {reason}", file=sys.stderr)


def _define_flags() -> None:
    quiet()
    flags.DEFINE_string(
        "saved_model", None, "Folder of the SavedModel, written by launch.export or launch.train."
    )
    flags.DEFINE_string("input", None, "CSV, TSV or Parquet file with a header, also compressed.")
    flags.DEFINE_string("output", None, "CSV file to write; by default the standard output.")
    flags.DEFINE_string(
        "separator", None, "Separator of the columns of a CSV file: a character or tab."
    )
    flags.DEFINE_enum(
        "damaged",
        "error",
        DAMAGED,
        "Rows with a wrong number of columns, or invalid UTF-8 in a column of the model: an error, "
        "or an empty score.",
    )


if __name__ == "__main__":
    _define_flags()
    cli.run(_main)
