"""Timing of every library: the median of rounds of steps."""

import statistics
import time
from collections.abc import Callable

ROUNDS, STEPS, WARM_UP = 3, 5, 2
SECONDS = 0.5  # shortest duration of a round


def rows_per_second(step: Callable[[int], object], batch: int) -> float:
    """Returns the median rows per second of a step, a function of the number of the batch."""
    for number in range(WARM_UP):
        step(number)
    rates = []
    for _ in range(ROUNDS):
        start, steps = time.perf_counter(), 0
        while steps < STEPS or time.perf_counter() - start < SECONDS:
            step(steps % STEPS)
            steps += 1
        rates.append(steps * batch / (time.perf_counter() - start))
    return statistics.median(rates)
