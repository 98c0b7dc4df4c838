"""Reads published settings and results from `zoo/presets/<data set>.yaml`."""

from __future__ import annotations

import dataclasses
import functools
import importlib.resources
from collections.abc import Mapping
from typing import Any

import yaml

from tf_helen.core.checks import nearest
from zoo.data.files import DataError


@dataclasses.dataclass(frozen=True)
class Published:
    """Published results on the test split.

    Attributes:
        auc: float, area under the ROC curve.
        logloss: float, mean cross-entropy in nats; `None`: not published.
        auc_mean: float, mean AUC over several seeds; `None`: not published.
        auc_std: float, standard deviation of these AUCs; `None`: not published.
        parameters: int, number of the model's parameters; `None`: not published.
        epoch: "best": results of the epoch with the best validation AUC; "last": of the last epoch.
    """

    auc: float
    logloss: float | None = None
    auc_mean: float | None = None
    auc_std: float | None = None
    parameters: int | None = None
    epoch: str = "best"


@dataclasses.dataclass(frozen=True)
class Preset:
    """The settings and results of a published training run.

    Attributes:
        name: string, data set and model, such as "frappe/deepfm".
        dataset: string, name of the data set in its schema.
        model: string, name of the model.
        model_args: dict, arguments of the model.
        batch_size: int, rows per step.
        learning_rate: float, initial learning rate.
        optimizer: string, name of the optimizer.
        optimizer_args: dict, arguments of the optimizer.
        epochs: int, maximum number of epochs.
        patience: int, epochs without a better validation AUC after which training stops; 0: never.
        reduce_lr: float, factor of the learning rate after such an epoch; `None`: constant rate.
        published: `Published`, results on the test split.
        source: string, where settings and results were published.
        note: string, differences from the published run; may be empty.
    """

    name: str
    dataset: str
    model: str
    model_args: Mapping[str, Any]
    batch_size: int
    learning_rate: float
    optimizer: str
    optimizer_args: Mapping[str, Any]
    epochs: int
    patience: int
    reduce_lr: float | None
    published: Published
    source: str
    note: str = ""


class PresetTable(tuple):
    """A tuple of presets that prints as a table."""

    __slots__ = ()

    def __str__(self) -> str:
        rows = [("name", "AUC", "LogLoss", "source")]
        rows += [
            (p.name, *map(_cell, (p.published.auc, p.published.logloss)), p.source) for p in self
        ]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]
        return "\n".join(lines)

    __repr__ = __str__


def preset(name: str) -> Preset:
    """Returns published settings by name.

    Args:
        name: string, data set and model, such as "frappe/deepfm"; see `list_presets`.

    Returns:
        A `Preset`.

    Raises:
        ValueError: on an unknown name; suggests the nearest one.

    Example:
        >>> preset("frappe/deepfm").model_args["hidden_units"]
        (400, 400, 400)
    """
    known = {known.name: known for known in _all_presets()}
    plain = str(name).lower().strip()
    if plain not in known:
        raise ValueError(
            f"Unknown preset {name!r}.{nearest(plain, known)} Presets are named "
            f"DATASET/MODEL; zoo.list_presets() prints all {len(known)}."
        )
    return known[plain]


def list_presets(dataset: str | None = None, model: str | None = None) -> PresetTable:
    """Returns all published settings.

    Args:
        dataset: string, only presets of this data set. Defaults to `None`: all data sets.
        model: string, only presets of this model. Defaults to `None`: all models.

    Returns:
        A tuple of `Preset` that prints as a table.

    Example:
        >>> [entry.name for entry in list_presets("frappe", "deepfm")]
        ['frappe/deepfm']
    """
    return PresetTable(
        found
        for found in _all_presets()
        if dataset in (None, found.dataset) and model in (None, found.model)
    )


@functools.cache
def _all_presets() -> tuple[Preset, ...]:
    folder = importlib.resources.files("zoo").joinpath("presets")
    files = [file for file in folder.iterdir() if file.name.endswith(".yaml")]
    found = []
    for file in sorted(files, key=lambda file: file.name):
        dataset = file.name.removesuffix(".yaml")
        try:
            content = yaml.safe_load(file.read_text(encoding="utf-8"))
            common = content["common"]
            found += [
                _preset(dataset, name, common, own) for name, own in content["models"].items()
            ]
        except (yaml.YAMLError, KeyError, TypeError, AttributeError, ValueError) as error:
            raise DataError(f"{file}: {error}; see docs/presets.md for the layout") from error
    return tuple(found)


def _preset(dataset: str, name: str, common: Mapping, own: Mapping) -> Preset:
    """Returns one preset of a file: the common settings, overridden by its own."""
    settings = {"model": name, **common, **own}
    for key in ("model_args", "optimizer_args"):
        merged = {**common.get(key, {}), **own.get(key, {})}
        settings[key] = {argument: _frozen(value) for argument, value in merged.items()}
    if "://" not in settings["source"]:  # relative to the common folder
        settings["source"] = f"{common['source']}/{own['source']}"
    settings["published"] = Published(**settings["published"])
    return Preset(name=f"{dataset}/{name}", dataset=dataset, **settings)


def _frozen(value: Any) -> Any:
    return tuple(map(_frozen, value)) if isinstance(value, list) else value


def _cell(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"
