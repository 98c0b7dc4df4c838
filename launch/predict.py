"""Scores raw rows of a CSV file with a SavedModel; needs only TensorFlow.

Example: `python -m launch.predict --saved_model=out/frappe/saved_model --input=rows.csv`.
The file's header names the columns; columns that the model does not use, such as the label, are
ignored. Several values of one field are joined by its separator ("|" unless the schema names
another); empty values are missing.
"""

from __future__ import annotations

import csv
import gzip
import itertools
import os
import re
import signal
import sys
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence

import tensorflow as tf
from absl import app, flags

_FLAGS = flags.FLAGS
_ROWS = 4096  # rows per batch


def _input_name(column: str) -> str:
    """Same as `zoo.serving.input_names.input_name`, which this module cannot import."""
    name = re.sub(r"[^A-Za-z0-9_]", "_", column)
    return name if re.match("[A-Za-z]", name) else f"column_{name}"


def predict(saved_model: str, rows: str) -> Iterator[float]:
    """Scores the rows of a CSV file, in order.

    Args:
        saved_model: string, folder that `launch.export` wrote.
        rows: string, CSV file with a header, `.gz` or plain.

    Yields:
        A probability per row.

    Raises:
        ValueError: if a folder, file or column is missing, the file cannot be read to its end, or a
            value is not a number.

    Example:
        >>> list(predict("out/frappe/saved_model", "rows.csv"))  # doctest: +SKIP
        [0.27, 0.91]
    """
    loaded = _loaded(saved_model)  # kept alive, because it owns the lookup tables
    if "serving_default" not in loaded.signatures:
        raise ValueError(f"{saved_model} has no signature serving_default; export the model again")
    serve = loaded.signatures["serving_default"]
    specs = serve.structured_input_signature[1]
    names = _names(loaded, specs)
    reader = _read(rows, names)
    line = 2
    while batch := list(itertools.islice(reader, _ROWS)):
        columns = {
            name: _column(batch, names[name], spec.dtype, rows, line)
            for name, spec in specs.items()
        }
        yield from serve(**columns)["probability"].numpy().tolist()
        line += len(batch)


def _loaded(folder: str):
    found = _found(folder)
    try:
        return tf.saved_model.load(found)
    except tf.errors.OpError as error:
        # The message of an assertion, without its position in TensorFlow's graph.
        text = re.search(r"assertion failed: \[(.*?)\]\s*(?:\[\[|\Z)", error.message, re.DOTALL)
        if text:
            raise ValueError(text[1].replace("] [", " ")) from None
        raise ValueError(f"{found} cannot be loaded: {error.message}; export it again") from None
    except Exception as error:  # TensorFlow raises various errors for damaged files
        raise ValueError(
            f"{found} is damaged ({type(error).__name__}: {error}); export it again"
        ) from None


def _found(folder: str) -> str:
    """Returns the folder of the SavedModel.

    If an export was killed, that is the renamed folder of the previous SavedModel.
    """
    parent, name = os.path.split(folder.rstrip("/"))
    for place in (folder, os.path.join(parent, f".{name}.replaced")):
        if tf.io.gfile.exists(f"{place}/saved_model.pb"):  # local or remote
            return place
    raise ValueError(f"no SavedModel in {folder}; write one with launch.export")


def _names(loaded, inputs: Iterable[str]) -> dict[str, str]:
    """Returns the column of each input; older SavedModels do not contain it."""
    if not hasattr(loaded, "columns"):
        return {name: name for name in inputs}
    table = loaded.columns()
    columns, names = ([x.decode() for x in table[key].numpy()] for key in ("column", "input"))
    return dict(zip(names, columns, strict=True))


def _read(path: str, names: Mapping[str, str]) -> Iterator[dict]:
    """Yields the rows of a CSV file as dicts by column; errors name the file.

    If the header lacks a column, the name of its input is accepted.
    """
    try:
        with _open(path) as file:
            reader = csv.DictReader(file)
            header = list(reader.fieldnames or ())
            absent = {name: column for name, column in names.items() if column not in header}
            reader.fieldnames = [
                name if name in names.values() else absent.get(_input_name(name), name)
                for name in header
            ]
            missing = sorted(set(absent.values()) - set(reader.fieldnames))
            if not missing:
                yield from reader
    except (EOFError, OSError, zlib.error, csv.Error, UnicodeDecodeError) as error:
        raise ValueError(f"{path} cannot be read as CSV: {error}") from None
    if missing:
        raise ValueError(
            f"{path} lacks the columns {', '.join(missing)}; the model needs "
            f"{', '.join(names.values())}"
        )


def _open(path: str):
    if not os.path.isfile(path):
        raise ValueError(f"no file {path}; name a CSV file with a header")
    opener = gzip.open if path.endswith(".gz") else open
    return opener(path, "rt", encoding="utf-8-sig", newline="")  # skips a byte order mark


def _column(batch: list[dict], name: str, dtype: tf.DType, path: str, line: int) -> tf.Tensor:
    values = [row[name] or "" for row in batch]
    if dtype == tf.string:
        return tf.constant(values)
    numbers = []
    for offset, value in enumerate(values):
        try:
            numbers.append(float(value) if value.strip() else float("nan"))
        except ValueError:
            raise ValueError(
                f"{path}, line {line + offset}: {name}={value!r} is not a number; leave it empty "
                "if it is missing"
            ) from None
    return tf.constant(numbers, dtype)


def _write(probabilities: Iterator[float], path: str | None) -> None:
    lines = (f"{probability:.9g}\n" for probability in probabilities)
    if not path:
        sys.stdout.write("probability\n")
        sys.stdout.writelines(lines)
        return
    temporary = f"{path}.{os.getpid()}.tmp"
    try:
        with open(temporary, "w", encoding="utf-8") as file:
            file.write("probability\n")
            file.writelines(lines)
        os.replace(temporary, path)
    finally:
        if os.path.exists(temporary):
            os.remove(temporary)


def _main(argv: Sequence[str]) -> None:
    try:
        if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:  # see launch/__init__.py
            signal.signal(signal.SIGINT, signal.default_int_handler)
        if len(argv) > 1:
            raise ValueError(f"unexpected argument {argv[1]!r}; options start with --")
        if not _FLAGS.saved_model or not _FLAGS.input:
            raise ValueError("pass --saved_model=FOLDER and --input=rows.csv")
        _write(predict(_FLAGS.saved_model, _FLAGS.input), _FLAGS.output)
        sys.stdout.flush()
    except BrokenPipeError:  # the output is closed, as in ... | head -1
        _discard_output()
        sys.exit(141)
    except KeyboardInterrupt:
        print("\ninterrupted", file=sys.stderr)
        sys.exit(130)
    except (ValueError, OSError, tf.errors.OpError) as error:
        line = " ".join(str(error).split())
        print("error: " + "".join(c if c.isprintable() else "?" for c in line), file=sys.stderr)
        try:
            sys.stdout.flush()
        except OSError:  # a full disk, which Python would report again at exit
            _discard_output()
        sys.exit(1)


def _discard_output() -> None:
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.close(nowhere)


def _define_flags() -> None:
    flags.DEFINE_string(
        "saved_model", None, "Folder of the SavedModel, written by launch.export or launch.train."
    )
    flags.DEFINE_string("input", None, "CSV file with a header, plain or .gz.")
    flags.DEFINE_string("output", None, "CSV file to write; by default the standard output.")


if __name__ == "__main__":
    _define_flags()
    app.run(_main)
