"""The data sets that `python -m launch.prepare` knows, by name."""

from launch.datasets import frappe, movielens_1m, movielens_crossed, synthetic
from launch.datasets.raw import Loader, Options, RawData
from tf_helen.checks import nearest

__all__ = ["Loader", "Options", "RawData", "available", "get"]

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
        raise ValueError(
            f"unknown data set {name!r}.{nearest(name, available())} Known: "
            f"{', '.join(available())}."
        )
    return _LOADERS[name]
