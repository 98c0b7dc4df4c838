"""The time of the rows of a batch, for optimizers with `clock="event"`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

TIME = "time"  # the input with the time of each row


def without_time(driver: Any, x: Any) -> Any:
    """Advances the clock of an optimizer that needs the time of each batch.

    Args:
        driver: the optimizer, or its adapter.
        x: the inputs of a batch; a dict with the key "time" if the optimizer needs it.

    Returns:
        The inputs without the time.

    Raises:
        ValueError: if the optimizer needs the time and the inputs do not contain it.
    """
    if not driver.needs_time:
        return x
    if not isinstance(x, Mapping) or TIME not in x:
        raise ValueError(
            f"An optimizer with clock='event' needs inputs that are a dict with the key {TIME!r}, "
            f"the time of each row. Received: {list(x) if isinstance(x, Mapping) else type(x)}"
        )
    driver.advance_clock(x[TIME])
    return {name: value for name, value in x.items() if name != TIME}
