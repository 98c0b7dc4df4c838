"""The data sets that `python -m launch.prepare` knows, by name."""

import difflib

from launch.datasets import frappe, movielens_1m, movielens_crossed, synthetic
from launch.datasets.raw import Field, Loader, Options, RawData

__all__ = ["Field", "Loader", "Options", "RawData", "available", "get"]

_LOADERS: dict[str, Loader] = {
    "frappe": frappe.load,
    "movielens_1m": movielens_1m.load,
    "movielens_crossed": movielens_crossed.load,
    "synthetic": synthetic.load,
}


def available() -> list[str]:
    """Lists the names of the data sets.

    Returns:
        The names, sorted.

    Example:
        >>> "frappe" in available()
        True
    """
    return sorted(_LOADERS)


def get(name: str) -> Loader:
    """Finds the loader of a data set.

    Args:
        name: Name of the data set.

    Returns:
        A function from `Options` to `RawData`.

    Raises:
        ValueError: If there is no such data set; names the nearest.

    Example:
        >>> get("frappe").__name__
        'load'
    """
    if name not in _LOADERS:
        nearest = difflib.get_close_matches(name, available(), n=1)
        hint = f"did you mean {nearest[0]!r}? " if nearest else ""
        raise ValueError(f"unknown data set {name!r}; {hint}known: {', '.join(available())}")
    return _LOADERS[name]
