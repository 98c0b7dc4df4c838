"""Time budgets: no cell begins that is expected to end after the budget."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator

_UNITS = ((3600, "h"), (60, "min"), (1, "s"))


class TimeUpError(Exception):
    """Raised when a time budget is spent; the message says how many cells are left."""


class Clock:
    """Measures cells, and says whether the next would end after the budget.

    Args:
        budget: float, seconds; `None`: no limit.

    Example:
        >>> clock = Clock(60.0)
        >>> with clock.cell():
        ...     pass
        >>> clock.is_up()
        False
    """

    def __init__(self, budget: float | None):
        self._budget, self._started, self._longest = budget, time.perf_counter(), 0.0
        self._total, self._measured = 0.0, 0

    def left(self, cells: int) -> str:
        """Returns about how long so many cells take, such as ", about 12 min left".

        Empty before the first cell has ended.
        """
        if not self._measured or not cells:
            return ""
        seconds = cells * self._total / self._measured
        if seconds < 90:
            return f", about {seconds:.0f} s left"
        minutes = seconds / 60
        return (
            f", about {minutes:.0f} min left"
            if minutes < 90
            else f", about {minutes / 60:.1f} h left"
        )

    @contextlib.contextmanager
    def cell(self) -> Iterator[None]:
        """Measures a cell."""
        begun = time.perf_counter()
        yield
        seconds = time.perf_counter() - begun
        self._longest = max(self._longest, seconds)
        self._total += seconds
        self._measured += 1

    def is_up(self) -> bool:
        """Whether a cell as long as the longest so far would end after the budget.

        False before the first cell, so that every call computes at least one.
        """
        if self._budget is None or not self._longest:
            return False
        return time.perf_counter() - self._started + self._longest > self._budget
