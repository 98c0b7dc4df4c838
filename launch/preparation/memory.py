"""How much memory a preparation may use for distinct values."""

from __future__ import annotations

import os
import re

from zoo.data.files import DataError

_UNITS = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}
_TEXT = re.compile(r"(\d+(?:\.\d+)?)\s*([KMGT]?)(?:I?B)?", re.IGNORECASE)
_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")
_SHARE = 2  # of the machine's memory, half is for distinct values


def parse_memory(text: str) -> int:
    """Reads a number of bytes such as "4G".

    Args:
        text: string, a number, which K, M, G or T (powers of 1,024) may follow.

    Returns:
        Int, bytes.

    Raises:
        DataError: on any other text, and on less than 1 byte.

    Example:
        >>> parse_memory("1.5K")
        1536
    """
    found = _TEXT.fullmatch(text.strip())
    size = int(float(found[1]) * _UNITS[found[2].upper()]) if found else 0
    if size < 1:
        raise DataError(f"--memory={text}; use a number of bytes above 0, such as 500M or 4G")
    return size


def default_memory() -> int:
    """Returns half of the memory of this machine, or of its container, in bytes.

    Example:
        >>> default_memory() > 0
        True
    """
    found = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    for path in _LIMITS:
        try:
            with open(path) as file:
                found.append(int(file.read()))
        except (OSError, ValueError):  # no such file, or "max"
            continue
    return min(found) // _SHARE
