"""Top eigenvalues and gradient norms of embedding rows, against their frequency."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import keras
import numpy as np

import zoo
from launch.analysis.runs import Batch, TrainedRun, wide_tables
from launch.run.results import aligned
from tf_helen.analysis import field_rows, frequency_correlation, row_sharpness
from tf_helen.analysis.sharpness import rows_at_once
from tf_helen.layers import Embedding
from zoo.data.progress import ProgressBar

TOGETHER = "all fields"


@dataclasses.dataclass(frozen=True)
class FieldSharpness:
    """The rows of one field of one run that occur in the sample.

    Attributes:
        ids: int64 `[n]`.
        counts: int64 `[n]`, occurrences of each in the training split.
        eigenvalues: float64 `[n]`, see `tf_helen.analysis.top_eigenvalues`.
        gradient_norms: float64 `[n]`.
    """

    ids: np.ndarray
    counts: np.ndarray
    eigenvalues: np.ndarray
    gradient_norms: np.ndarray

    def summary(self) -> dict[str, float | int | None]:
        """Returns correlations with the counts, and mean and deviation of the eigenvalues."""
        several = len(self.ids) > 1
        return {
            "rows": len(self.ids),
            "r_eigenvalue": _known(frequency_correlation(self.eigenvalues, self.counts)),
            "r_gradient": _known(frequency_correlation(self.gradient_norms, self.counts)),
            "mean": float(self.eigenvalues.mean()) if len(self.ids) else None,
            "standard_deviation": float(self.eigenvalues.std(ddof=1)) if several else None,
            "largest": float(self.eigenvalues.max()) if len(self.ids) else None,
        }


def _known(value: float) -> float | None:
    return None if math.isnan(value) else value


Measured = dict[str, FieldSharpness]


def measure(
    run: TrainedRun,
    batches: Sequence[Batch],
    counts: Mapping[str, np.ndarray],
    *,
    fields: Sequence[str] | None = None,
    method: str = "auto",
    iterations: int = 100,
    progress: bool = True,
) -> tuple[Measured, list[str]]:
    """Measures the loss around the rows of each field.

    Args:
        run: `TrainedRun`.
        batches: list of batches, over which the mean loss is taken.
        counts: dict from field name to the occurrences of its ids in the training split.
        fields: sequence of field names. Defaults to `None`: all whose samples have one id.
        method, iterations: see `tf_helen.analysis.top_eigenvalues`.
        progress: boolean; shows a progress bar. Defaults to `True`.

    Returns:
        Dict from field name to `FieldSharpness` (a field in several tables is named
        `table:field`), and a list of fields that were left out because their samples have several
        ids.
    """
    loss = keras.losses.BinaryCrossentropy(from_logits=True)
    found: Measured = {}
    left_out: list[str] = []
    occurring = _occurring(batches, run.schema)
    tables = wide_tables(run.model)
    owners = [name for layer in tables.values() for name in layer.fields]
    for table, layer in tables.items():
        several = _several(layer)
        chosen = [name for name in layer.fields if fields is None or name in fields]
        if fields is None:
            left_out += [name for name in chosen if name in several]
            chosen = [name for name in chosen if name not in several]
        if not chosen:
            continue
        starts = {name: field_rows(layer)[name].start for name in chosen}
        rows = {name: starts[name] + occurring[name] for name in chosen}
        passes = None
        if method != "power" and not several.intersection(chosen):
            most = rows_at_once(layer.output_dim)
            # One for the gradients, then by field.
            passes = 1 + sum(-(-len(each) // most) for each in rows.values())
        total = passes and len(batches) * passes
        with ProgressBar(f"{run.label}, {table}", total, "batches", progress) as bar:
            each = row_sharpness(
                run.model,
                _Counted(batches, bar),
                layer,
                rows=np.concatenate([*rows.values()]),
                loss=loss,
                method=method,
                iterations=iterations,
            )
        ends = np.cumsum([len(each) for each in rows.values()])
        for name, end in zip(chosen, ends, strict=True):
            inside = slice(end - len(rows[name]), end)
            key = name if owners.count(name) == 1 else f"{table}:{name}"
            found[key] = FieldSharpness(
                occurring[name],
                _shared_counts(layer, name, counts)[occurring[name]],
                each.eigenvalues[inside],
                each.gradient_norms[inside],
            )
    return found, list(dict.fromkeys(left_out))


def _occurring(batches: Sequence[Batch], schema: zoo.Schema) -> dict[str, np.ndarray]:
    """The ids of each field that occur in some batches, ascending."""
    ends = np.cumsum([field.length for field in schema.categorical])
    found = {}
    for field, end in zip(schema.categorical, ends, strict=True):
        parts = [np.unique(batch[0]["ids"][:, end - field.length : end]) for batch in batches]
        ids = np.unique(np.concatenate(parts)).astype(np.int64)
        found[field.name] = ids[ids >= 0]
    return found


def _several(layer: Embedding) -> set[str]:
    """The fields of which a sample may look up several rows."""
    found = {name for name, length in layer.lengths.items() if length > 1}
    return found | set(layer.shared) | set(layer.shared.values())


def _shared_counts(layer: Embedding, name: str, counts: Mapping[str, np.ndarray]) -> np.ndarray:
    """The occurrences of a field's rows, also by way of fields that share them."""
    owner = layer.shared.get(name, name)
    sharing = [each for each in layer.fields if layer.shared.get(each, each) == owner]
    return np.sum([counts[each] for each in sharing], axis=0)


class _Counted:
    """Batches that advance a progress bar each time they are read."""

    def __init__(self, batches: Sequence[Batch], bar: ProgressBar):
        self._batches, self._bar = batches, bar

    def __iter__(self) -> Iterator[Batch]:
        for batch in self._batches:
            yield batch
            self._bar.update()


def together(measured: Measured) -> FieldSharpness:
    """Returns the rows of all fields as those of one.

    Args:
        measured: dict from field name to `FieldSharpness`.

    Returns:
        `FieldSharpness`.
    """
    names = [field.name for field in dataclasses.fields(FieldSharpness)]
    return FieldSharpness(
        *(np.concatenate([getattr(each, name) for each in measured.values()]) for name in names)
    )


def sharpness_table(summaries: Mapping[str, Mapping[str, Any]]) -> str:
    """Returns a Markdown table of summaries.

    Args:
        summaries: dict from a field or a run to what `FieldSharpness.summary` returns.

    Returns:
        String without a final newline.

    Example:
        >>> rows = FieldSharpness(*np.array([[0, 1, 2], [1, 2, 9], [1, 2, 9], [3, 2, 1]]))
        >>> print(sharpness_table({"user": rows.summary()}))
        |      | rows | r(λ, N) | r(‖g‖, N) | mean λ   | std λ    | max λ    |
        |------|------|---------|-----------|----------|----------|----------|
        | user | 3    | 1.000   | -0.918    | 4.00e+00 | 4.36e+00 | 9.00e+00 |
    """
    rows = [["", "rows", "r(λ, N)", "r(‖g‖, N)", "mean λ", "std λ", "max λ"]]
    for name, each in summaries.items():
        rows.append(
            [
                name,
                f"{each['rows']:,}",
                *(_cell(each[key], ".3f") for key in ("r_eigenvalue", "r_gradient")),
                *(_cell(each[key], ".2e") for key in ("mean", "standard_deviation", "largest")),
            ]
        )
    return aligned(rows)


def _cell(value: float | None, form: str) -> str:
    return "-" if value is None else f"{value:{form}}"
