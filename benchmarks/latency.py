"""Latencies of calls, for benchmarks/serving.py and its programs; needs only NumPy."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np

BATCHES = (1, 32, 512, 4096)
LEAST, MOST = 20, 20_000  # calls


def latencies(call: Callable[[], object], rows: int, seconds: float) -> dict[str, float]:
    """Calls a function again and again.

    Args:
        call: scores one batch.
        rows: rows of a batch.
        seconds: how long to measure, after one tenth of it to warm up.

    Returns:
        Dict with "p50" and "p99", milliseconds of a call, "rows_per_second" and "calls".
    """
    _times(call, seconds / 10, 3)
    times = np.array(_times(call, seconds, LEAST))
    p50, p99 = np.percentile(times, [50, 99]) * 1e3
    return {
        "p50": round(float(p50), 4),
        "p99": round(float(p99), 4),
        "rows_per_second": round(rows * len(times) / float(times.sum())),
        "calls": len(times),
    }


def _times(call: Callable[[], object], seconds: float, least: int) -> list[float]:
    found: list[float] = []
    end = time.perf_counter() + seconds
    while len(found) < least or (time.perf_counter() < end and len(found) < MOST):
        start = time.perf_counter()
        call()
        found.append(time.perf_counter() - start)
    return found


def resident_bytes() -> int:
    """Returns the memory of this process."""
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * 4096
