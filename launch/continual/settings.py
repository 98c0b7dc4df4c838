"""The settings of a training day by day."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

from tf_helen.core.checks import one_of, whole_number

EXPORTS = ("full", "delta", "none")
MAX_AUC_DROP = 0.05
# Settings of a run that the days decide.
_DECIDED = (
    "data",
    "out",
    "resume",
    "overwrite",
    "warm_start",
    "warm_start_data",
    "validate",
    "evaluate_test",
    "save_models",
    "progressive",
)


@dataclasses.dataclass(frozen=True)
class Days:
    """A sequence of days to score, train and export, in order.

    Args:
        data: sequence of strings, a prepared data folder per day, in order.
        out: string, folder of the results.
        run: dict, arguments of `launch.run.config.RunConfig` for the run of each day, except those
            that the days decide, such as `data` and `out`. Defaults to `{}`.
        export: "full"; "delta", which also writes the difference to the export before; or "none".
            Defaults to "full".
        max_auc_drop: float from 0 to 1. A day is not kept if its AUC is more than this below that
            of the last day that was kept. Defaults to 0.05.
        keep: int, at least 1, number of kept days whose run, export and delta stay; the scores of
            all days stay. Defaults to 2.
        warm_start: string, folder of a run of `launch.train` that the first day continues from.
            Defaults to `None`: the first day begins with a new model, and is not scored.
        resume: boolean, whether to continue the days in `out`, if any. Defaults to `False`.
        overwrite: boolean, whether to replace them. Defaults to `False`.

    Raises:
        ValueError: on no day, a repeated folder, a value out of range, or a setting of a run that
            the days decide.

    Example:
        >>> Days(["data/1", "data/2"], "out/days", {"model": "dnn"}).export
        'full'
    """

    data: Sequence[str]
    out: str
    run: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    export: str = "full"
    max_auc_drop: float = MAX_AUC_DROP
    keep: int = 2
    warm_start: str | None = None
    resume: bool = False
    overwrite: bool = False

    def __post_init__(self) -> None:
        if isinstance(self.data, str) or not self.data or not all(self.data):
            raise ValueError(
                f"`data` must be a sequence of prepared data folders, one per day. Received: "
                f"{self.data!r}"
            )
        object.__setattr__(self, "data", tuple(name.rstrip("/") for name in self.data))
        twice = [name for name in self.data if self.data.count(name) > 1]
        if twice:
            raise ValueError(f"`data` names {twice[0]} twice; each day is trained once")
        if not self.out:
            raise ValueError("`out` is empty; name a folder")
        object.__setattr__(self, "out", self.out.rstrip("/"))
        for name in _DECIDED:
            if name in self.run:
                raise ValueError(f"`run` must not contain {name!r}, which is decided for each day")
        one_of("export", self.export, EXPORTS)
        drop = self.max_auc_drop
        if isinstance(drop, bool) or not (math.isfinite(drop) and 0 <= drop <= 1):
            raise ValueError(f"`max_auc_drop` must be a number in [0, 1]. Received: {drop!r}")
        whole_number("keep", self.keep)
        if self.resume and self.overwrite:
            raise ValueError("`resume` and `overwrite` cannot both be set; leave one out")
