"""Published settings and results: `zoo/presets/<data set>.yaml`, read as `Preset`."""

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
    """What others measured on the test split.

    Attributes:
        auc: area under the ROC curve.
        logloss: mean cross-entropy in nats; `None`: not published.
        auc_mean: mean AUC over several seeds, if it was published.
        auc_std: their standard deviation.
        parameters: number of the model's parameters, if it was published.
        epoch: "best": of the epoch that the validation split chose; "last": of the last one.
    """

    auc: float
    logloss: float | None = None
    auc_mean: float | None = None
    auc_std: float | None = None
    parameters: int | None = None
    epoch: str = "best"


@dataclasses.dataclass(frozen=True)
class Preset:
    """The settings of a published training run, and what came of it.

    Attributes:
        name: data set and model, such as "frappe/deepfm".
        dataset: name of the data set, as schemas have it.
        model: name of the model.
        model_args: its arguments.
        batch_size: rows per step.
        learning_rate: at the beginning.
        optimizer: its name.
        optimizer_args: its arguments.
        epochs: how many at most.
        patience: epochs without a better validation AUC after which training stops; 0: none.
        reduce_lr: factor of the learning rate after such an epoch; `None`: it stays.
        published: results on the test split.
        source: where settings and results are from.
        note: what differs from the published run; may be empty.
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
    """Presets; prints as a table."""

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
        name: data set and model, such as "frappe/deepfm"; see `list_presets`.

    Returns:
        The settings, with the published results.

    Raises:
        ValueError: on an unknown name; the nearest known one is suggested.

    Example:
        >>> preset("frappe/deepfm").model_args["hidden_units"]
        (400, 400, 400)
    """
    known = {one.name: one for one in _all_presets()}
    plain = str(name).lower().strip()
    if plain not in known:
        raise ValueError(
            f"Unknown preset {name!r}.{nearest(plain, known)} Presets are named "
            f"DATASET/MODEL; zoo.list_presets() prints all {len(known)}."
        )
    return known[plain]


def list_presets(dataset: str | None = None, model: str | None = None) -> PresetTable:
    """Returns the published settings that the zoo knows.

    Args:
        dataset: only those of this data set; `None`: of all.
        model: only those of this model; `None`: of all.

    Returns:
        A tuple of `Preset` that prints as a table.

    Example:
        >>> [one.name for one in list_presets("frappe", "deepfm")]
        ['frappe/deepfm']
    """
    return PresetTable(
        one
        for one in _all_presets()
        if dataset in (None, one.dataset) and model in (None, one.model)
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
    """One entry of a file: its own settings over those that all have."""
    settings = {"model": name, **common, **own}
    for key in ("model_args", "optimizer_args"):
        merged = {**common.get(key, {}), **own.get(key, {})}
        settings[key] = {argument: _frozen(value) for argument, value in merged.items()}
    if "://" not in settings["source"]:  # below the folder that all have
        settings["source"] = f"{common['source']}/{own['source']}"
    settings["published"] = Published(**settings["published"])
    return Preset(name=f"{dataset}/{name}", dataset=dataset, **settings)


def _frozen(value: Any) -> Any:
    return tuple(map(_frozen, value)) if isinstance(value, list) else value


def _cell(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"
