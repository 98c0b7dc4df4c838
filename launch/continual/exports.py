"""Exports of the days: numbered folders, of which the highest number is the last good model."""

from __future__ import annotations

from launch.export import export_run
from tf_helen.core.folders import remove_folder
from tf_helen.stores import gfile
from zoo.data.files import join
from zoo.data.folders import files_of
from zoo.serving.delta import FILE as DELTA
from zoo.serving.delta import apply_delta
from zoo.serving.replaceable import EXPORT

SERVED, DELTAS = "served", "deltas"


def served_folder(out: str, day: int) -> str:
    """Returns the folder of a day's export: `served/DAY`, as TensorFlow Serving needs it."""
    return join(out, SERVED, str(day))


def delta_folder(out: str, day: int) -> str:
    """Returns the folder of the difference between a day's export and the one before."""
    return join(out, DELTAS, str(day))


def publish(out: str, day: int, run: str, data: str, since: int | None) -> dict[str, int | str]:
    """Exports the run of a day; what exists is complete and is not written again.

    Args:
        out: string, folder of the days.
        day: int, number of the day.
        run: string, folder of its run.
        data: string, its prepared data folder.
        since: int, day of the export that a delta is written against; `None`: without a delta.

    Returns:
        Dict "export", the folder; "export_bytes"; and "delta_bytes" if a delta was written.

    Raises:
        DataError: if the run or the data do not fit.

    Example:
        >>> publish("out/days", 2, "out/days/runs/2", "data/tuesday", since=1)  # doctest: +SKIP
    """
    target, found = served_folder(out, day), {}
    if since is None:
        if not gfile.exists(join(target, EXPORT)):
            export_run(run, data, target)
    else:
        base, delta = served_folder(out, since), delta_folder(out, day)
        if not gfile.exists(join(delta, DELTA)):
            export_run(run, data, delta, since=base)
        if not gfile.exists(join(target, EXPORT)):
            apply_delta(base, delta, target)
        found["delta_bytes"] = _bytes(delta)
    return {"export": target, "export_bytes": _bytes(target), **found}


def remove_days(out: str, names: tuple[str, ...], first: int) -> None:
    """Removes the folders of days before a day.

    Args:
        out: string, folder of the days.
        names: sequence of strings, names of folders that hold a folder per day.
        first: int, the first day that stays.

    Example:
        >>> remove_days("absent", ("served",), 3)
    """
    for name in names:
        folder = join(out, name)
        if gfile.isdir(folder):
            for child in gfile.listdir(folder):
                number = child.rstrip("/")
                if number.isdecimal() and int(number) < first:
                    remove_folder(join(folder, number))


def _bytes(folder: str) -> int:
    return sum(gfile.stat(join(folder, name)).length for name in files_of(folder))
