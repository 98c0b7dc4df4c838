"""Starts a run with the state of an earlier run whose data have other vocabularies."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

import zoo
from launch.run.checkpoints import FOLDER
from launch.run.config import FILE_NAME as CONFIG
from launch.run.config import RunConfig
from launch.run.earlier_run import EXTEND, EarlierRun, FieldRows, field_rows, read_earlier_run
from launch.run.files import load_best
from launch.run.history import best_of, load_history
from tf_helen.callbacks.carried_state import (
    DROPPED,
    carry_state,
    carry_weights,
    load_state,
)
from tf_helen.callbacks.state_files import SavedState, StateFiles
from tf_helen.core import row_reuse, tables
from tf_helen.core.capacities import CapacityError
from tf_helen.optimizers import registry
from tf_helen.training import loss_scaling
from zoo.data.checksums import file_checksum
from zoo.data.files import DataError, join

FILE_NAME = "warm_start.json"


def warm_start(config: RunConfig, model: zoo.models.ClickModel) -> dict[str, Any]:
    """Gives a new model the rows, slots, records and dense weights of an earlier run.

    Ids are found by their values; new ids keep their initial rows. If the optimizer is another one
    than that of the run, or has other settings than numbers, it begins anew.

    Args:
        config: `RunConfig` with `warm_start`.
        model: compiled model that was not trained, with the schema of `config.data`.

    Returns:
        Dict, the content of `warm_start.json` for the run's folder.

    Raises:
        DataError: if the run, its data or the model do not fit.

    Example:
        >>> warm_start(config, model)["fields"]["user"]["fresh"]  # doctest: +SKIP
    """
    earlier = read_earlier_run(config.warm_start, config.warm_start_data)
    if model.schema != earlier.schema and (line := _statistics_line(earlier.schema, model.schema)):
        print(line, flush=True)
    fields = field_rows(earlier, config.data, model.schema)
    name = earlier.config["model"]
    if zoo.get_class(name) is not zoo.get_class(config.model):
        raise DataError(
            f"the run in {earlier.folder} has model={name!r}. Received: model={config.model!r}; "
            "use the same model"
        )
    dynamic = any(row_reuse.place_of(variable) is not None for variable in model.variables)
    rows = {} if dynamic else table_rows(model, fields)
    reason = _other_optimizer(earlier.config, config)
    state = best_state(earlier)
    if dynamic:
        _check_dynamic(fields, reason)
    try:
        if dynamic:
            load_state(model, state, kept=_given_counts(model))
        elif reason is None:
            carry_state(model, state, rows, kept=_given_counts(model))
        else:
            print(f"the optimizer begins without the slots of {earlier.folder}: {reason}")
            carry_weights(model, load_best(earlier.folder), rows)
    except ValueError as error:
        problem = str(error).rstrip(".")
        if isinstance(error, CapacityError):
            problem += "; name the capacity of each field, as the parts of one number change"
        raise DataError(
            f"the run in {earlier.folder} does not fit this one: {problem}; its arguments are in "
            f"{join(earlier.folder, CONFIG)}"
        ) from None
    counts = {name: found.counts for name, found in fields.items()}
    if config.progress:
        print(f"warm start from {earlier.folder}: {summary_line(counts)}", flush=True)
    return {
        "run": earlier.folder,
        "state": state.path.rpartition("/")[2],
        "state_sha256": file_checksum(f"{state.path}.index"),
        "slots": reason is None,
        "fields": counts,
    }


def _check_dynamic(fields: Mapping[str, FieldRows], reason: str | None) -> None:
    """Raises unless the state of dynamic tables, which know ids by number, fits."""
    for name, found in fields.items():
        if not np.array_equal(found.places, np.arange(len(found.places))):
            raise DataError(
                f"the ids of field {name!r} are others than in the earlier run, and dynamic tables "
                f"know ids by number; {EXTEND}"
            )
    if reason is not None:
        raise DataError(f"dynamic tables continue with the optimizer of the earlier run: {reason}")


def summary_line(counts: Mapping[str, Mapping[str, int]]) -> str:
    """Returns the numbers of ids as text.

    Args:
        counts: dict from field to its `FieldRows.counts`.

    Returns:
        String, one line.

    Example:
        >>> summary_line({"user": {"carried": 9, "fresh": 2, "dropped": 1}})
        '9 ids carried over, 2 new, 1 dropped (user 1)'
    """
    carried, fresh, dropped = (
        sum(field[kind] for field in counts.values()) for kind in ("carried", "fresh", "dropped")
    )
    gone = [f"{name} {field['dropped']:,}" for name, field in counts.items() if field["dropped"]]
    line = f"{carried:,} ids carried over, {fresh:,} new, {dropped:,} dropped"
    return line + (f" ({', '.join(gone)})" if gone else "")


def table_rows(
    model: zoo.models.ClickModel, fields: Mapping[str, FieldRows]
) -> dict[str, np.ndarray]:
    """Returns the new row of each earlier row of every embedding table.

    Args:
        model: `ClickModel`, the new model.
        fields: dict from field to `FieldRows`.

    Returns:
        Dict from the path of a table to int64 `[earlier rows]`; -1: the row is dropped.

    Raises:
        DataError: if a table has rows of something other than a field of the schema.

    Example:
        >>> table_rows(model, fields)  # doctest: +SKIP
    """
    found = {}
    for variable in model.variables:
        table = tables.of(variable)
        if table is None or variable.path in found:
            continue
        parts = []
        for name, first in zip(table.group.fields, table.group.offsets, strict=False):
            if name not in fields:
                raise DataError(f"table {variable.path!r} has no field {name!r} of the schema")
            places = fields[name].places
            parts.append(np.where(places >= 0, places + first, DROPPED))
        found[variable.path] = np.concatenate(parts)
    return found


def best_state(earlier: EarlierRun) -> SavedState:
    """Returns the state of a run's best model: weights, slots and records.

    Args:
        earlier: `EarlierRun`.

    Returns:
        The state of the epoch with the best validation AUC; of a progressive run, the last one.

    Raises:
        DataError: if it is missing or damaged.

    Example:
        >>> best_state(read_earlier_run("out/monday")).epoch  # doctest: +SKIP
    """
    files = StateFiles(join(earlier.folder, FOLDER))
    if earlier.config.get("progressive") is not None:
        saved = files.newest_whole()[0]
    else:
        epochs = load_history(earlier.folder)
        saved = files.whole(best_of(epochs).epoch) if epochs else None
    if saved is None:
        raise DataError(
            f"{join(earlier.folder, FOLDER)} has no intact state of the best model; train that run "
            "again with --overwrite"
        )
    return saved


def _statistics_line(before: zoo.Schema, now: zoo.Schema) -> str:
    names = [
        new.name
        for old, new in zip(before.numeric, now.numeric, strict=False)
        if old.name == new.name and (old.mean, old.std) != (new.mean, new.std)
    ]
    if not names:
        return ""
    shown = ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")
    return (
        f"warning: means or deviations of numeric columns differ from the earlier run ({shown}), "
        f"so the model reads other values for equal numbers; {EXTEND}"
    )


def _other_optimizer(before: Mapping[str, Any], config: RunConfig) -> str | None:
    """Returns why slots cannot be carried over, or `None`.

    The state of an optimizer depends on its settings, but not on those that are numbers.
    """
    classes = [_class_names(name) for name in (before["optimizer"], config.optimizer)]
    if classes[0] != classes[1]:
        return f"it has {before['optimizer']}, this run {config.optimizer}"
    if before.get("precision") != config.precision:
        return f"it has precision {before.get('precision')}, this run {config.precision}"
    old, new = before.get("optimizer_args", {}), dict(config.optimizer_args)
    for name in sorted({*old, *new}):
        a, b = old.get(name), new.get(name)
        if _kind(a) != _kind(b):
            return f"it has {name}={a}, this run {name}={b}"
    return None


def _class_names(name: str) -> tuple[str, Any]:
    cls, inner = registry.class_of(name)
    return cls.__name__, None if inner is None else _class_names(inner)


def _kind(value: Any) -> Any:
    """Returns what a setting has in common with settings that need the same state."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if is_number or value is None:
        return "number"
    return str(value)


def _given_counts(model: zoo.models.ClickModel) -> list[Any]:
    """Returns the variables with the counts of the data set, which belong to the new data."""
    optimizer = loss_scaling.unwrap(model.optimizer)
    if getattr(optimizer, "frequency", None) != "given":
        return []
    variables = [v for v in model.trainable_variables if tables.of(v) is not None]
    return [slot for v in variables for slot in optimizer.slots_of(v).values()]
