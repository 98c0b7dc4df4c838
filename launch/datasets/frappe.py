"""Frappe: which app was used in which context (Baltrunas et al. 2015), 10 fields."""

from launch.datasets.csv_folder import load_csv_folder
from launch.datasets.raw import Options, RawData


def load(options: Options) -> RawData:
    """Reads Frappe from a folder of CSV files.

    Args:
        options: `source` is the folder with train, valid and test `.csv.gz`.

    Returns:
        The tables.

    Raises:
        ValueError: If the folder or a file is missing or malformed.

    Example:
        >>> load(Options(source="raw/frappe"))  # doctest: +SKIP
    """
    return load_csv_folder("frappe", options)
