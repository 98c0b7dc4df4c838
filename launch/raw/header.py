"""The first line of a CSV file: a wrong separator, and rows that are read as names."""

from __future__ import annotations

import math
from collections.abc import Sequence

from absl import logging

from zoo.data.files import DataError

_SEPARATORS = {";": "semicolon", "\t": "tab", "|": "vertical bar", ",": "comma"}
_SHOWN = 60  # characters of a line in a message
_warned: set[tuple[str, str]] = set()


def check_separator(path: str, names: Sequence[str], separator: str) -> None:
    """Raises if the first line has one column, and another separator in it.

    Args:
        path: string, the file, for the message.
        names: names of the columns, as they are read with `separator`.
        separator: string, the separator.

    Raises:
        DataError: names the other separator and what to do.

    Example:
        >>> check_separator("a.csv", ["click", "user"], ",")
    """
    if len(names) != 1:
        return
    found = [other for other in _SEPARATORS if other != separator and other in names[0]]
    if not found:
        return
    other = max(found, key=names[0].count)
    given = "tab" if other == "\t" else f"'{other}'"
    raise DataError(
        f"{path} has one column, {_shown(names[0])}, if it is separated by "
        f"{_SEPARATORS.get(separator, repr(separator))}; its separator seems to be the "
        f"{_SEPARATORS[other]}: pass --separator={given}, or convert the file"
    )


def warn_of_data(path: str, names: Sequence[str]) -> None:
    """Logs a warning, once per file, if the first line looks like data rather than names.

    Args:
        path: string, the file.
        names: names of the columns, from the first line.

    Example:
        >>> warn_of_data("a.csv", ["click", "user"])
    """
    key = path, repr(names)
    if not looks_like_data(names) or key in _warned:
        return
    _warned.add(key)
    logging.warning(
        "%s: the first line, %s, is read as the names of the columns, but looks like data; if the "
        "file has no header, insert a line with the names",
        path,
        _shown(", ".join(names)),
    )


def looks_like_data(names: Sequence[str]) -> bool:
    """Returns whether names of columns look like values.

    Args:
        names: names of the columns.

    Returns:
        Boolean, whether any is a number, except for the numbers 0, 1, 2, ... in order, which pandas
        writes as names.

    Example:
        >>> looks_like_data(["1", "ann", "0.5"]), looks_like_data(["0", "1", "2"])
        (True, False)
    """
    numbers = {place: name for place, name in enumerate(names) if _is_number(name)}
    return any(name != str(place) for place, name in numbers.items())


def parse_separator(text: str | None) -> str | None:
    """Reads the value of `--separator`.

    Args:
        text: string, one character or "tab", or `None`.

    Returns:
        The character; `None` for `None`.

    Raises:
        DataError: on any other text.

    Example:
        >>> parse_separator("tab")
        '\\t'
    """
    if text is None:
        return None
    character = {"tab": "\t", "\\t": "\t"}.get(text, text)
    if len(character) != 1 or not character.isascii() or character in '"\n\r':
        raise DataError(f"--separator={text!r}; use one character, such as ';', or tab")
    return character


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


def _shown(text: str) -> str:
    return repr(text if len(text) <= _SHOWN else f"{text[:_SHOWN]}...")
