"""Flags of every command for files in stores such as `s3://`."""

from __future__ import annotations

import re

from absl import flags

_FLAGS = flags.FLAGS
_UNITS = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4}
_SIZE = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*([kmgt]?)(i?)b?", re.IGNORECASE)


def define_store_flags() -> None:
    """Defines `--cache_dir` and `--cache_limit`."""
    flags.DEFINE_string(
        "cache_dir",
        None,
        "Local folder of files staged from stores such as s3://; by default in the folder for "
        "temporary files.",
    )
    flags.DEFINE_string("cache_limit", None, "Maximum size of the staged files; 16GiB by default.")


def use_store_flags() -> None:
    """Sets the options of stores to the flags.

    Raises:
        ValueError: if a flag is malformed.
    """
    if _FLAGS.cache_dir is None and _FLAGS.cache_limit is None:
        return
    from tf_helen.stores.options import set_store_options  # TensorFlow takes seconds to import

    limit = None if _FLAGS.cache_limit is None else parse_size(_FLAGS.cache_limit)
    set_store_options(cache_dir=_FLAGS.cache_dir, cache_bytes=limit)


def parse_size(text: str) -> int:
    """Returns a number of bytes.

    Args:
        text: string such as "500000", "20GB" (10^9) or "16GiB" (2^30).

    Raises:
        ValueError: if it is not such a number, or less than 1.

    Example:
        >>> parse_size("1.5kB"), parse_size("16GiB") == 2**34
        (1500, True)
    """
    found = _SIZE.fullmatch(text.strip())
    size = 0
    if found:
        size = int(float(found[1]) * (1024 if found[3] else 1000) ** _UNITS[found[2].lower()])
    if size < 1:
        raise ValueError(f"--cache_limit={text}; use a number of bytes such as 20GB or 16GiB")
    return size
