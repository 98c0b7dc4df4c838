"""Scores runs and SavedModels on a split, with confidence intervals, and compares them.

Example: `python -m launch.evaluate --run=out/adam --out=out/scores`; two models on the same rows:
`--runs=out/adam,out/helen`, of which the first is the baseline. `--run=served --data=data/frappe`
evaluates the SavedModel of `launch.export`.
"""

from __future__ import annotations

from collections.abc import Sequence

from absl import flags

import zoo
from launch import cli
from launch.analysis.runs import check_field_names, check_out, scored_split
from launch.evaluation.plots import plot_calibration, plot_frequency
from launch.evaluation.result import FILE_NAME, Evaluation, evaluation
from launch.evaluation.scored_models import data_of, load_models, predict_rows
from launch.quiet import quiet
from launch.run.counts import training_counts
from tf_helen.analysis import frequency_buckets
from zoo.data.files import join, write_json, write_text
from zoo.data.locks import FolderLock

_FLAGS = flags.FLAGS


def evaluate(
    folders: Sequence[str],
    out: str | None = None,
    *,
    data: str | None = None,
    split: str | None = None,
    bins: int = 10,
    edges: Sequence[int] | None = None,
    quantiles: int | None = None,
    field: str | None = None,
    samples: int = 1000,
    confidence: float = 0.95,
    seed: int = 0,
    progress: bool = True,
) -> tuple[Evaluation, str]:
    """Scores models on the rows of a split, and writes the result to a folder.

    The folder then holds `evaluation.json`, `evaluation.md`, `calibration.png` and, if the data
    have fields, `frequency.png`.

    Args:
        folders: sequence of strings: folders of `launch.train` (the best epoch) or of
            `launch.export`. All are compared with the first.
        out: string, folder to write. Defaults to `None`: nothing is written.
        data: string, prepared data folder. Defaults to `None`: that of the first run.
        split: string, name of the split. Defaults to `None`: "test", or "valid" without one.
        bins: int, number of quantile bins of the calibration. Defaults to 10.
        edges, quantiles: the buckets by frequency, see `tf_helen.analysis.frequency_buckets`.
        field: string; a row belongs to the bucket of its id of this field. Defaults to `None`: to
            that of its rarest id.
        samples: int, number of bootstrap samples; 0: no intervals. Defaults to 1000.
        confidence: float in (0, 1), of the intervals. Defaults to 0.95.
        seed: int, of the samples. Defaults to 0.
        progress: boolean; shows progress. Defaults to `True`.

    Returns:
        `Evaluation`, and its tables as a string.

    Raises:
        ValueError: if a model does not fit the data, a folder or the split is missing, a prediction
            is not finite, or an argument is out of range.

    Example:
        >>> found, text = evaluate(["out/adam", "out/helen"])  # doctest: +SKIP
        >>> found.differences["helen"]["auc"].p  # doctest: +SKIP
        0.002
    """
    _check(bins, samples, confidence)
    folders = [folder.rstrip("/") for folder in folders]
    data = data_of(folders, data)
    split = split or scored_split(data)
    schema = zoo.Schema.load(data)
    check_field_names(schema, [field] if field else [])
    models = load_models(folders, data)
    counts = training_counts(data, schema) if schema.categorical else None
    ledger = zoo.Ledger()
    rows = predict_rows(models, data, split, counts, field=field, ledger=ledger, progress=progress)
    buckets = None
    if rows.counts is not None:
        buckets = frequency_buckets(rows.counts, edges=edges, quantiles=quantiles)
    found = evaluation(
        rows, buckets, bins=bins, samples=samples, confidence=confidence, seed=seed,
        progress=progress,
    )  # fmt: skip
    whose = f"the id of {field}" if field else "the rarest id"
    text = "\n\n".join([found.text(confidence), _about(found, split, whose, samples, confidence)])
    if ledger.total_lost:
        text += f"\n\n{ledger.total_lost:,} damaged records are left out"
    if out is not None:
        title = f"{schema.name}, {split} split"
        write_text(join(out, "evaluation.md"), text + "\n")
        plot_calibration(found, join(out, "calibration.png"), title)
        if found.frequency:
            plot_frequency(found, join(out, "frequency.png"), title, whose)
        about = {
            "data": {"name": schema.name, "folder": data, "split": split},
            "bootstrap": {"samples": samples, "confidence": confidence, "seed": seed},
            "field": field,
            "folders": {model.label: model.folder for model in models},
            "kinds": {model.label: model.kind for model in models},
        }
        write_json(join(out, FILE_NAME), {**about, **found.as_json()})  # last: all files are there
    return found, text


