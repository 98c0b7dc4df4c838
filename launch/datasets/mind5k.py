"""Clicks on news in the order of time: 5,000 impressions of MIND-small (Wu et al. 2020)."""

from launch.datasets.fields import fields_of
from launch.datasets.raw import Options, RawData
from launch.datasets.split_files import check_columns, split_files
from launch.datasets.tables import table_rows
from zoo.data.schema import Schema

HISTORY = ("hist1", "hist2", "hist3")  # the last three clicks, which share the vocabulary of `news`
FIELDS = (
    "user", "news", "category", "subcategory", "hour", "weekday", "history_len", *HISTORY,
)  # fmt: skip
GROUP, TIME = "impression", "time"


def load(options: Options) -> RawData:
    """Reads clicks on news, one row per shown item; the rows are in the order of time.

    Args:
        options: `Options`; `source` is the folder with train, valid and test `.csv.gz`.

    Returns:
        `RawData`; the group is the impression.

    Raises:
        DataError: if the folder, a file or a column is missing, or a file is malformed.

    Example:
        >>> load(Options(source="raw/mind5k"))  # doctest: +SKIP
    """
    files = split_files(options, None)
    check_columns(files, ("label", TIME, GROUP, *FIELDS), "mind5k")
    shares = ["news" if name in HISTORY else None for name in FIELDS]
    fields = fields_of(FIELDS, options, shares=shares)
    schema = Schema("mind5k", fields, group=GROUP, time=TIME, time_ordered=True)
    splits = {split: table_rows([path]) for split, path in files.items()}
    return RawData(schema, splits, tuple(files.values()))
