"""Exact sums of numbers: the same for every division of the rows and every order of the parts."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

_UNIT = 1126  # sums are integers in units of 2^-1126, of which every float64 is a multiple
_SPARE = 17
_AT_ONCE = (1 << _SPARE) - 2  # numbers whose sum is less than 2^17 times the largest of them
_SPLITTER = 2.0**27 + 1  # Dekker's, which halves a mantissa
_NO_SPREAD = 1e-13  # deviation relative to the mean, below which it is rounding of the numbers


@dataclass(frozen=True)
class ExactSums:
    """Count, sum and sum of squares of numbers, without rounding.

    `mean = sum / n` and `deviation = sqrt(sum of squares / n - mean^2)` are rounded once, at the
    end. The product x * x is split into two floats without an error (Dekker 1971).

    Args:
        found: int, how many numbers there are. Defaults to 0.
        rows: int, how many of them the sums contain. Defaults to 0.
        total: int, their sum in units of 2^-1126. Defaults to 0.
        squares: int, the sum of their squares in the same unit. Defaults to 0.

    Example:
        >>> parts = ExactSums.of(np.array([0.1, 0.2])), ExactSums.of(np.array([0.3]))
        >>> parts[0].plus(parts[1]) == ExactSums.of(np.array([0.3, 0.2, 0.1]))
        True
    """

    found: int = 0
    rows: int = 0
    total: int = 0
    squares: int = 0

    @classmethod
    def of(cls, values: np.ndarray) -> ExactSums:
        """Returns the sums of numbers.

        Args:
            values: float64 `[n]`, finite, each 0 or with a magnitude from 2^-126 to 2^128.
        """
        sums = cls()
        for start in range(0, len(values), _AT_ONCE):
            part = values[start : start + _AT_ONCE]
            product, error = _squared(part)
            squares = _exact(product) + _exact(error)
            sums = sums.plus(cls(len(part), len(part), _exact(part), squares))
        return sums

    def plus(self, other: ExactSums) -> ExactSums:
        """Returns the sums over both sets of numbers."""
        return ExactSums(
            self.found + other.found,
            self.rows + other.rows,
            self.total + other.total,
            self.squares + other.squares,
        )

    @property
    def mean(self) -> float:
        """The mean, rounded to float64."""
        return self.total / (self.rows << _UNIT)

    @property
    def deviation(self) -> float:
        """The standard deviation; 1 if all numbers are equal, or differ by rounding only."""
        spread = (self.rows * self.squares << _UNIT) - self.total**2
        found = math.sqrt(spread / (self.rows**2 << 2 * _UNIT))
        return found if found > _NO_SPREAD * abs(self.mean) else 1.0


def _squared(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns x * x in float64, and what rounding has taken away."""
    product = values * values
    large = _SPLITTER * values
    high = large - (large - values)
    low = values - high
    return product, ((high * high - product) + 2 * high * low) + low * low


def _exact(values: np.ndarray) -> int:
    """Returns the sum of float64 `[n]` in units of 2^-1126.

    The upper bits of all numbers, as multiples of one power of two that are few enough that sums of
    them are exact, are taken off and added up, until nothing is left (Rump, Ogita, Oishi 2008).
    """
    largest = max(values.max(initial=0.0), -values.min(initial=0.0))
    total, exponent = 0, math.frexp(largest)[1] + _SPARE
    while values.any():
        grid = math.ldexp(1.0, exponent)
        upper = values + grid
        upper -= grid
        part, below = float(upper.sum()).as_integer_ratio()
        total += (part << _UNIT) // below
        values = values - upper  # at most 2^-53 of the grid
        exponent -= 52 - _SPARE
    return total
