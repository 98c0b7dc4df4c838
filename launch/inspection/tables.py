"""The state of dynamic tables, as text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tf_helen.core.checks import named
from tf_helen.layers import DynamicEmbedding
from zoo.data.files import DataError

_HEAD = ("field", "ids", "capacity", "fill", "admitted", "evicted", "refused")
_QUANTILES = (("median", 0.5), ("90 %", 0.9), ("largest", 1.0))


def state_text(state: Mapping[str, Mapping[str, Any]]) -> str:
    """Writes the state of a table as a table of text, a line per field.

    Args:
        state: result of `DynamicEmbedding.table_state`.

    Returns:
        String.

    Example:
        >>> import tf_helen
        >>> layer = tf_helen.layers.DynamicEmbedding({"user": 4}, 2)
        >>> _ = layer(np.array([[33]]), training=True)
        >>> print(state_text(layer.table_state()).splitlines()[-1].split()[:4])
        ['user', '1', '4', '25.0%']
    """
    head = [*_HEAD]
    for what in ("age", "count"):
        head += [f"{what} {name}" for name, _ in _QUANTILES]
    lines = [head]
    for field, each in state.items():
        fill = len(each["row"]) / each["capacity"]
        line = [field, f"{len(each['row']):,}", f"{each['capacity']:,}", f"{fill:.1%}"]
        line += [f"{each[name]:,}" for name in ("admitted", "evicted", "refused")]
        for what in ("age", "count"):
            values = each[what]
            line += [
                f"{np.quantile(values, q):,.0f}" if len(values) else "-" for _, q in _QUANTILES
            ]
        lines.append(line)
    widths = [max(len(line[i]) for line in lines) for i in range(len(head))]
    return "\n".join(
        "  ".join(
            [line[0].ljust(widths[0])]
            + [cell.rjust(width) for cell, width in zip(line[1:], widths[1:], strict=True)]
        )
        for line in lines
    )


def ids_text(layer: DynamicEmbedding, wanted: Sequence[str]) -> str:
    """Writes the rows of ids, a line per id.

    Args:
        layer: `DynamicEmbedding`.
        wanted: sequence of strings `field=id`.

    Returns:
        String.

    Raises:
        DataError: on an unknown field, or an id that is not an integer.

    Example:
        >>> import tf_helen
        >>> layer = tf_helen.layers.DynamicEmbedding({"user": 4}, 2)
        >>> _ = layer(np.array([[33]]), training=True)
        >>> print(ids_text(layer, ["user=7"]))
        user=7: no row; it reads the default row of the field
    """
    state, lines = layer.table_state(), []
    for text in wanted:
        field, equals, value = text.partition("=")
        if not equals:
            raise DataError(f"cannot read {text!r}; write FIELD=ID, such as user=17")
        named("field", field, dict.fromkeys(layer.fields))
        row = int(layer.rows_of(field, [_id(layer, value)])[0])
        if not row:
            lines.append(f"{text}: no row; it reads the default row of the field")
            continue
        each = state[layer.shared.get(field, field)]
        place = int(np.flatnonzero(each["row"] == row)[0])
        norm = float(np.linalg.norm(layer.row(field, row)))
        lines.append(
            f"{text}: row {row}, count {each['count'][place]:,}, age {each['age'][place]:,}, "
            f"norm {norm:.4g}"
        )
    return "\n".join(lines)


def _id(layer: DynamicEmbedding, text: str) -> int | bytes:
    if layer.id_dtype == "string":
        return text.encode()
    try:
        return int(text)
    except ValueError:
        raise DataError(f"the ids of {layer.name!r} are integers. Received: {text!r}") from None
