"""The settings of one pass over time in which each row is scored before it is trained."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from tf_helen.core.checks import whole_number


@dataclasses.dataclass(frozen=True)
class Progressive:
    """The splits and slices of a pass over time.

    Args:
        splits: sequence of strings, the splits of the pass, in order, such as
            `("train", "valid", "test")`. Defaults to `("train",)`.
        slices: int, number of slices over all splits. A slice has a whole number of batches, so
            the number can differ slightly. Defaults to 50.
        slice_rows: int, rows of a slice; replaces `slices`. Defaults to `None`.
        shuffle: bool, whether the rows within each slice are shuffled before they are trained.
            Defaults to `False`.

    Raises:
        ValueError: on a number below 1, no splits, or a repeated split.

    Example:
        >>> Progressive(slice_rows=4096).splits
        ('train',)
    """

    splits: Sequence[str] = ("train",)
    slices: int = 50
    slice_rows: int | None = None
    shuffle: bool = False

    def __post_init__(self) -> None:
        if isinstance(self.splits, str):
            raise ValueError(
                f"`splits` must be a sequence of names, such as ('train', 'valid'). Received: "
                f"{self.splits!r}"
            )
        object.__setattr__(self, "splits", tuple(self.splits))
        if not self.splits or len(set(self.splits)) < len(self.splits) or "" in self.splits:
            raise ValueError(
                "`splits` must name one or more splits, each only once, such as ('train', "
                f"'valid'). Received: {self.splits!r}"
            )
        whole_number("slices", self.slices)
        if self.slice_rows is not None:
            whole_number("slice_rows", self.slice_rows)
        if not isinstance(self.shuffle, bool):
            raise ValueError(f"`shuffle` must be True or False. Received: {self.shuffle!r}")
