"""Runs with published settings, and the comparison with published results."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import zoo
from launch.run.config import RunConfig
from launch.run.history import History
from zoo.data.files import join, write_json

FILE_NAME = "scores.json"
_NAMES = ("preset", "model")
_SETTINGS = ("learning_rate", "batch_size", "epochs", "patience", "reduce_lr")


def preset_settings(preset: zoo.Preset, given: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the settings of a run with a preset, overridden by those that the user gave.

    Args:
        preset: `zoo.Preset`, published settings.
        given: dict, arguments of `RunConfig` that the user gave. Arguments of the model and of the
            optimizer are added to those of the preset; with another optimizer, the preset's
            optimizer arguments and learning rate are dropped.

    Returns:
        Dict, arguments of `RunConfig`.

    Raises:
        ValueError: if `given` names another model.

    Example:
        >>> preset_settings(zoo.preset("frappe/deepfm"), {"batch_size": 512})["batch_size"]
        512
    """
    model = zoo.get_class(given.get("model", preset.model))
    if model is not zoo.get_class(preset.model):
        raise ValueError(
            f"the preset {preset.name!r} is for the model {preset.model!r}. Received: "
            f"model={given['model']!r}; leave one of the two out"
        )
    found = {name: getattr(preset, name) for name in _SETTINGS}
    found |= {"preset": preset.name, "model": preset.model, "optimizer": preset.optimizer}
    optimizer_args = dict(preset.optimizer_args)
    if given.get("optimizer", preset.optimizer) != preset.optimizer:
        optimizer_args, found["learning_rate"] = {}, None
    found |= given
    found["model_args"] = {**preset.model_args, **given.get("model_args", {})}
    found["optimizer_args"] = {**optimizer_args, **given.get("optimizer_args", {})}
    return found


def fit_warning(preset: zoo.Preset, schema: zoo.Schema) -> str:
    """Returns a warning if a preset is for another data set.

    Args:
        preset: `zoo.Preset`, published settings.
        schema: `zoo.Schema` of the prepared data.

    Returns:
        String, one line, or "" if the data set is the same.

    Example:
        >>> schema = zoo.Schema("mine", [zoo.Categorical("user", 10)])
        >>> fit_warning(zoo.preset("frappe/deepfm"), schema)[:52]
        "the preset 'frappe/deepfm' is for the data set 'frap"
    """
    if preset.dataset == schema.name:
        return ""
    return (
        f"the preset {preset.name!r} is for the data set {preset.dataset!r}, not for "
        f"{schema.name!r}; the published results do not apply"
    )


def published_of(config: RunConfig, schema: zoo.Schema) -> zoo.Preset | None:
    """Returns the preset whose published results a run is compared with.

    Args:
        config: `RunConfig`, the settings of the run.
        schema: `zoo.Schema` of its data.

    Returns:
        The preset of the run if it is for this data set. Without a preset, the first one for the
        same data set and model. Otherwise `None`.

    Example:
        >>> schema = zoo.Schema("frappe", [zoo.Categorical("user", 10)])
        >>> published_of(RunConfig("data/frappe", "out/run", model="deepfm"), schema).name
        'frappe/deepfm'
    """
    if config.preset is not None:
        preset = zoo.preset(config.preset)
        return preset if preset.dataset == schema.name else None
    names = {entry.model: entry.name for entry in zoo.list_models()}
    known = zoo.list_presets(schema.name, names[zoo.get_class(config.model)])
    return known[0] if known else None


def follows(config: RunConfig, preset: zoo.Preset) -> bool:
    """Returns whether a run has all settings of a preset.

    Args:
        config: `RunConfig`, the settings of the run.
        preset: `zoo.Preset`, published settings.

    Returns:
        Boolean.

    Example:
        >>> preset = zoo.preset("frappe/deepfm")
        >>> follows(RunConfig("data/frappe", "out/run", **preset_settings(preset, {})), preset)
        True
    """
    settings = preset_settings(preset, {})
    return all(getattr(config, name) == settings[name] for name in settings if name not in _NAMES)


def comparison(preset: zoo.Preset, history: History, same: bool) -> str:
    """Returns a table of published and measured test results.

    Args:
        preset: `zoo.Preset` with the published results.
        history: `History`, the measurements.
        same: boolean, whether the run has the preset's settings.

    Returns:
        String, three lines and their heading; "" if the run has no test scores.

    Example:
        >>> history = History((), best_test={"auc": 0.983, "logloss": 0.151})
        >>> print(comparison(zoo.preset("frappe/deepfm"), history, same=True))
        test            AUC  LogLoss
        published   0.98424  0.14817  (several seeds: AUC 0.98395 +- 0.00016)
        measured    0.98300  0.15100
        difference -0.00124 +0.00283
    """
    scores, published = _scores(preset, history), preset.published
    if not scores:
        return ""
    remarks = [] if same else ["with other settings"]
    if published.auc_mean is not None:
        remarks.append(f"several seeds: AUC {published.auc_mean:.5f} +- {published.auc_std:.5f}")
    end = f"  ({'; '.join(remarks)})" if remarks else ""
    rows = [
        ("published", published.auc, published.logloss, end),
        ("measured", scores["auc"], scores["logloss"], ""),
    ]
    lines = [f"{'test':<10} {'AUC':>8} {'LogLoss':>8}"]
    lines += [f"{what:<10} {_cell(a)} {_cell(b)}{end}" for what, a, b, end in rows]
    differences = _differences(preset, scores)
    lines.append(f"{'difference':<10} " + " ".join(_cell(d, "+") for d in differences.values()))
    return "\n".join(lines)


def save_scores(config: RunConfig, history: History, preset: zoo.Preset | None) -> str:
    """Writes `scores.json`: test scores after the last and the best epoch, and published ones.

    Args:
        config: `RunConfig`, the settings of the run.
        history: `History`, the measurements.
        preset: `zoo.Preset` with the published results; `None`: without them.

    Returns:
        String, path of the file.
    """
    content: dict[str, Any] = {"last": history.test, "best": history.best_test}
    if preset is not None:
        content["published"] = {
            "preset": preset.name,
            "source": preset.source,
            "same_settings": follows(config, preset),
            **dataclasses.asdict(preset.published),
        }
        content["difference"] = _differences(preset, _scores(preset, history))
    path = join(config.out, FILE_NAME)
    write_json(path, content)
    return path


def _scores(preset: zoo.Preset, history: History) -> dict[str, float]:
    return history.test if preset.published.epoch == "last" else history.best_test


def _differences(preset: zoo.Preset, scores: Mapping[str, float]) -> dict[str, float | None]:
    found = {}
    for name in ("auc", "logloss"):
        published = getattr(preset.published, name)
        known = published is not None and name in scores
        found[name] = scores[name] - published if known else None
    return found


def _cell(value: float | None, sign: str = "") -> str:
    return f"{'-':>8}" if value is None else f"{value:>{sign}8.5f}"
