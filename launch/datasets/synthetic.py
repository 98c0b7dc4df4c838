"""Generated click data on which Adam overfits after one epoch.

The ids follow a power law. Crossed fields such as user x campaign have ids that occur once or
twice; they add no information to their parts, but a model can memorize training labels in their
embeddings from the second epoch on.
"""

import numpy as np
import polars as pl

from launch.datasets.fields import fields_of
from launch.datasets.raw import Options, RawData, in_memory
from zoo.data.files import DataError
from zoo.data.schema import Schema

_ROWS = 200_000
_RANK = 8  # rank of the interaction of users and items
# Number of ids and exponent of the power law of each plain field.
_PLAIN = {
    "user": (8_000, 0.7),
    "item": (3_000, 0.9),
    "campaign": (300, 0.8),
    "city": (60, 0.9),
    "age": (8, 0.3),
    "gender": (2, 0.1),
    "hour": (24, 0.3),
    "device": (12, 0.8),
    "position": (10, 0.6),
}
_CROSSED = (
    ("user", "campaign"),
    ("user", "hour"),
    ("user", "category"),
    ("item", "city"),
    ("item", "hour"),
    ("campaign", "city", "hour"),
)
_EFFECTS = {"item": 0.7, "campaign": 0.6, "category": 0.5, "position": 0.6, "device": 0.3}
_PAIR_EFFECTS = {("age", "category"): 0.4, ("gender", "campaign"): 0.3, ("hour", "device"): 0.2}
_INTERACTION = 0.7  # standard deviations, on the scale of the logit
_NOISE = 0.5
_BIAS = -0.6


def load(options: Options) -> RawData:
    """Generates a data set of 16 fields; valid and test each have an eighth of the training rows.

    Args:
        options: `Options`; `rows` is the number of training rows (200,000 by default), `seed` the
            seed.

    Returns:
        `RawData` with integer columns, and crossed columns as strings such as "17_4".

    Raises:
        DataError: if `rows` is below 8.

    Example:
        >>> from launch.datasets.raw import RowAccount
        >>> next(load(Options(rows=80)).splits["valid"](RowAccount())).shape
        (10, 17)
    """
    rows = _ROWS if options.rows is None else options.rows
    if rows < 8:
        raise DataError(f"--rows={rows}; use at least 8")
    held_out = rows // 8
    table = _generate(rows + 2 * held_out, np.random.default_rng(options.seed))
    splits = {
        "train": in_memory(table[:rows]),
        "valid": in_memory(table[rows : rows + held_out]),
        "test": in_memory(table[rows + held_out :]),
    }
    fields = fields_of((name for name in table.columns if name != "label"), options)
    return RawData(Schema("synthetic", fields, group="user"), splits)


def _generate(rows: int, random: np.random.Generator) -> pl.DataFrame:
    sizes = {name: size for name, (size, _) in _PLAIN.items()}
    ids = {name: _power_law(random, rows, *law) for name, law in _PLAIN.items()}
    sizes["category"] = 40
    ids["category"] = random.integers(0, sizes["category"], sizes["item"])[ids["item"]]
    logit = np.full(rows, _BIAS) + _NOISE * random.normal(size=rows)
    for name, scale in _EFFECTS.items():
        logit += scale * random.normal(size=sizes[name])[ids[name]]
    for (first, second), scale in _PAIR_EFFECTS.items():
        effect = random.normal(size=(sizes[first], sizes[second]))
        logit += scale * effect[ids[first], ids[second]]
    users = random.normal(size=(sizes["user"], _RANK))
    items = random.normal(size=(sizes["item"], _RANK))
    product = np.einsum("ij,ij->i", users[ids["user"]], items[ids["item"]])
    logit += _INTERACTION / np.sqrt(_RANK) * product
    label = (random.random(rows) < 1 / (1 + np.exp(-logit))).astype(np.float32)
    table = pl.DataFrame({"label": label, **ids})
    return table.with_columns(
        pl.concat_str([pl.col(part) for part in parts], separator="_").alias("_".join(parts))
        for parts in _CROSSED
    )


def _power_law(random: np.random.Generator, rows: int, size: int, exponent: float) -> np.ndarray:
    weights = np.arange(1, size + 1) ** -exponent
    return random.choice(size, size=rows, p=weights / weights.sum())
