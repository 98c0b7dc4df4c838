"""Files of a comparison: tables, all measurements, curves."""

from __future__ import annotations

import dataclasses
import platform
from collections.abc import Mapping, Sequence
from typing import Any

import tensorflow as tf

import tf_helen
from launch.comparison.frequency import (
    FrequencyStatistics,
    frequency_epochs_table,
    frequency_statistics,
    frequency_table,
)
from launch.comparison.plan import Plan
from launch.comparison.plots import plot_comparison, plot_models
from launch.comparison.running import Compared, Tuned
from launch.comparison.statistics import METRICS, Statistics, compare_runs, over_models
from launch.comparison.sweep import measurements, measurements_table, shares_of_zero_rows
from launch.comparison.tables import (
    chosen_table,
    epochs_table,
    models_table,
    pass_table,
    statistics_table,
)
from launch.comparison.tradeoff import plot_tradeoff
from launch.run.results import Runs, results_json, results_table
from zoo.data.files import join, write_json, write_text

FILES = ("results.json", "results.md", "curves.png", "models.png", "zero_rows.png", "data.json")
_EPOCHS = (
    "AUC after each epoch, mean ± standard deviation over the seeds; best: the epoch that the "
    "validation split chooses, and its LogLoss:"
)
_CHOSEN = (
    "Difference to {}, at the epochs that the validation split chooses; p of the paired t-test "
    "over the seeds:"
)
_EACH = "Difference to {} after each epoch (p):"
_FREQUENCY = (
    "AUC, {} split, of the rows by the occurrences of {} in the training split, at the epochs that "
    "the validation split chooses:"
)
_FREQUENCY_EPOCHS = "The same after each epoch:"
_MEASURED = "Measurements of callbacks at the chosen epochs, mean over the seeds:"
_GRIDS = "Settings that the validation split chose:"
_PASS = "All rows of the pass, each scored before it is trained:"
_SPLITS = "The rows of one split; if it is part of the pass, each scored before it is trained:"
_NO_SETTINGS = (
    "out",
    "model",
    "optimizer",
    "optimizer_args",
    "callbacks",
    "seed",
    "resume",
    "overwrite",
    "checkpoint_every",
    "progress",
    "tensorboard",
    "eval_test_each_epoch",
    "evaluate_test",
)


def runs_of(compared: Sequence[Compared]) -> Runs:
    """Returns the runs of each contender, by label."""
    return {one.contender.label: one.runs for one in compared}


def model_text(
    plan: Plan,
    compared: Sequence[Compared],
    found: Statistics,
    frequency: FrequencyStatistics | None = None,
) -> str:
    """The tables of one model: results, tests, measurements, settings, runs that diverged.

    Args:
        plan: the plan that was computed.
        compared: the results, an entry per contender.
        found: the tests.
        frequency: the AUC by frequency. Defaults to `None`: it was not measured.

    Returns:
        Markdown without a final newline.
    """
    parts = [_EPOCHS, results_table(runs_of(compared), plan.select)]
    if found.whole_pass:
        parts = [_PASS, pass_table(found), _SPLITS, statistics_table(found)]
    elif len(compared) > 1:
        parts += [_CHOSEN.format(found.baseline), statistics_table(found)]
        parts.append(_EACH.format(found.baseline))
        parts += [epochs_table(found, metric) for metric in METRICS]
    if frequency is not None:
        field = plan.common.frequency_field
        whose = "the rarest id" if field is None else f"the id of {field}"
        parts += [_FREQUENCY.format(found.split, whose), frequency_table(frequency)]
        parts += [_FREQUENCY_EPOCHS, frequency_epochs_table(frequency)]
    measured = measurements_table(measurements(runs_of(compared), plan.select))
    if measured:
        parts += [_MEASURED, measured]
    if any(one.tuned for one in compared):
        parts += [_GRIDS, chosen_table(compared, plan.select)]
    diverged = [
        f"- {one.contender.label}, seed {seed}: {reason}"
        for one in compared
        for seed, reason in one.diverged.items()
    ]
    if diverged:
        parts.append("Runs that diverged:\n\n" + "\n".join(diverged))
    return "\n\n".join(parts)


