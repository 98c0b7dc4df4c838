"""MovieLens-1M with crossed fields such as user x director: most ids occur once or twice."""

from launch.datasets.csv_folder import load_csv_folder
from launch.datasets.raw import Options, RawData


def load(options: Options) -> RawData:
    """Reads MovieLens with crossed fields from a folder of CSV files.

    Args:
        options: `Options`; `source` is the folder with train, valid and test `.csv.gz`.

    Returns:
        `RawData`, the rows and their schema.

    Raises:
        DataError: if the folder or a file is missing or malformed.

    Example:
        >>> load(Options(source="raw/movielens_crossed"))  # doctest: +SKIP
    """
    return load_csv_folder("movielens_crossed", options, group="user")
