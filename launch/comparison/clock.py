"""Time budgets: no cell begins that is expected to end after the budget."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator


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

    @contextlib.contextmanager
    def cell(self) -> Iterator[None]:
        """Measures a cell."""
        begun = time.perf_counter()
        yield
        self._longest = max(self._longest, time.perf_counter() - begun)

    def is_up(self) -> bool:
        """Whether a cell as long as the longest so far would end after the budget.

        False before the first cell, so that every call computes at least one.
        """
        if self._budget is None or not self._longest:
            return False
        return time.perf_counter() - self._started + self._longest > self._budget