def _check(bins: int, samples: int, confidence: float) -> None:
    if bins < 1:
        raise ValueError(f"bins={bins}; use a positive integer")
    if samples < 0:
        raise ValueError(f"samples={samples}; use 0 for no intervals, or a positive integer")
    if not 0 < confidence < 1:
        raise ValueError(f"confidence={confidence}; use a number between 0 and 1, such as 0.95")


def _about(found: Evaluation, split: str, whose: str, samples: int, confidence: float) -> str:
    text = f"{found.rows:,} rows of the {split} split, {found.positives:.4%} positive"
    if found.groups:
        text += f"; GAUC: {found.groups:,} groups with both classes, weighted by their rows"
    if found.frequency:
        text += f"; occurrences of {whose} in the training split"
    if samples:
        drawn = "rows (of groups for GAUC)" if found.groups else "rows"
        text += f"; in brackets: {confidence:.0%} intervals of {samples:,} bootstrap samples of "
        text += drawn
    return text


def _main(argv: Sequence[str]) -> None:
    del argv
    if (_FLAGS.run is None) == (not _FLAGS.runs):
        raise ValueError("pass --run=FOLDER or --runs=FOLDER,FOLDER,...")
    how = {
        "data": _FLAGS.data,
        "split": _FLAGS.split,
        "bins": _FLAGS.bins,
        "edges": cli.whole_numbers("edges", _FLAGS.edges) or None,
        "quantiles": _FLAGS.quantiles,
        "field": _FLAGS.field,
        "samples": _FLAGS.samples,
        "confidence": _FLAGS.confidence,
        "seed": _FLAGS.seed,
    }
    folders = _FLAGS.runs or [_FLAGS.run]
    if not _FLAGS.out:
        print(evaluate(folders, **how)[1])
        return
    out = _FLAGS.out.rstrip("/")
    with FolderLock(out):
        check_out(out, FILE_NAME, _FLAGS.overwrite)
        _, text = evaluate(folders, out, **how)
    print(text)
    print(f"\nwritten to {out}")


def _define_flags() -> None:
    quiet()
    flags.DEFINE_string("run", None, "Folder of a run, or of a SavedModel of launch.export.")
    flags.DEFINE_list("runs", [], "Folders of models to compare; the first is the baseline.")
    flags.DEFINE_string("data", None, "Prepared data folder; by default that of the first run.")
    flags.DEFINE_string("split", None, "Split to score; by default test, or valid without one.")
    flags.DEFINE_string("out", None, "Folder to write; by default the tables are only printed.")
    flags.DEFINE_boolean("overwrite", False, "Replace an earlier evaluation in --out.")
    flags.DEFINE_integer("samples", 1000, "Bootstrap samples of the intervals; 0: no intervals.")
    flags.DEFINE_float("confidence", 0.95, "Confidence of the intervals, between 0 and 1.")
    flags.DEFINE_integer("seed", 0, "Seed of the bootstrap samples.")
    flags.DEFINE_integer("bins", 10, "Quantile bins of the calibration; 10: deciles.")
    flags.DEFINE_list("edges", [], "Lowest count of each frequency bucket; by default 1,10,100,...")
    flags.DEFINE_integer("quantiles", None, "Number of frequency buckets, without --edges.")
    flags.DEFINE_string(
        "field", None, "Field whose id's occurrences are those of a row; by default the rarest id."
    )


if __name__ == "__main__":
    _define_flags()
    cli.run(_main)
