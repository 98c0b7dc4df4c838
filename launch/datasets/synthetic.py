"""Generated click data on which Adam overfits after one epoch, as on real data.

The structure is that of MovieLens with crossed features: users and items with a long tail, items
that belong to campaigns and campaigns to categories, and crossed fields such as user x campaign,
most of whose ids occur once. A click depends on latent factors that users share by age, gender and
city, and items by campaign and category, so a crossed id carries information, but too few rows to
learn it from. docs/datasets/synthetic.md compares the statistics with those of real data sets.
"""

import math

import numpy as np
import polars as pl

from launch.datasets.fields import fields_of
from launch.datasets.raw import Options, RawData, in_memory
from zoo.data.files import DataError
from zoo.data.schema import Schema

_ROWS = 200_000
# Number of ids, and exponent a and shift b of their law: the probability of the n-th is
# proportional to (n + b)^-a. The shift limits the share of the most frequent id.
_USERS, _USER_LAW = 5_000, (0.8, 30)
_ITEMS, _ITEM_LAW = 3_500, (1.0, 30)
_CAMPAIGNS, _CAMPAIGN_LAW = 1_700, (0.7, 5)
_CATEGORIES, _CATEGORY_LAW = 300, (0.6, 1)
# Fields that a user has once for all, and fields of the impression.
_OF_A_USER = {"city": (60, 0.9, 1), "age": (8, 0.5, 1), "gender": (2, 0.5, 1)}
_OF_A_ROW = {"hour": (24, 0.3, 1), "device": (12, 0.8, 0)}
_POSITIONS, _POSITION_LAW = 10, (0.6, 0)
_CROSSED = (
    ("user", "campaign"),
    ("user", "category"),
    ("user", "device"),
    ("item", "city"),
    ("item", "age", "gender"),
    ("city", "campaign"),
)
_RANK = 4  # of the interaction of users and items
# Share of a latent factor that is common to the group: users of an age, gender and city, campaigns
# of a category, items of a campaign. Its variance is the square; the rest is individual.
_SHARED_BY_USERS, _SHARED_BY_CATEGORY, _SHARED_BY_CAMPAIGN = 0.6, 0.8, 0.9
_QUALITY_OF_CAMPAIGN = 0.6  # the same for the effect of an item
# Standard deviations on the scale of the logit.
_BIAS, _USER_EFFECT, _ITEM_EFFECT, _INTERACTION = 0.3, 0.8, 1.0, 1.1
_CONTEXT_EFFECT, _PAIR_EFFECT, _POSITION_STEP = 0.1, 0.1, -0.036


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
    campaign_of = _draw(random, _ITEMS, _CAMPAIGNS, *_CAMPAIGN_LAW)
    category_of = _draw(random, _CAMPAIGNS, _CATEGORIES, *_CATEGORY_LAW)
    ids = {
        "user": _draw(random, rows, _USERS, *_USER_LAW),
        "item": _draw(random, rows, _ITEMS, *_ITEM_LAW),
    }
    ids["campaign"] = campaign_of[ids["item"]]
    ids["category"] = category_of[ids["campaign"]]
    attributes = {name: _draw(random, _USERS, *law) for name, law in _OF_A_USER.items()}
    ids |= {name: of_user[ids["user"]] for name, of_user in attributes.items()}
    ids |= {name: _draw(random, rows, *law) for name, law in _OF_A_ROW.items()}
    ids["position"] = random.choice(_POSITIONS, rows, p=_law(_POSITIONS, *_POSITION_LAW))

    groups = [_factors(random, size)[attributes[name]] for name, (size, *_) in _OF_A_USER.items()]
    users = _mixed(random, sum(groups) / math.sqrt(len(groups)), _SHARED_BY_USERS)
    campaigns = _mixed(random, _factors(random, _CATEGORIES)[category_of], _SHARED_BY_CATEGORY)
    items = _mixed(random, campaigns[campaign_of], _SHARED_BY_CAMPAIGN)
    quality = _mixed(random, random.normal(size=_CAMPAIGNS)[campaign_of], _QUALITY_OF_CAMPAIGN)

    logit = _BIAS + _USER_EFFECT * random.normal(size=_USERS)[ids["user"]]
    logit += _ITEM_EFFECT * quality[ids["item"]]
    product = np.einsum("ij,ij->i", users[ids["user"]], items[ids["item"]])
    logit += _INTERACTION / math.sqrt(_RANK) * product
    for name, (size, *_) in _OF_A_ROW.items():
        logit += _CONTEXT_EFFECT * random.normal(size=size)[ids[name]]
    pairs = random.normal(size=(_OF_A_USER["city"][0], _CATEGORIES))
    logit += _PAIR_EFFECT * pairs[ids["city"], ids["category"]]
    logit += _POSITION_STEP * ids["position"]
    label = (random.random(rows) < 1 / (1 + np.exp(-logit))).astype(np.float32)
    table = pl.DataFrame({"label": label, **ids})
    return table.with_columns(
        pl.concat_str([pl.col(part) for part in parts], separator="_").alias("_".join(parts))
        for parts in _CROSSED
    )


def _law(size: int, exponent: float, shift: float) -> np.ndarray:
    weights = (np.arange(1, size + 1) + shift) ** -exponent
    return weights / weights.sum()


def _draw(
    random: np.random.Generator, rows: int, size: int, exponent: float, shift: float
) -> np.ndarray:
    """Draws ids by the law; the number of an id does not tell its frequency."""
    return random.permutation(size)[random.choice(size, rows, p=_law(size, exponent, shift))]


def _factors(random: np.random.Generator, size: int) -> np.ndarray:
    return random.normal(size=(size, _RANK))


def _mixed(random: np.random.Generator, common: np.ndarray, share: float) -> np.ndarray:
    """Adds an individual part to a common one, such that the variance stays 1."""
    return share * common + math.sqrt(1 - share**2) * random.normal(size=common.shape)
