"""The report of a run as one HTML page."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from launch.analysis.norms import RunNorms, measure_norms
from launch.analysis.runs import TrainedRun
from launch.evaluate import evaluate
from launch.evaluation.plots import plot_calibration, plot_frequency
from launch.evaluation.result import NAMES, Evaluation
from launch.reporting import html
from launch.reporting.figures import (
    epoch_curve,
    norms_by_epoch,
    norms_by_frequency,
    slice_curve,
    svg,
)
from launch.run.config import LEDGER
from launch.run.counts import training_counts
from launch.run.history import Epoch, best_of
from launch.run.progressive_history import FILE_NAME as PROGRESSIVE
from launch.run.progressive_history import SliceScores
from launch.run.published import FILE_NAME as SCORES
from launch.run.results import short
from launch.serving.card import run_card
from tf_helen.stores import gfile
from tf_helen.version import __version__
from zoo.data.files import DataError, join, read_json
from zoo.data.manifest import load_manifest
from zoo.parameter_counts import parameter_counts
from zoo.serving.model_card import FILE as CARD
from zoo.serving.model_card import read_card

_SETTINGS_LEFT_OUT = ("out", "resume", "overwrite", "progress", "tensorboard")
_MOST_SLICES = 20  # lines of the table of slices
_RAREST = "the rarest id of a row"


def run_report(
    run: TrainedRun, *, split: str | None = None, samples: int = 200, progress: bool = True
) -> str:
    """Scores the best model of a run, and describes the run as one HTML page.

    The page has the learning curves, scores with bootstrap intervals, calibration, AUC by
    frequency, the norms of the embedding rows, times, and the facts of the data, the model, the
    settings and the export. It loads nothing.

    Args:
        run: `TrainedRun`.
        split: string, the split to score. Defaults to `None`: "test", else "valid"; without both,
            nothing is scored.
        samples: int, number of bootstrap samples of the intervals; 0: no intervals. Defaults to
            200.
        progress: boolean; shows progress. Defaults to `True`.

    Returns:
        String, the page.

    Raises:
        DataError: if a file of the run or its data is damaged, or there is no such split.

    Example:
        >>> from launch.analysis.runs import load_runs
        >>> page = run_report(load_runs(["out/frappe"])[0])  # doctest: +SKIP
    """
    found = _evaluated(run, split, samples, progress)
    slices = _slices(run.folder)
    sections = [
        ("curves", "Learning curves", _pass(slices) if slices else _curves(run.epochs)),
        ("scores", "Scores", _scores(run, found)),
    ]
    if found is not None:
        sections.append(("calibration", "Calibration", _calibration(found)))
        if found.result.frequency:
            sections.append(("frequency", "AUC by frequency", _frequency(found)))
    if run.schema.categorical and found is not None:
        counts = training_counts(run.data, run.schema)
        norms = measure_norms(run, counts)
        sections.append(("norms", "Norms of embedding rows", _norms(norms)))
    card = run_card(run.folder, run.data)
    sections += [
        ("data", "Data", _data(run, card)),
        ("model", "Model", _model(run)),
        ("settings", "Settings", _settings(run)),
    ]
    if (export := _export(run.folder)) is not None:
        sections.append(("export", "Export", export))
    title = f"{run.schema.name}: {run.settings.get('model')} with {run.label}"
    links = "".join(
        f'<a href="#{html.escape(name)}">{html.escape(text)}</a>' for name, text, _ in sections
    )
    body = [
        f"<h1>{html.escape(title)}</h1>",
        html.paragraph(f"run {run.folder}; tf-helen {__version__}", soft=True),
        html.tiles(_tiles(run, found, slices)),
        f"<nav>{links}</nav>",
        *(html.section(name, text, parts) for name, text, parts in sections),
    ]
    return html.page(title, body)


@dataclasses.dataclass(frozen=True)
class _Scored:
    """The evaluation of the run on a split."""

    split: str
    label: str
    result: Evaluation
    samples: int

    @property
    def title(self) -> str:
        return f"{self.split} split"


def _evaluated(run: TrainedRun, split: str | None, samples: int, progress: bool) -> _Scored | None:
    known = load_manifest(run.data)
    if split is None:
        split = next((name for name in ("test", "valid") if name in known), None)
        if split is None:
            return None
    found, _ = evaluate([run.folder], data=run.data, split=split, samples=samples,
                        progress=progress)  # fmt: skip
    return _Scored(split, found.labels[0], found, samples)


def _tiles(
    run: TrainedRun, found: _Scored | None, slices: Sequence[SliceScores]
) -> list[tuple[str, str, str]]:
    boxes = []
    if found is not None:
        for name in ("auc", "logloss", "normalized_entropy", "calibration", "gauc"):
            score = found.result.scores[found.label].get(name)
            if score is not None and score.value == score.value:
                digits = 3 if name == "calibration" else 4
                ends = score.text(digits).partition(" ")[2]
                boxes.append((NAMES[name], short(score.value, digits), ends or found.title))
    if slices:
        last, rows = slices[-1], sum(each.rows for each in slices)
        boxes.append(("AUC of the pass", short(last.auc_so_far, 4), f"{rows:,} rows"))
    elif run.epochs:
        best = best_of(run.epochs)
        remark = f"of {len(run.epochs)}, by validation AUC"
        boxes.append(("best epoch", str(best.epoch), remark))
    seconds = sum(epoch.seconds for epoch in run.epochs) or sum(each.seconds for each in slices)
    speeds = [epoch.rows_per_second for epoch in run.epochs if epoch.rows_per_second]
    if slices and seconds:
        speeds = [sum(each.rows for each in slices) / seconds]
    if speeds:
        speed = sorted(speeds)[len(speeds) // 2]
        boxes.append(("trained rows/s", f"{speed:,.0f}", f"{seconds:,.1f} s in all"))
    tables, rest = parameter_counts(run.model)
    boxes.append(("parameters", f"{tables + rest:,}", f"{tables:,} in embedding tables"))
    return boxes


def _curves(epochs: Sequence[Epoch]) -> list[str]:
    if not epochs:
        return [html.paragraph("The run has no finished epoch.")]
    images = [(epoch_curve(epochs, "auc"), "AUC after each epoch"),
              (epoch_curve(epochs, "logloss"),
               "LogLoss after each epoch, and the mean training loss, penalties included"),
              ]  # fmt: skip
    with_test = any(epoch.test_auc is not None for epoch in epochs)
    measured = list(dict.fromkeys(name for epoch in epochs for name in epoch.measured))
    titles = ["epoch", "training loss", "valid AUC", "valid LogLoss"]
    titles += ["test AUC", "test LogLoss"] * with_test + ["seconds", "rows/s"]
    rows = []
    for epoch in epochs:
        scores = [epoch.loss, epoch.valid_auc, epoch.valid_logloss]
        scores += [epoch.test_auc, epoch.test_logloss] * with_test
        times = [f"{epoch.seconds:,.1f}", f"{epoch.rows_per_second:,.0f}"]
        rows.append([epoch.epoch, *(_number(value) for value in scores), *times])
    parts = [html.figures(images), html.table(titles, rows, epochs.index(best_of(epochs)))]
    if measured and len(measured) <= 8:
        lines = [[e.epoch, *(_number(e.measured.get(name)) for name in measured)] for e in epochs]
        parts.append(html.table(["epoch", *measured], lines))
    return parts


def _pass(slices: Sequence[SliceScores]) -> list[str]:
    step = max(1, -(-len(slices) // _MOST_SLICES))
    shown = [each for each in slices if each.slice % step == 0 or each is slices[-1]]
    rows = [
        [
            each.slice, each.split, f"{each.rows:,}", _number(each.loss), _number(each.auc),
            _number(each.logloss), _number(each.auc_so_far), _number(each.logloss_so_far),
        ]
        for each in shown
    ]  # fmt: skip
    titles = ["slice", "split", "rows", "loss", "AUC", "LogLoss", "AUC so far", "LogLoss so far"]
    text = "Each row is scored by the model that was trained with the rows before its slice."
    images = [(slice_curve(slices, "auc"), "AUC"), (slice_curve(slices, "logloss"), "LogLoss")]
    return [html.paragraph(text), html.figures(images), html.table(titles, rows)]


def _scores(run: TrainedRun, found: _Scored | None) -> list[str]:
    parts = []
    if found is None:
        text = "The data have neither a test nor a validation split, so nothing is scored."
        parts.append(html.paragraph(text))
    else:
        result = found.result
        scores = result.scores[found.label]
        rows = [
            [NAMES[name], _number(s.value), _number(s.low), _number(s.high)]
            for name, s in scores.items()
            if name in NAMES
        ]
        text = f"{result.rows:,} rows of the {found.title}, {result.positives:.4%} positive"
        if found.samples:
            text += f"; 95 % intervals of {found.samples:,} bootstrap samples"
        parts += [
            html.table(["score", "value", "low", "high"], rows),
            html.paragraph(f"{text}; the model of the best epoch", soft=True),
        ]
    published = _read(join(run.folder, SCORES)).get("published")
    if isinstance(published, Mapping):
        parts += [html.paragraph("Published results of the preset:"), html.facts(published)]
    return parts


def _calibration(found: _Scored) -> list[str]:
    image = svg(lambda path: plot_calibration(found.result, path, ""))
    rows = [
        [
            place, f"{each['weight']:,.0f}", _number(each["predicted"]),
            _number(each["observed"]), _number(each["observed_low"]),
            _number(each["observed_high"]), _number(each["ratio"], 3),
        ]
        for place, each in enumerate(found.result.calibration[found.label], start=1)
        if each["weight"]
    ]  # fmt: skip
    titles = ["bin", "rows", "predicted", "observed", "low", "high", "ratio"]
    caption = "Observed share of positives against the mean prediction, by quantile bin; "
    caption += "ratio: predicted over observed"
    return [html.beside([html.figures([(image, caption)]), html.table(titles, rows)])]


def _frequency(found: _Scored) -> list[str]:
    result = found.result
    image = svg(lambda path: plot_frequency(result, path, "", _RAREST))
    rows = []
    for bucket in result.frequency:
        if bucket["rows"]:
            score = result.scores[found.label][f"auc/{bucket['occurrences']}"]
            ends = [_number(score.value), _number(score.low), _number(score.high)]
            share = _number(bucket["positives"])
            rows.append([bucket["occurrences"], f"{bucket['rows']:,}", share, *ends])
    titles = ["occurrences", "rows", "positives", "AUC", "low", "high"]
    caption = f"AUC of rows by the occurrences of {_RAREST} in the training split"
    return [html.beside([html.figures([(image, caption)]), html.table(titles, rows)])]


def _norms(norms: RunNorms) -> list[str]:
    images = [(norms_by_frequency(norms), "Mean norm of embedding rows by their occurrences")]
    if norms.epochs:
        images.append((norms_by_epoch(norms), "Mean norms after each epoch, by occurrences"))
    rows = [
        [label, f"{count:,}", _number(mean), f"{total:,.4g}"]
        for label, count, mean, total in zip(
            norms.labels, norms.rows, norms.mean, norms.sum, strict=True
        )
    ]
    text = f"Rademacher bound of the tables (rademacher_bound): {norms.bound:.4g}"
    known = html.table(["occurrences", "rows", "mean norm", "sum of norms"], rows)
    parts = [html.figures(images), known] if len(images) > 1 else [
        html.beside([html.figures(images), known])
    ]  # fmt: skip
    return [*parts, html.paragraph(text, soft=True)]


def _data(run: TrainedRun, card: Mapping[str, Any]) -> list[str]:
    schema = run.schema
    rows = [
        [name, _count(each["rows"]), _count(each["positives"]), _share(each)]
        for name, each in card["data"]["splits"].items()
    ]
    fields = [
        [f.name, f.encoding, _count(f.size), f.length, f.min_count, f.shares or "-"]
        for f in schema.categorical
    ]
    titles = ["field", "encoding", "ids", "values", "min_count", "shares"]
    tables = [html.table(["split", "rows", "positives", "share"], rows)]
    tables += [html.table(titles, fields)] if fields else []
    parts = [html.paragraph(f"{schema.name}, prepared in {run.data}"), html.beside(tables)]
    if schema.numeric:
        numbers = [[each.name, each.transform] for each in schema.numeric]
        parts.append(html.table(["numeric column", "transform"], numbers))
    roles = {name: getattr(schema, name) for name in ("label", "weight", "group", "time")}
    parts.append(html.facts({name: value for name, value in roles.items() if value}))
    if damaged := _read(join(run.folder, LEDGER)):
        parts += [html.paragraph("Damaged records were skipped:"), html.facts(damaged)]
    return parts


def _model(run: TrainedRun) -> list[str]:
    tables, rest = parameter_counts(run.model)
    config = run.model.get_config()
    left_out = ("schema", "vocabularies", "name", "dtype")
    settings = {name: value for name, value in config.items() if name not in left_out}
    content = {"class": type(run.model).__name__, "parameters of embedding tables": tables,
               "other parameters": rest, **settings}  # fmt: skip
    return [html.facts(content)]


def _settings(run: TrainedRun) -> list[str]:
    settings = {
        name: value for name, value in run.settings.items() if name not in _SETTINGS_LEFT_OUT
    }
    return [html.facts(settings)]


def _export(folder: str) -> list[str] | None:
    export = join(folder, "saved_model")
    if not gfile.exists(join(export, CARD)):
        return None
    card = read_card(export)
    signatures = [
        [name, ", ".join(each["inputs"]), ", ".join(each["outputs"])]
        for name, each in card["signatures"].items()
    ]
    about = {name: card[name] for name in ("tf_helen", "tensorflow", "tables") if name in card}
    return [
        html.paragraph(f"SavedModel in {export}"),
        html.table(["signature", "inputs", "outputs"], signatures),
        html.facts(about),
    ]


def _slices(folder: str) -> list[SliceScores]:
    path = join(folder, PROGRESSIVE)
    known = {field.name for field in dataclasses.fields(SliceScores)}
    try:
        return [
            SliceScores(**{name: value for name, value in each.items() if name in known})
            for each in _read(path).get("slices", [])
        ]
    except (TypeError, AttributeError) as error:
        raise DataError(f"{path} is damaged ({error}); train the run again") from None


def _read(path: str) -> dict[str, Any]:
    """Returns the content of a JSON file; empty if it is absent."""
    if not gfile.exists(path):
        return {}
    try:
        content = read_json(path)
        if not isinstance(content, dict):
            raise ValueError("not a JSON object")
        return content
    except ValueError as error:
        raise DataError(f"{path} is damaged ({error}); train the run again") from None


def _number(value: float | None, digits: int = 5) -> str:
    return "-" if value is None or value != value else f"{value:.{digits}f}"


def _count(value: float | None) -> str:
    return "-" if value is None else f"{value:,.0f}"


def _share(split: Mapping[str, Any]) -> str:
    rows, positives = split["rows"], split["positives"]
    return f"{positives / rows:.4%}" if rows and positives is not None else "-"
