"""An earlier run whose model another run continues from, and the places of its ids."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
import polars as pl

import zoo
from launch.preparation.fields import WITH_VOCABULARY
from launch.run.config import FILE_NAME as CONFIG
from launch.run.config import load_config
from launch.run.data import load_run_data
from launch.run.files import BEST
from tf_helen.callbacks.carried_state import DROPPED
from tf_helen.stores import gfile
from zoo.data.columns import Categorical, Numeric
from zoo.data.files import DataError, join
from zoo.data.identity import check_identity, data_identity
from zoo.data.schema import FILE_NAME as SCHEMA
from zoo.data.vocabulary import load_vocabulary

_SAME_FIELD = ("encoding", "pooling", "shares")
_MEANINGS = {
    "encoding": "its ids have another meaning",
    "pooling": "its rows are combined differently",
    "shares": "it uses other rows",
}
EXTEND = "prepare the data with --extend=FOLDER, the data folder of that run"


@dataclasses.dataclass(frozen=True)
class FieldRows:
    """Where the ids of a field are in a later vocabulary.

    Attributes:
        places: int64 `[ids of the earlier vocabulary]`, the later id of each id; -1: it is gone.
        size: int, number of ids of the later vocabulary.
    """

    places: np.ndarray
    size: int

    @property
    def counts(self) -> dict[str, int]:
        """The number of ids that are carried over, that are new, and that are gone."""
        carried = int((self.places >= 0).sum())
        return {
            "carried": carried,
            "fresh": self.size - carried,
            "dropped": len(self.places) - carried,
        }

    def earlier(self) -> np.ndarray:
        """Returns the earlier id of each later id, int64 `[size]`; 0 for new ids."""
        found = np.zeros(self.size, np.int64)
        known = np.flatnonzero(self.places >= 0)
        found[self.places[known]] = known
        return found


@dataclasses.dataclass(frozen=True)
class EarlierRun:
    """A run to continue from.

    Attributes:
        folder: string, its folder.
        data: string, its prepared data folder.
        config: dict, its settings.
        schema: `zoo.Schema`, its columns.
    """

    folder: str
    data: str
    config: Mapping[str, Any]
    schema: zoo.Schema


def read_earlier_run(folder: str, data: str | None = None) -> EarlierRun:
    """Reads the settings of a run, and checks that its vocabularies are unchanged.

    Args:
        folder: string, folder of the run.
        data: string, prepared data folder of the run, or a copy; record files are not needed.
            Defaults to `None`: the folder that the run was trained with.

    Returns:
        `EarlierRun`.

    Raises:
        DataError: if the folder contains no trained run, its data folder is missing or has other
            vocabularies.

    Example:
        >>> read_earlier_run("out/monday").config["model"]  # doctest: +SKIP
        'dnn'
    """
    if not gfile.exists(join(folder, CONFIG)):
        raise DataError(f"no run in {folder}; name the folder of a run of launch.train")
    if not gfile.exists(join(folder, BEST)):
        raise DataError(f"the run in {folder} has no model yet; let it finish, with --resume")
    config = load_config(folder)
    data = data or config["data"]
    if not gfile.exists(join(data, SCHEMA)):
        raise DataError(
            f"the run in {folder} was trained with {data}, which has no {SCHEMA}; pass "
            f"--warm_start_data=FOLDER, its data folder or a copy of {SCHEMA} and vocabulary/"
        )
    if known := load_run_data(folder):
        found = data_identity(data, splits=())
        check_identity({**known, "splits": {}}, found, data, f"the run in {folder}")
    return EarlierRun(folder, data, config, zoo.Schema.load(data))


def field_rows(earlier: EarlierRun, data: str, schema: zoo.Schema) -> dict[str, FieldRows]:
    """Finds the ids of an earlier run in the vocabularies of other data.

    Values of fields with a vocabulary are found by their text, hashes and buckets by their number.

    Args:
        earlier: `EarlierRun`.
        data: string, the other prepared data folder.
        schema: `zoo.Schema` of the other data.

    Returns:
        Dict from field to `FieldRows`, for fields that have their own ids.

    Raises:
        DataError: names the first column that differs in more than its vocabulary.

    Example:
        >>> field_rows(read_earlier_run("out/monday"), "data/tuesday", schema)  # doctest: +SKIP
    """
    _check_columns(earlier, data, schema)
    before, now = (data_identity(d, splits=())["vocabularies"] for d in (earlier.data, data))
    found = {}
    for old, new in zip(earlier.schema.categorical, schema.categorical, strict=True):
        if new.shares is not None:
            continue
        places = np.arange(old.size, dtype=np.int64)
        if new.encoding in WITH_VOCABULARY and before.get(new.name) != now.get(new.name):
            places = _places(
                load_vocabulary(earlier.data, new.name)[0], load_vocabulary(data, new.name)[0]
            )
        found[new.name] = FieldRows(places, new.size)
    return found


def _places(before: list[str], now: list[str]) -> np.ndarray:
    later = pl.DataFrame({"value": now, "place": np.arange(len(now), dtype=np.int64)})
    joined = pl.DataFrame({"value": before}).join(
        later, on="value", how="left", maintain_order="left"
    )
    return joined["place"].fill_null(DROPPED).to_numpy()


def _check_columns(earlier: EarlierRun, data: str, schema: zoo.Schema) -> None:
    run = f"the run in {earlier.folder}"
    names, known = ([c.name for c in s.columns] for s in (schema, earlier.schema))
    for name in [*known, *names]:
        if name not in names or name not in known:
            where, other = (run, data) if name in known else (data, run)
            raise DataError(
                f"column {name!r} is in {where} and not in {other}; use the same columns"
            )
    for place, (name, before) in enumerate(zip(names, known, strict=True)):
        if name != before:
            raise DataError(
                f"column {place + 1} of {data} is {name!r}, that of {run} is {before!r}; use the "
                "same columns in the same order"
            )
    for old, new in zip(earlier.schema.columns, schema.columns, strict=True):
        if problem := _difference(old, new):
            raise DataError(f"column {new.name!r} of {data}: {problem} than in {run}")


def _difference(old: Categorical | Numeric, new: Categorical | Numeric) -> str | None:
    """Returns how a column differs so that its rows cannot be carried over, or `None`."""
    if type(old) is not type(new):
        kinds = {Categorical: "a field of ids", Numeric: "a number"}
        return f"it is {kinds[type(new)]}, another kind"
    if isinstance(old, Numeric) or isinstance(new, Numeric):
        if old.transform != new.transform:
            return f"transform={new.transform!r}, another one"
        return None
    for name in _SAME_FIELD:
        if getattr(old, name) != getattr(new, name):
            return f"{name}={getattr(new, name)!r}, so {_MEANINGS[name]}"
    if new.encoding == "hash" and (old.size, old.missing) != (new.size, new.missing):
        return f"size={new.size} and missing={new.missing!r}, so its hashes mean other values"
    if new.encoding == "buckets" and old.boundaries != new.boundaries:
        return f"its buckets have other boundaries ({EXTEND})"
    return None
