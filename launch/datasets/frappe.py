"""Frappe: which app is used in which context (Baltrunas et al. 2015), 10 fields."""

from launch.datasets.csv_folder import load_csv_folder
from launch.datasets.raw import Options, Published, RawData
from launch.datasets.split_files import Archive

ARCHIVE = Archive(
    "Frappe_x1",
    {
        "train": "ba7306e6c4fc19dd2cd84f2f0596d158",
        "valid": "88d51bf2173505436d3a8f78f2a59da8",
        "test": "3470f6d32713dc5f7715f198ca7c612a",
    },
)
PUBLISHED = Published(
    "BARS, Frappe_x1",
    {"train": 202_027, "valid": 57_722, "test": 28_860},
    features=5_379,
    positives={"train": 67_604 / 202_027, "valid": 19_063 / 57_722, "test": 9_536 / 28_860},
)


def load(options: Options) -> RawData:
    """Reads Frappe as BARS splits it (Frappe_x1).

    Args:
        options: `Options`; `source` is `Frappe_x1.zip` or a folder with train, valid and test
            `.csv.gz`; without it, the zip is downloaded.

    Returns:
        `RawData`, the rows and their schema.

    Raises:
        DataError: if a file is missing or malformed, or the download fails.

    Example:
        >>> load(Options(source="raw/frappe"))  # doctest: +SKIP
    """
    return load_csv_folder("frappe", options, archive=ARCHIVE, group="user", published=PUBLISHED)
