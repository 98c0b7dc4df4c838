"""Criteo's Kaggle challenge as AFN prepared it (Criteo_x1): 13 numbers and 26 categories."""

from launch.datasets.criteo_x4 import CATEGORIES, COUNTS
from launch.datasets.fields import fields_of
from launch.datasets.raw import Options, Published, RawData
from launch.datasets.split_files import Archive, check_columns, split_files
from launch.datasets.tables import table_rows
from zoo.data.columns import Numeric
from zoo.data.schema import Schema

ARCHIVE = Archive(
    "Criteo_x1",
    {
        "train": "30b89c1c7213013b92df52ec44f52dc5",
        "valid": "f73c71fb3c4f66b6ebdfa032646bea72",
        "test": "2c48b26e84c04a69b948082edae46f8c",
    },
)
PUBLISHED = Published(
    "BARS, Criteo_x1",
    {"train": 33_003_326, "valid": 8_250_124, "test": 4_587_167},
    features=2_086_277,
    positives={
        "train": 8_456_369 / 33_003_326,
        "valid": 2_114_300 / 8_250_124,
        "test": 1_174_769 / 4_587_167,
    },
)


def load(options: Options) -> RawData:
    """Reads Criteo with scaled numbers.

    Args:
        options: `Options`; `source` is `Criteo_x1.zip` or a folder with its train, valid and test
            `.csv`; without it, the zip is downloaded.

    Returns:
        `RawData`, the rows and their schema.

    Raises:
        DataError: if a file is missing or malformed, or the download fails.

    Example:
        >>> load(Options(source="Criteo_x1"))  # doctest: +SKIP
    """
    files = split_files(options, ARCHIVE)
    check_columns(files, ("label", *COUNTS, *CATEGORIES), "criteo_x1")
    numbers = [Numeric(name, transform="none") for name in COUNTS]
    schema = Schema("criteo_x1", fields_of(CATEGORIES, options), numbers)
    splits = {split: table_rows([path]) for split, path in files.items()}
    return RawData(schema, splits, tuple(files.values()), PUBLISHED)
