"""The flags of a command in the process of a test."""

import sys
from collections.abc import Iterator
from types import ModuleType

from absl import flags


def defined_flags(command: ModuleType) -> Iterator[None]:
    """Defines the flags of a command with their defaults, and removes them at the end.

    Args:
        command: module of the command, such as `launch.models`.

    Example:
        >>> @pytest.fixture
        ... def defined():
        ...     yield from defined_flags(launch.models)
    """
    before = set(flags.FLAGS)
    command._define_flags()
    flags.FLAGS([sys.argv[0]])
    yield
    for name in set(flags.FLAGS) - before:
        delattr(flags.FLAGS, name)
