"""Amazon's electronics reviews with DIN's task: will a user review this item next?"""

from __future__ import annotations

from launch.datasets.amazon_reviews import review_splits
from launch.datasets.fields import fields_of
from launch.datasets.histories import newest
from launch.datasets.raw import Options, Published, RawData
from launch.datasets.split_files import (
    Archive,
    check_columns,
    named_files,
    split_files,
    validated_on_test,
)
from launch.datasets.splitting import mapped
from launch.datasets.tables import table_rows
from launch.raw.files import list_raw
from zoo.data.files import DataError
from zoo.data.schema import Schema

ARCHIVE = Archive(
    "AmazonElectronics_x1",
    {"train": "e9bf80b92985e463db18fdc753d347b5", "test": "57a20e82fe736dd495f2eaf0669bf6d0"},
)
PUBLISHED = Published(
    "BARS, AmazonElectronics_x1",
    {"train": 2_608_764, "valid": 384_806, "test": 384_806},
    positives={"train": 0.5, "valid": 0.5, "test": 0.5},
)
_TARGETS = ("item_id", "cate_id")
HISTORIES = ("item_history", "cate_history")
LENGTH = 100


def load(options: Options) -> RawData:
    """Reads BARS's files, or Amazon's reviews; valid is the same as test, as in BARS.

    Args:
        options: `Options`; `source` is `AmazonElectronics_x1.zip`, a folder with its `train.csv`
            and `test.csv`, or a folder with `reviews_Electronics_5.json.gz` and
            `meta_Electronics.json.gz` (also extracted); without it, the zip is downloaded. `seed`
            is the seed of the negatives and of the order of the rows made from reviews.

    Returns:
        `RawData`; `user_id` is the group, not a field.

    Raises:
        DataError: if a file is missing or malformed, or the download fails.

    Example:
        >>> load(Options(source="amazon"))  # doctest: +SKIP
    """
    reviews, meta = _json_files(options.source)
    fields = [
        *fields_of(_TARGETS, options),
        *fields_of(HISTORIES, options, length=LENGTH, shares=_TARGETS),
    ]
    if reviews:
        splits, files = review_splits(reviews, meta, LENGTH, options.seed), (reviews, meta)
        schema = Schema("amazon_electronics", fields, group="user_id", time="time")
    else:
        found = split_files(options, ARCHIVE, ("train", "test"))
        past = newest(HISTORIES, LENGTH)
        check_columns(found, ("label", "user_id", "item_id", "cate_id", *HISTORIES), ARCHIVE.name)
        splits = {split: mapped(table_rows([path]), past) for split, path in found.items()}
        schema, files = Schema("amazon_electronics", fields, group="user_id"), found.values()
    return RawData(schema, validated_on_test(splits), tuple(files), PUBLISHED)


def _json_files(source: str | None) -> tuple[str, str] | tuple[None, None]:
    if source is None or source.endswith(".zip") or "train" in named_files(source):
        return None, None
    files = [path for path in list_raw(source) if ".json" in path.rsplit("/", 1)[-1]]
    found = []
    for start in ("reviews", "meta"):
        matching = [path for path in files if path.rsplit("/", 1)[-1].startswith(start)]
        if not matching:
            raise DataError(
                f"{source} holds neither train.csv and test.csv nor {start}_Electronics*.json.gz; "
                "add both JSON files"
            )
        found.append(matching[0])
    return found[0], found[1]
