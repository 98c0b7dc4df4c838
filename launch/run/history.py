"""The measurements of a run per epoch, as CSV and as a text table."""

from __future__ import annotations

import csv
import dataclasses
import io
from collections.abc import Sequence

from tf_helen.core.checks import one_of
from tf_helen.stores import gfile
from zoo.data.files import DataError, join, read_text, write_text

FILE_NAME = "history.csv"


@dataclasses.dataclass(frozen=True)
class Epoch:
    """The measurements of one epoch.

    Attributes:
        epoch: int, number of the epoch, from 1.
        loss: float, mean training loss in nats, penalties included.
        valid_auc: float, area under the ROC curve on the validation split; `None` if the run does
            not evaluate it.
        valid_logloss: float, mean cross-entropy on the validation split, in nats, or `None`.
        test_auc: float, the AUC on the test split; `None` if it was not evaluated.
        test_logloss: float, the LogLoss on the test split; `None` if it was not evaluated.
        seconds: float, duration of the training, without evaluation.
        rows_per_second: float, training rows per second.
        measured: dict, the measurements of callbacks at the end of the epoch, by name.
    """

    epoch: int
    loss: float
    valid_auc: float | None
    valid_logloss: float | None
    test_auc: float | None = None
    test_logloss: float | None = None
    seconds: float = 0.0
    rows_per_second: float = 0.0
    measured: dict[str, float] = dataclasses.field(default_factory=dict, hash=False)


_NAMES = [field.name for field in dataclasses.fields(Epoch)]


@dataclasses.dataclass(frozen=True)
class History:
    """The measurements of a run.

    Attributes:
        epochs: tuple of `Epoch`, one per epoch.
        test: dict, AUC and LogLoss on the test split after the last epoch; empty without a test
            split.
        best_test: dict, the same for the epoch with the best validation AUC.
        pass_scores: dict, the scores of a progressive run over all its rows, each scored before it
            is trained; empty for other runs.
    """

    epochs: tuple[Epoch, ...]
    test: dict[str, float] = dataclasses.field(default_factory=dict)
    best_test: dict[str, float] = dataclasses.field(default_factory=dict)
    pass_scores: dict[str, float] = dataclasses.field(default_factory=dict)

    @property
    def best(self) -> Epoch:
        """The first epoch with the best validation AUC."""
        return best_of(self.epochs)

    def table(self) -> str:
        """Returns the results as text, one line per epoch; `*` marks the best validation AUC."""
        lines = ["epoch   loss    valid AUC  LogLoss   test AUC  LogLoss    rows/s"]
        for e in self.epochs:
            mark = "*" if e is self.best else " "
            lines.append(
                f"{e.epoch:>4}{mark}  {e.loss:.4f}   {_cell(e.valid_auc):>8}  "
                f"{_cell(e.valid_logloss):>7}   {_cell(e.test_auc):>8}  "
                f"{_cell(e.test_logloss):>7}  {e.rows_per_second:>8,.0f}"
            )
        for what, scores in (("last epoch", self.test), ("best epoch (*)", self.best_test)):
            if scores:
                lines.append(
                    f"test, {what:<15} AUC {scores['auc']:.5f}  LogLoss {scores['logloss']:.5f}"
                )
        return "\n".join(lines)


def best_of(epochs: Sequence[Epoch]) -> Epoch:
    """Returns the first epoch with the best validation AUC; without any, the last epoch."""
    scored = [epoch for epoch in epochs if epoch.valid_auc is not None]
    return max(scored, key=lambda epoch: epoch.valid_auc) if scored else epochs[-1]


SELECTORS = ("auc", "logloss")


def chosen_epoch(epochs: Sequence[Epoch], select: str = "auc") -> Epoch:
    """Returns the epoch with the best validation score, the first if several are equal.

    Args:
        epochs: sequence of at least one `Epoch`.
        select: "auc" (the largest) or "logloss" (the smallest). Defaults to "auc".

    Returns:
        The epoch.

    Raises:
        ValueError: on another `select`.

    Example:
        >>> chosen_epoch([Epoch(1, 0.5, 0.7, 0.6), Epoch(2, 0.4, 0.71, 0.61)], "logloss").epoch
        1
    """
    if one_of("select", select, SELECTORS) == "auc":
        return best_of(epochs)
    scored = [epoch for epoch in epochs if epoch.valid_logloss is not None]
    return min(scored, key=lambda epoch: epoch.valid_logloss) if scored else epochs[-1]


def _cell(value: float | None) -> str:
    return "-" if value is None else f"{value:.5f}"


def save_history(directory: str, epochs: list[Epoch]) -> str:
    """Writes `history.csv`, one line per epoch, completely or not at all.

    Args:
        directory: string, folder of the run.
        epochs: list of `Epoch`, the measurements.

    Returns:
        String, path of the file.
    """
    names = [name for name in _NAMES if name != "measured"]
    others = sorted({name for epoch in epochs for name in epoch.measured})
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*names, *others])
    for epoch in epochs:
        values = [getattr(epoch, name) for name in names]
        values += [epoch.measured.get(name) for name in others]
        # repr of a float is exact, so a resumed run has the same numbers.
        writer.writerow(["" if value is None else repr(value) for value in values])
    path = join(directory, FILE_NAME)
    write_text(path, text.getvalue())
    return path


def _epoch(number: int, values: dict[str, float | None]) -> Epoch:
    measured = {name: values.pop(name) for name in [*values] if name not in _NAMES}
    known = {name: value for name, value in measured.items() if value is not None}
    return Epoch(number, **values, measured=known)


def load_history(directory: str) -> list[Epoch]:
    """Reads `history.csv`.

    Args:
        directory: string, folder of the run.

    Returns:
        List of `Epoch`; empty without a file.

    Raises:
        DataError: if the file is malformed.
    """
    path = join(directory, FILE_NAME)
    if not gfile.exists(path):
        return []
    try:
        epochs = [
            _epoch(int(row.pop("epoch")), {k: float(v) if v else None for k, v in row.items()})
            for row in csv.DictReader(io.StringIO(read_text(path)))
        ]
        for number, epoch in enumerate(epochs, 1):
            if epoch.epoch != number or epoch.loss is None:
                raise ValueError(f"line {number + 1} is not epoch {number}")
        return epochs
    except (TypeError, ValueError, KeyError, csv.Error) as error:
        raise DataError(
            f"{path} is damaged ({error}); use --resume to restore it from a checkpoint, or "
            "--overwrite to start again"
        ) from None
