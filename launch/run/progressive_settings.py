"""The settings of one pass over time in which each row is scored before it is trained."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from tf_helen.core.checks import whole_number


@dataclasses.dataclass(frozen=True)
class Progressive:
    """How a pass over time is cut into slices.

    Args:
        splits: sequence of strings, splits that the pass goes through, in this order. Defaults to
            `("train",)`; `("train", "valid", "test")` goes on with the newer rows.
        slices: int, number of slices over all splits; a slice has a whole number of batches, so
            that there may be a few more or fewer. Defaults to 50.
        slice_rows: int, rows of a slice, in place of `slices`. Defaults to `None`.
        shuffle: boolean; shuffle the rows within each slice before they are trained. Defaults to
            `False`.

    Raises:
        ValueError: on a number below 1, no split, or a split that occurs twice.

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
