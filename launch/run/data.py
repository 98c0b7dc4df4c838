"""Checksums of the data of a run, `data.json`: the path may change, the content may not."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from absl import logging

from launch.run.config import FILE_NAME as CONFIG
from tf_helen.stores import gfile
from zoo.data.files import DataError, join, read_text, write_json
from zoo.data.identity import check_identity, data_identity, vocabulary_checksum
from zoo.data.schema import FILE_NAME as SCHEMA
from zoo.models import ClickModel

FILE_NAME = "data.json"


def check_run_data(
    out: str, data: str, found: Mapping[str, Any] | None = None
) -> Mapping[str, Any]:
    """Raises unless a folder contains the data that a run has been trained on so far.

    For a run of an older version, which has no checksums, a warning is logged.

    Args:
        out: string, folder of the run; may be absent.
        data: string, prepared data folder.
        found: dict, checksums of `data`. Defaults to `None`: they are computed.

    Returns:
        Dict, the checksums of `data`, for `save_run_data`.

    Raises:
        DataError: names the first field or split that differs.

    Example:
        >>> check_run_data("out/frappe", "data/frappe")  # doctest: +SKIP
    """
    found = data_identity(data) if found is None else found
    if not gfile.exists(join(out, CONFIG)):
        return found
    expected = load_run_data(out)
    if expected is not None:
        check_identity(expected, found, data, f"the run in {out}")
    else:
        logging.warning(
            "the run in %s was written by an older version and has no %s, so it cannot be checked "
            "whether it was trained on %s; the run continues with these data",
            out,
            FILE_NAME,
            data,
        )
    return found


def save_run_data(out: str, identity: Mapping[str, Any]) -> None:
    """Writes the checksums of a run's data to its folder.

    Args:
        out: string, folder of the run.
        identity: dict, the result of `check_run_data`.
    """
    write_json(join(out, FILE_NAME), identity)


def check_vocabularies(run: str, data: str, model: ClickModel) -> None:
    """Raises unless the vocabularies of a folder are those that a run was trained with.

    Args:
        run: string, folder of the run.
        data: string, prepared data folder; record files and the schema may be absent.
        model: `ClickModel`, the model of the run.

    Raises:
        DataError: names the first field that differs.

    Example:
        >>> check_vocabularies("out/frappe", "data/frappe", model)  # doctest: +SKIP
    """
    expected = load_run_data(run)
    if expected is None:
        if not model.vocabularies:
            logging.warning(
                "the run in %s was written by an older version and has no checksums, so only the "
                "sizes of the vocabularies of %s are checked",
                run,
                data,
            )
        return
    if gfile.exists(join(data, SCHEMA)):
        found = data_identity(data, splits=())
    else:
        checksums = {f.name: vocabulary_checksum(data, f.name) for f in model.schema.categorical}
        found = {"vocabularies": {name: known for name, known in checksums.items() if known}}
    # An absent vocabulary is not an error here: the export names those that it needs.
    vocabularies = {
        name: known
        for name, known in expected["vocabularies"].items()
        if name in found["vocabularies"]
    }
    expected = {**expected, "vocabularies": vocabularies, "splits": {}}
    check_identity(expected, found, data, f"the run in {run}")


def load_run_data(out: str) -> dict[str, Any] | None:
    """Reads `data.json`, the checksums of the data of a run or a comparison.

    Args:
        out: its folder.

    Returns:
        The checksums; `None` without the file, as older versions left it.

    Raises:
        DataError: if the file is damaged.

    Example:
        >>> load_run_data("absent") is None
        True
    """
    path = join(out, FILE_NAME)
    if not gfile.exists(path):
        return None
    try:
        content = json.loads(read_text(path))
        for part in ("columns", "vocabularies", "splits"):
            dict(content[part])
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise DataError(
            f"{path} is damaged ({error!r}); if the data of the run are the same, remove the file"
        ) from None
    return content
