"""Removes the files of earlier runs, and nothing else."""

from __future__ import annotations

import re

from launch.run.config import FILE_NAME as CONFIG
from launch.run.config import FILES, LEDGER
from tf_helen.callbacks.state_files import StateFiles, is_running
from tf_helen.core.folders import remove_folder
from tf_helen.stores import gfile
from zoo.data.files import DataError, join
from zoo.data.folders import partial_folder, restore_folder

_OF_A_COMPARISON = ("results.json", "results.md", "curves.png", "data.json")
_CELLS = "cells"  # see launch.comparison.cells
# See zoo.data.files, launch.run.files.save_best, zoo.data.locks and zoo.data.folders.
_TEMPORARY = re.compile(r"\.(?P<name>.+)\.(?P<process>\d+)\.(tmp|keras)")
_LEFT_BY_A_CRASH = re.compile(r"\..+\.(tmp|keras|lock|partial|replaced)")


def clean_run(folder: str) -> None:
    """Removes the files that killed processes left in and next to the folder of a run.

    Call it in the process that holds the folder's lock.

    Args:
        folder: string, folder of the run; may be absent.

    Example:
        >>> clean_run("out/frappe")  # doctest: +SKIP
    """
    restore_folder(folder, CONFIG)
    partial = partial_folder(folder)
    if gfile.isdir(partial) and set(_names(partial)) <= {CONFIG, LEDGER, "data.json"}:
        remove_folder(partial)
    remove_temporaries(folder, (CONFIG, LEDGER, "best", *FILES))
    if gfile.exists(join(folder, CONFIG)):
        StateFiles(join(folder, "checkpoints")).remove_leftovers(alone=True)


def remove_temporaries(folder: str, names: tuple[str, ...]) -> None:
    """Removes the unfinished files of processes that have ended.

    Args:
        folder: string, folder of the files; may be absent.
        names: sequence of strings, names of the finished files.

    Example:
        >>> remove_temporaries("out/compared", ("results.md",))
    """
    if not gfile.isdir(folder):
        return
    for name in _names(folder):
        found = _TEMPORARY.fullmatch(name)
        if found and found["name"] in names and not is_running(int(found["process"])):
            gfile.remove(join(folder, name))


def check_replaceable_run(folder: str) -> None:
    """Raises `DataError` if the folder of a run contains other files.

    Args:
        folder: string, folder of the run; may be absent.

    Raises:
        DataError: names a file that runs do not write.

    Example:
        >>> check_replaceable_run("out/frappe")  # doctest: +SKIP
    """
    if not gfile.isdir(folder):
        return
    known = {CONFIG, LEDGER, "saved_model", *FILES}
    for name in _names(folder):
        if name not in known and not _LEFT_BY_A_CRASH.fullmatch(name):
            raise DataError(
                f"{join(folder, name)} is not a file of a run, so {folder} is not replaced; "
                "move it or name another folder"
            )


def remove_comparison(folder: str) -> None:
    """Removes the folder of a comparison if it contains only runs and tables of results.

    Args:
        folder: string, folder that `launch.compare.compare` wrote; may be absent.

    Raises:
        DataError: names a file that comparisons do not write; nothing is removed then.

    Example:
        >>> remove_comparison("out/compared")  # doctest: +SKIP
    """
    if not gfile.exists(folder):
        return
    if not gfile.isdir(folder):
        raise DataError(f"{folder} is a file and is kept; name another folder")
    foreign = [path for name in _names(folder) for path in _foreign(join(folder, name), name)]
    if foreign:
        raise DataError(
            f"{foreign[0]} is not a file of a comparison, so {folder} is kept; name another folder"
        )
    remove_folder(folder)


def _names(folder: str) -> list[str]:
    return sorted(name.rstrip("/") for name in gfile.listdir(folder))


def _foreign(path: str, name: str) -> list[str]:
    """Returns the paths in an entry of a comparison's folder that comparisons do not write."""
    if not gfile.isdir(path):
        known = name in _OF_A_COMPARISON or _LEFT_BY_A_CRASH.fullmatch(name)
        return [] if known else [path]
    if name == _CELLS:
        known = [cell for cell in _names(path) if _is_cell(path, cell)]
        return [join(path, inner) for inner in _names(path) if inner not in known]
    below = [
        (inner, join(path, inner))
        for inner in _names(path)
        if not re.fullmatch(r"\.seed_\d+\.(lock|partial|replaced)", inner)
    ]
    return [run for inner, run in below if not (inner.startswith("seed_") and _is_run(run))]


def _is_cell(folder: str, name: str) -> bool:
    whole = gfile.exists(join(folder, name, "cell.json"))
    return whole or bool(_LEFT_BY_A_CRASH.fullmatch(name))


def _is_run(folder: str) -> bool:
    if not gfile.isdir(folder):
        return False
    # A run that stopped because of damaged records leaves only their counts.
    return gfile.exists(join(folder, CONFIG)) or set(_names(folder)) <= {LEDGER}