def save_model_results(
    folder: str, plan: Plan, data: str, model: str, compared: Sequence[Compared], title: str = ""
) -> tuple[str, Statistics]:
    """Writes `results.json`, `results.md` and `curves.png`.

    Args:
        folder: string, the folder of the files.
        plan: the plan that was computed.
        data: string, name of the data set.
        model: string, name of the model.
        compared: the results, an entry per contender.
        title: string, title of the plot.

    Returns:
        The text of the tables, and the tests.
    """
    runs = runs_of(compared)
    found = compare_runs(runs, plan.baseline_label, plan.select)
    frequency = frequency_statistics(runs, plan.baseline_label, plan.select)
    text = model_text(plan, compared, found, frequency)
    settings = _settings(plan, data) | {
        "model": model,
        "optimizers": {
            one.contender.label: {"optimizer": one.contender.optimizer, **one.point.optimizer_args}
            for one in compared
        },
        "chosen": {one.contender.label: dict(one.point.common) for one in compared},
    }
    content = {"settings": settings, **results_json(runs)}
    content["statistics"] = found.json()
    if frequency is not None:
        content["frequency_auc"] = frequency.json()
    content["tuning"] = {
        one.contender.label: [_tuned_json(tuned) for tuned in one.tuned] for one in compared
    }
    content["diverged"] = {one.contender.label: dict(one.diverged) for one in compared}
    content["seconds"] = {one.contender.label: one.seconds for one in compared}
    write_json(join(folder, "results.json"), content)
    write_text(join(folder, "results.md"), f"{text}\n\n{_origin(plan, data)}\n")
    if any(history.epochs for several in runs.values() for history in several):
        plot_comparison(runs, join(folder, "curves.png"), title or f"{data}: {model}", plan.select)
    shares = shares_of_zero_rows(measurements(runs, plan.select))
    if len(shares) > 1:
        families = {one.contender.label: one.contender.family for one in compared}
        values = {label: found.chosen["auc"][label].values for label in shares}
        path = join(folder, "zero_rows.png")
        plot_tradeoff(shares, values, families, path, title or f"{data}: {model}", found.split)
    return text, found


def save_summary(plan: Plan, data: str, models: Mapping[str, Statistics]) -> str:
    """Writes `results.json`, `results.md` and `models.png` of several models.

    Args:
        plan: the plan that was computed.
        data: string, name of the data set.
        models: the tests of each model.

    Returns:
        The text of the tables.
    """
    first = next(iter(models.values()))
    found = {metric: over_models(models, metric) for metric in METRICS}
    text = "\n\n".join(
        models_table(one, metric, first.split, first.baseline) for metric, one in found.items()
    )
    content = {
        "settings": _settings(plan, data) | {"models": list(models)},
        "over_models": {
            metric: {label: dataclasses.asdict(one) for label, one in contenders.items()}
            for metric, contenders in found.items()
        },
        "statistics": {model: one.json() for model, one in models.items()},
    }
    write_json(join(plan.common.out, "results.json"), content)
    path = join(plan.common.out, "results.md")
    write_text(path, f"{text}\n\n{_origin(plan, data)}\n")
    values = {
        model: {
            label: [v for v in summary.values if v is not None]
            for label, summary in one.chosen["auc"].items()
        }
        for model, one in models.items()
    }
    name = f"AUC, {first.split} split"
    plot_models(values, join(plan.common.out, "models.png"), data, name)
    return text


def _origin(plan: Plan, data: str) -> str:
    seeds = ", ".join(map(str, plan.seeds))
    command = f" Command: `{plan.command}`." if plan.command else ""
    return f"Data: {data}. Seeds: {seeds}.{command} All settings are in results.json."


def _settings(plan: Plan, data: str) -> dict[str, Any]:
    settings = dataclasses.asdict(plan.common)
    for key in _NO_SETTINGS:
        settings.pop(key)
    return settings | {
        "data": data,
        "command": plan.command,
        "seeds": list(plan.seeds),
        "tuning_seeds": list(plan.tuning_seeds),
        "select": plan.select,
        "budget": plan.budget,
        "sample_seed": plan.sample_seed,
        "grid": {key: list(values) for key, values in plan.grid.items()},
        "versions": {
            "tf_helen": tf_helen.__version__,
            "tensorflow": tf.__version__,
            "python": platform.python_version(),
        },
    }


def _tuned_json(tuned: Tuned) -> dict[str, Any]:
    return {
        "settings": dict(tuned.point.varied),
        "scores": list(tuned.scores),
        "epochs": list(tuned.epochs),
    }
