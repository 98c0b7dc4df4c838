"""Analyzes trained runs: sharpness by frequency (Helen), norms by frequency (AdamAR).

Example: `python -m launch.analyze sharpness --run=out/frappe --out=out/sharpness`; several
optimizers side by side: `--runs=out/adam,out/sam,out/helen`. `python -m launch.analyze norms
--run=out/frappe --out=out/norms` groups norms and test AUC by the number of occurrences.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence

import numpy as np
from absl import flags

from launch import cli
from launch.analysis.norms import bound_table, measure_norms, norms_table
from launch.analysis.plots import plot_against_counts, plot_norms
from launch.analysis.runs import (
    TrainedRun,
    check_field_names,
    check_out,
    load_runs,
    scored_split,
    training_sample,
)
from launch.analysis.sharpness import TOGETHER, Measured, measure, sharpness_table, together
from launch.quiet import quiet
from launch.run.counts import training_counts
from tf_helen.analysis.sharpness import METHODS
from zoo.data.files import join, write_bytes, write_json, write_text
from zoo.data.locks import FolderLock

_FLAGS = flags.FLAGS
_WORDS = ("sharpness", "norms")


def analyze_sharpness(
    runs: Sequence[TrainedRun],
    out: str,
    *,
    samples: int = 100_000,
    batch_size: int = 4096,
    seed: int = 0,
    fields: Sequence[str] | None = None,
    method: str = "auto",
    iterations: int = 100,
    progress: bool = True,
) -> str:
    """Measures top eigenvalues and gradient norms of the rows of runs, and writes them to a folder.

    The loss is the mean cross-entropy, without penalties, over rows of the training split that are
    the same for all runs. Rows of a table that do not occur among them are left out; N counts the
    whole training split. The folder then holds `sharpness.json`, `sharpness.md`, `sharpness.npz`
    (every row), `eigenvalues.png` and `gradients.png`.

    Args:
        runs: sequence of `TrainedRun`, of the same data.
        out: string, folder to write.
        samples: int, number of training rows, drawn at random; 0: all. Defaults to 100,000.
        batch_size: int, rows per batch; does not change the results. Defaults to 4096.
        seed: int, of the draw. Defaults to 0.
        fields: sequence of field names. Defaults to `None`: all whose samples have one id.
        method, iterations: see `tf_helen.analysis.top_eigenvalues`.
        progress: boolean; shows progress. Defaults to `True`.

    Returns:
        String, the tables.

    Raises:
        DataError: on an unknown field, or data that cannot be read.

    Example:
        >>> print(analyze_sharpness(load_runs(["out/adam"]), "out/sharpness"))  # doctest: +SKIP
    """
    first = runs[0]
    check_field_names(first.schema, fields or ())
    counts = training_counts(first.data, first.schema)
    batches = training_sample(first, samples, batch_size, seed)
    measured: dict[str, Measured] = {}
    left_out: list[str] = []
    for run in runs:
        measured[run.label], left_out = measure(
            run,
            batches,
            counts,
            fields=fields,
            method=method,
            iterations=iterations,
            progress=progress,
        )
        if not measured[run.label]:
            raise ValueError(
                "samples have several ids of every field, so each row needs products of its own; "
                "name fields by --fields"
            )
    summaries = {label: _summaries(each) for label, each in measured.items()}
    used = sum(len(batch[1]) for batch in batches)
    text = _sharpness_text(summaries, used, left_out)
    write_text(join(out, "sharpness.md"), text + "\n")
    write_bytes(join(out, "sharpness.npz"), _every_row(measured))
    title = f"{first.schema.name}: {first.settings.get('model')}"
    for value, label, name in (
        ("eigenvalues", "top eigenvalue λ", "eigenvalues.png"),
        ("gradient_norms", "gradient norm ‖g‖", "gradients.png"),
    ):
        plot_against_counts(
            measured, lambda each, value=value: getattr(each, value), label, join(out, name), title
        )
    content = {
        "data": first.schema.name,
        "samples": used,
        "seed": seed,
        "left_out": left_out,
        "runs": {run.label: {"folder": run.folder, **summaries[run.label]} for run in runs},
    }
    write_json(join(out, "sharpness.json"), content)  # last: it says that the others are there
    return text


def _summaries(measured: Measured) -> dict:
    fields = {name: each.summary() for name, each in measured.items()}
    return {"fields": fields, "together": together(measured).summary()}


def _sharpness_text(summaries: Mapping[str, Mapping], samples: int, left_out: Sequence[str]) -> str:
    parts = []
    if len(summaries) > 1:
        parts.append(sharpness_table({run: each["together"] for run, each in summaries.items()}))
    for run, each in summaries.items():
        rows = {**each["fields"], TOGETHER: each["together"]}
        parts.append(f"{run}\n\n{sharpness_table(rows)}")
    parts.append(
        "λ: top eigenvalue of a row's block of the Hessian, ‖g‖: norm of its gradient, both of the "
        f"mean loss over {samples:,} training rows; N: occurrences in the training split"
    )
    if left_out:
        parts.append(
            f"left out, because samples have several ids: {', '.join(left_out)}; name them by "
            "--fields to compute them row by row"
        )
    return "\n\n".join(parts)


def _every_row(measured: Mapping[str, Measured]) -> bytes:
    arrays = {
        f"{run}/{field}/{name}": values
        for run, fields in measured.items()
        for field, each in fields.items()
        for name, values in vars(each).items()
    }
    file = io.BytesIO()
    np.savez_compressed(file, **arrays)
    return file.getvalue()


def analyze_norms(
    runs: Sequence[TrainedRun],
    out: str,
    *,
    edges: Sequence[int] | None = None,
    quantiles: int | None = None,
    field: str | None = None,
) -> str:
    """Measures norms of rows and test AUC by frequency, and writes them to a folder.

    The folder then holds `norms.json`, `norms.md` and `norms.png`. Runs with the callback
    `embedding_norms` also have the norms and the bound of each epoch.

    Args:
        runs: sequence of `TrainedRun`, of the same data.
        out: string, folder to write.
        edges, quantiles: the buckets, see `tf_helen.analysis.frequency_buckets`.
        field: string; only rows of this field, and a sample belongs to the bucket of its id of this
            field. Defaults to `None`: all rows, and the sample's rarest id.

    Returns:
        String, the tables.

    Raises:
        DataError: on an unknown field, or data that cannot be read.

    Example:
        >>> print(analyze_norms(load_runs(["out/adam"]), "out/norms"))  # doctest: +SKIP
    """
    first = runs[0]
    check_field_names(first.schema, [field] if field else [])
    counts = training_counts(first.data, first.schema)
    how = {"edges": edges, "quantiles": quantiles, "field": field}
    found = {run.label: measure_norms(run, counts, **how) for run in runs}
    split = scored_split(first.data)
    rows = f"rows of {field}" if field else "rows"
    whose = f"their id of {field}" if field else "their rarest id"
    text = "\n\n".join(
        [
            norms_table(found),
            bound_table(found),
            f"{rows} by their occurrences in the training split, samples of the {split} split by "
            f"those of {whose}; the model of the best epoch",
        ]
    )
    write_text(join(out, "norms.md"), text + "\n")
    title = f"{first.schema.name}: {first.settings.get('model')}"
    plot_norms(found, join(out, "norms.png"), title, f"AUC, {split} split")
    content = {
        "data": first.schema.name,
        "split": split,
        "field": field,
        "runs": {run.label: {"folder": run.folder, **found[run.label].as_json()} for run in runs},
    }
    write_json(join(out, "norms.json"), content)
    return text


def _main(argv: Sequence[str]) -> None:
    what = argv[1]
    if (_FLAGS.run is None) == (not _FLAGS.runs) or not _FLAGS.out:
        raise ValueError("pass --run=FOLDER or --runs=FOLDER,FOLDER,..., and --out=FOLDER")
    if _FLAGS.samples < 0:
        raise ValueError(f"--samples={_FLAGS.samples}; use 0 for all rows, or a positive integer")
    out = _FLAGS.out.rstrip("/")
    with FolderLock(out):
        check_out(out, f"{what}.json", _FLAGS.overwrite)
        runs = load_runs(_FLAGS.runs or [_FLAGS.run], _FLAGS.data)
        if what == "sharpness":
            text = analyze_sharpness(
                runs,
                out,
                samples=_FLAGS.samples,
                batch_size=_FLAGS.batch_size,
                seed=_FLAGS.seed,
                fields=_FLAGS.fields or None,
                method=_FLAGS.method,
                iterations=_FLAGS.iterations,
            )
        else:
            edges = cli.whole_numbers("edges", _FLAGS.edges) or None
            how = {"edges": edges, "quantiles": _FLAGS.quantiles, "field": _FLAGS.field}
            text = analyze_norms(runs, out, **how)
    print(text)
    print(f"\nwritten to {out}")


def _define_flags() -> None:
    quiet()
    flags.DEFINE_string("run", None, "Folder of a run, written by launch.train.")
    flags.DEFINE_list("runs", [], "Folders of runs to compare, separated by commas.")
    flags.DEFINE_string("data", None, "Prepared data folder, if it has moved since the training.")
    flags.DEFINE_string("out", None, "Folder to write.")
    flags.DEFINE_boolean("overwrite", False, "Replace the results of an earlier analysis in --out.")
    flags.DEFINE_integer(
        "samples", 100_000, "sharpness: training rows that the loss is taken over; 0: all."
    )
    flags.DEFINE_integer("batch_size", 4096, "sharpness: rows per batch.", lower_bound=1)
    flags.DEFINE_integer("seed", 0, "sharpness: seed of the draw of the rows.")
    flags.DEFINE_list("fields", [], "sharpness: fields, separated by commas; by default all.")
    flags.DEFINE_enum(
        "method", "auto", METHODS, "sharpness: power iteration, or all entries of the blocks."
    )
    flags.DEFINE_integer("iterations", 100, "sharpness: maximum number of power iterations.")
    flags.DEFINE_list("edges", [], "norms: lowest count of each bucket; by default 1,10,100,...")
    flags.DEFINE_integer(
        "quantiles",
        None,
        "norms: number of buckets with about equally many rows, without --edges.",
    )
    flags.DEFINE_string(
        "field",
        None,
        "norms: only rows of this field, and samples by their id of it; by default all rows, and "
        "samples by their rarest id.",
    )


if __name__ == "__main__":
    _define_flags()
    cli.run(_main, words=_WORDS)
