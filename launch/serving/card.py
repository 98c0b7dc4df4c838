"""What the model card of an export says about the run: scores, optimizer and data."""

from __future__ import annotations

import dataclasses
import os
from typing import Any

from launch.evaluation.result import FILE_NAME as EVALUATION
from launch.run.config import FILE_NAME as CONFIG
from launch.run.data import load_run_data
from launch.run.history import best_of, load_history
from launch.run.published import FILE_NAME as SCORES
from tf_helen.stores import gfile
from zoo.data.files import DataError, join, read_json
from zoo.data.manifest import load_manifest


def run_card(run: str, data: str, evaluation: str | None = None) -> dict[str, Any]:
    """Returns the entries of a model card that come from a run and its data.

    Args:
        run: string, folder of the run.
        data: string, prepared data folder of the run, or a copy; record files may be absent.
        evaluation: string, folder that `launch.evaluate` wrote for the run. Defaults to `None`.

    Returns:
        Dict with `scores` (the best epoch; the test scores if the run has them), `training` (the
        optimizer and its settings), `data` (rows and positives of each split, checksums) and, with
        `evaluation`, the scores with their intervals. What is not known is left out.

    Raises:
        DataError: if a file of the run is damaged, or the evaluation is not one of this run.

    Example:
        >>> run_card("out/frappe", "data/frappe")["training"]["optimizer"]  # doctest: +SKIP
        'adam'
    """
    found = {"scores": _scores(run), "training": _training(run), "data": _data(run, data)}
    return found if evaluation is None else {**found, "evaluation": _evaluation(run, evaluation)}


def _evaluation(run: str, folder: str) -> dict[str, Any]:
    path = join(folder, EVALUATION)
    content = _json(path)
    if not content:
        raise DataError(
            f"no {EVALUATION} in {folder}; write it with launch.evaluate --out={folder}"
        )
    folders = content.get("folders", {})
    labels = [label for label, place in folders.items() if _same_folder(place, run)]
    if not labels:
        known = ", ".join(folders.values())
        raise DataError(f"{path} has no scores of {run}; it has those of {known}")
    about = {name: content[name] for name in ("data", "bootstrap", "rows") if name in content}
    return {**about, "scores": content["models"][labels[0]]["scores"]}


def _same_folder(one: str, other: str) -> bool:
    return os.path.realpath(one) == os.path.realpath(other)


def _scores(run: str) -> dict[str, Any]:
    epochs = load_history(run)
    if not epochs:
        return {}
    best = best_of(epochs)
    found: dict[str, Any] = {"epoch": best.epoch}
    if best.valid_auc is not None:
        found["valid"] = {"auc": best.valid_auc, "logloss": best.valid_logloss}
    test = _json(join(run, SCORES)).get("best") or {}
    if test:
        found["test"] = test
    return found


def _training(run: str) -> dict[str, Any]:
    config = _json(join(run, CONFIG))
    names = (
        "optimizer", "learning_rate", "optimizer_args", "callbacks", "batch_size", "seed",
        "precision", "preset",
    )  # fmt: skip
    return {name: config[name] for name in names if config.get(name) is not None}


def _data(run: str, data: str) -> dict[str, Any]:
    splits = load_manifest(data)
    found: dict[str, Any] = {
        "splits": {
            name: {"rows": split.total_rows, "positives": split.positives}
            for name, split in splits.items()
        }
    }
    identity = load_run_data(run)
    if identity is not None:
        found["checksums"] = {"columns": identity["columns"], "splits": identity["splits"]}
    return found


def _json(path: str) -> dict[str, Any]:
    if not gfile.exists(path):
        return {}
    try:
        return dict(read_json(path))
    except ValueError as error:
        raise DataError(f"{path} is damaged ({error}); train the run again") from None


def quality_card(quality: Any, form: str) -> dict[str, Any]:
    """Returns the entry of a model card for quantized tables.

    Args:
        quality: `launch.serving.quality.Quality`, the measurements.
        form: string, the format of the tables.

    Example:
        >>> from launch.serving.quality import Quality
        >>> quality_card(Quality(0.75, 0.5, 0.7499, 0.5001), "int8")["tables"]
        'int8'
    """
    return {"tables": form, "split": "valid", **dataclasses.asdict(quality)}
