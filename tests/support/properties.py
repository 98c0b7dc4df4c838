"""How many examples the property tests draw."""

import hypothesis


def examples(count: int) -> hypothesis.settings:
    """Settings that draw `count` examples, and more under a profile that asks for more.

    Args:
        count: examples in the profile of `make test`. A profile whose `max_examples` is k times
            hypothesis's default of 100 draws k times as many.

    Returns:
        A decorator for a test with `@given`.

    Example:
        `@examples(25)` above `@given(ids=...)`
    """
    return hypothesis.settings(max_examples=count * hypothesis.settings.default.max_examples // 100)
