"""The tables of `step_cost.py`, with the targets."""

from __future__ import annotations

import numpy as np
from cases import STOCK, YARDSTICK

FLAT = 1.3  # target of each row-sparse optimizer: time with the largest table / the smallest
TIMES_ADAM = {"Helen(Adam)": 2.1, "AdamAR": 1.1}


def median_ratio(above: list[float], below: list[float]) -> float:
    """Median over rounds of the ratio within a round."""
    return float(np.median(np.array(above) / np.array(below)))


def rounds_of(result: dict, name: str, rows: int) -> list[float]:
    """Returns milliseconds of every round; for Adam, those of all processes."""
    return [ms for group in result["groups"] for ms in group.get(f"{name}@{rows}", ())]


def times_adam(result: dict, name: str, rows: int) -> float | None:
    """Returns the time relative to Adam in the same rounds of the same process, if it has Adam."""
    for group in result["groups"]:
        own, adam = group.get(f"{name}@{rows}"), group.get(f"{YARDSTICK}@{rows}")
        if own and adam:
            return median_ratio(own, adam)
    return None


def report(result: dict, row_bytes: int) -> str:
    """Returns the tables as text.

    Args:
        result: result of `step_cost.measure`.
        row_bytes: bytes of a row of the table.

    Returns:
        Lines: milliseconds, ratios to Adam, growth from the smallest to the largest table; memory.
    """
    sizes, names = result["sizes"], result["names"]
    head = "".join(f"{rows:>12,}" for rows in sizes)
    lines = ["ms per step; then relative to Adam in the same rounds; then growth"]
    lines.append(f"{'rows':<20}{head}  |{head}  |  last / first")
    grown = {}
    for name in names:
        ms = "".join(f"{np.median(rounds_of(result, name, rows)):>12.2f}" for rows in sizes)
        ratios = [times_adam(result, name, rows) for rows in sizes]
        cells = "".join(f"{'' if ratio is None else format(ratio, '.2f'):>12}" for ratio in ratios)
        ends = [rounds_of(result, name, rows) for rows in (sizes[-1], sizes[0])]
        grown[name] = median_ratio(*ends)
        mark = "  not flat" if name not in STOCK and grown[name] > FLAT else ""
        lines.append(f"{name:<20}{ms}  |{cells}  |{grown[name]:>8.2f}{mark}")
    lines += ["", *targets(result, grown)]
    if result["peak"]:
        lines += ["", *memory(result, row_bytes)]
    return "\n".join(lines)


def targets(result: dict, grown: dict[str, float]) -> list[str]:
    """Returns one line per target, and the range of Adam's times over processes."""
    sparse = {name: ratio for name, ratio in grown.items() if name not in STOCK}
    if not sparse:
        return []
    worst = max(sparse, key=sparse.get)
    met = sum(ratio <= FLAT for ratio in sparse.values())
    lines = [
        f"flat (at most {FLAT}): {met} of {len(sparse)}; the steepest is {worst}, "
        f"{sparse[worst]:.2f}"
    ]
    for name, bound in TIMES_ADAM.items():
        if name in sparse:
            ratios = [times_adam(result, name, rows) for rows in result["sizes"]]
            shown = ", ".join(f"{ratio:.2f}" for ratio in ratios)
            lines.append(f"{name} / {YARDSTICK} = {shown}  (target: at most {bound})")
    for rows in result["sizes"]:
        key = f"{YARDSTICK}@{rows}"
        medians = [np.median(group[key]) for group in result["groups"] if key in group]
        lines.append(
            f"{YARDSTICK} at {rows:,} rows: {min(medians):.2f} to {max(medians):.2f} ms in "
            f"{len(medians)} processes"
        )
    return lines


def memory(result: dict, row_bytes: int) -> list[str]:
    """Returns the peaks in GB, and their growth in tables."""
    sizes, small, large = result["sizes"], result["sizes"][0], result["sizes"][-1]
    lines = ["peak memory, GB; tables it grows by (the table and its optimizer's state)"]
    lines.append(f"{'rows':<20}" + "".join(f"{rows:>12,}" for rows in sizes) + "  |  growth (due)")
    for name in result["names"]:
        peaks = [result["peak"][f"{name}@{rows}"] for rows in sizes]
        cells = "".join(f"{peak / 1e9:>12.2f}" for peak in peaks)
        growth = (peaks[-1] - peaks[0]) / (row_bytes * max(1, large - small))
        lines.append(f"{name:<20}{cells}  |{growth:>8.2f} ({result['tables'][name]:.2f})")
    return lines
