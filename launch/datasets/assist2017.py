"""ASSISTments 2017: does a pupil solve the next problem? Answers instead of clicks."""

from __future__ import annotations

import polars as pl

from launch.datasets.fields import fields_of
from launch.datasets.raw import Options, RawData
from launch.datasets.split_files import check_columns, split_files
from launch.datasets.splitting import mapped
from launch.datasets.tables import table_rows
from zoo.data.schema import Schema

FIELDS = ("user", "problem", "skill", "prev_problem", "prev_correct")
# The order is known within each user only. `relpos` is the relative position of a row among the
# rows of its user, in [0, 1], and merges the users into one sequence. It is not a feature, because
# it depends on later rows.
TIME = "relpos"
CROSSES = {
    "us": ("user", "skill"),
    "up": ("user", "problem"),
    "pp": ("prev_problem", "problem"),
}


def load(options: Options) -> RawData:
    """Reads answers in a tutoring system; the rows of each user are in the order of time.

    Args:
        options: `Options`; `source` is the folder with train, valid and test `.csv.gz`.

    Returns:
        `RawData`; the label is 1 for a correct answer.

    Raises:
        DataError: if the folder, a file or a column is missing, or a file is malformed.

    Example:
        >>> load(Options(source="raw/assist2017"))  # doctest: +SKIP
    """
    return _load("assist2017", options, {})


def load_crossed(options: Options) -> RawData:
    """Reads the same rows with three crossed fields, most of whose ids are rare.

    `us` is user x skill, `up` user x problem, `pp` previous problem x problem.

    Args:
        options: `Options`; `source` is the folder with train, valid and test `.csv.gz`.

    Returns:
        `RawData`, the rows and their schema.

    Raises:
        DataError: if the folder, a file or a column is missing, or a file is malformed.

    Example:
        >>> load_crossed(Options(source="raw/assist2017"))  # doctest: +SKIP
    """
    return _load("assist2017_crossed", options, CROSSES)


def _load(name: str, options: Options, crosses: dict[str, tuple[str, str]]) -> RawData:
    files = split_files(options, None)
    check_columns(files, ("label", TIME, *FIELDS), "assist2017")
    fields = fields_of((*FIELDS, *crosses), options)
    schema = Schema(name, fields, group="user", time=TIME, time_ordered=True)
    crossed = [pl.concat_str(both, separator="x").alias(new) for new, both in crosses.items()]
    splits = {
        split: mapped(table_rows([path]), lambda frame: frame.with_columns(crossed))
        for split, path in files.items()
    }
    return RawData(schema, splits, tuple(files.values()))
