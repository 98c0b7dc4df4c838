"""Files of a comparison: tables, every measurement, curves."""

from __future__ import annotations

import dataclasses
import platform
from collections.abc import Sequence
from typing import Any

import tensorflow as tf

import tf_helen
from launch.comparison.plan import Plan
from launch.comparison.running import Compared, Tuned
from launch.run.plots import plot_runs
from launch.run.results import Runs, aligned, results_json, results_table
from zoo.data.files import join, write_json, write_text

FILES = ("results.json", "results.md", "curves.png", "data.json")
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
    "eval_test_each_epoch",
    "evaluate_test",
)


def runs_of(compared: Sequence[Compared]) -> Runs:
    """The runs of each contender, by label."""
    return {one.contender.label: one.runs for one in compared}


def model_text(plan: Plan, compared: Sequence[Compared]) -> str:
    """The tables of one model: results, chosen settings, runs that diverged.

    Args:
        plan: what was computed.
        compared: the results, an entry per contender.

    Returns:
        Markdown without a final newline.
    """
    parts = [results_table(runs_of(compared), plan.select)]
    if any(one.tuned for one in compared):
        parts.append(_chosen_table(plan, compared))
    diverged = [
        f"- {one.contender.label}, seed {seed}: {reason}"
        for one in compared
        for seed, reason in one.diverged.items()
    ]
    if diverged:
        parts.append("Runs that diverged:\n\n" + "\n".join(diverged))
    return "\n\n".join(parts)


def _chosen_table(plan: Plan, compared: Sequence[Compared]) -> str:
    metric = {"auc": "valid AUC", "logloss": "valid LogLoss"}[plan.select]
    rows = [["optimizer", "cells", "chosen by validation", metric, "epoch"]]
    for one in compared:
        if not one.tuned:
            rows.append([one.contender.label, "1", "-", "-", "-"])
            continue
        best = next(t for t in one.tuned if t.point == one.point)
        score, epochs = f"{abs(best.score):.5f}", "/".join(map(str, best.epochs))
        rows.append([one.contender.label, str(len(one.tuned)), best.point.text, score, epochs])
    return aligned(rows)


def save_model_results(
    folder: str, plan: Plan, data: str, model: str, compared: Sequence[Compared], title: str = ""
) -> str:
    """Writes `results.json`, `results.md` and `curves.png`.

    Args:
        folder: string, where.
        plan: what was computed.
        data: string, name of the data set.
        model: string, name of the model.
        compared: the results, an entry per contender.
        title: string, title of the plot.

    Returns:
        The text of the tables.
    """
    runs, text = runs_of(compared), model_text(plan, compared)
    settings = _settings(plan, data) | {
        "model": model,
        "optimizers": {
            one.contender.label: {"optimizer": one.contender.optimizer, **one.point.optimizer_args}
            for one in compared
        },
        "chosen": {one.contender.label: dict(one.point.common) for one in compared},
    }
    content = {"settings": settings, **results_json(runs)}
    content["tuning"] = {
        one.contender.label: [_tuned_json(tuned) for tuned in one.tuned] for one in compared
    }
    content["diverged"] = {one.contender.label: dict(one.diverged) for one in compared}
    content["seconds"] = {one.contender.label: one.seconds for one in compared}
    write_json(join(folder, "results.json"), content)
    write_text(join(folder, "results.md"), text + "\n")
    curves = {label: [history.epochs for history in several] for label, several in runs.items()}
    if any(epochs for several in curves.values() for epochs in several):
        plot_runs(curves, join(folder, "curves.png"), title or f"{data}: {model}")
    return text


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
