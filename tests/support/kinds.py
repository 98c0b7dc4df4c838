"""Parameters of which `make test` runs one per kind, and `make test-all` runs all."""

import pytest


def some(values, fast) -> list:
    """Marks parameters as slow.

    Args:
        values: parameters, or tuples of them.
        fast: those of them that `make test` runs.

    Returns:
        All of them, for `pytest.mark.parametrize`; those that are not in `fast` are marked slow.

    Example:
        `@pytest.mark.parametrize("kind", some(["gone", "short", "long"], fast=["gone"]))`
    """
    fast = list(fast)
    unknown = [value for value in fast if value not in values]
    assert fast and not unknown, f"not among the values: {unknown}"
    found = []
    for value in values:
        each = value if isinstance(value, tuple) else (value,)
        found.append(pytest.param(*each, marks=() if value in fast else (pytest.mark.slow,)))
    return found
