"""The data sets of `python -m launch.prepare`, by name."""

from launch.datasets import (
    amazon_electronics,
    assist2017,
    avazu_x4,
    criteo_x1,
    criteo_x4,
    frappe,
    ipinyou_x1,
    mind5k,
    movielens_1m,
    movielens_crossed,
    movielens_latest,
    synthetic,
    taobao_ad,
)
from launch.datasets.raw import Loader, Options, RawData
from tf_helen.core.checks import nearest

__all__ = ["Loader", "Options", "RawData", "available", "get"]

_LOADERS: dict[str, Loader] = {
    "amazon_electronics": amazon_electronics.load,
    "assist2017": assist2017.load,
    "assist2017_crossed": assist2017.load_crossed,
    "avazu_x4_001": avazu_x4.load,
    "criteo_x1": criteo_x1.load,
    "criteo_x4_001": criteo_x4.load_001,
    "criteo_x4_002": criteo_x4.load_002,
    "frappe": frappe.load,
    "ipinyou_x1": ipinyou_x1.load,
    "mind5k": mind5k.load,
    "movielens_1m": movielens_1m.load,
    "movielens_crossed": movielens_crossed.load,
    "movielens_latest": movielens_latest.load,
    "synthetic": synthetic.load,
    "taobao_ad": taobao_ad.load,
}


def available() -> list[str]:
    """Lists the names of the data sets.

    Returns:
        List of strings, sorted.

    Example:
        >>> "frappe" in available()
        True
    """
    return sorted(_LOADERS)


def get(name: str) -> Loader:
    """Returns the loader of a data set.

    Args:
        name: string, name of the data set.

    Returns:
        A function from `Options` to `RawData`.

    Raises:
        ValueError: on an unknown name; suggests the nearest one.

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
