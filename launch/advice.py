"""Warnings about runs that cannot learn, with advice."""

from __future__ import annotations

import math

from launch.run.config import RunConfig
from launch.run.history import Epoch
from zoo.data.manifest import load_manifest

FAR = 2 * math.log(2)  # in nats: twice the loss of a model that predicts 0.5 for every row


def one_class_lines(data: str, label: str) -> list[str]:
    """Returns warnings about splits whose labels are all equal, according to the manifest.

    Args:
        data: string, prepared data folder.
        label: string, name of the label.

    Returns:
        List of strings, one per such split.

    Example:
        >>> import tempfile
        >>> one_class_lines(tempfile.mkdtemp(), "click")
        []
    """
    lines = []
    for name, split in load_manifest(data).items():
        if split.total_rows and split.positives in (0, split.total_rows):
            value = 1 if split.positives else 0
            lines.append(one_class_line(name, split.total_rows, value, label))
    return lines


def one_class_line(split: str, rows: int, value: int, label: str) -> str:
    """Returns a warning about a split whose labels are all equal.

    Args:
        split: string, name of the split.
        rows: int, number of rows.
        value: int, the label of all rows, 0 or 1.
        label: string, name of the label.

    Returns:
        String, one line.

    Example:
        >>> one_class_line("train", 9, 1, "click")[:56]
        "all 9 labels of split 'train' are 1: there is nothing to"
    """
    if split == "train":
        result = f"there is nothing to learn; check the label {label!r} and the rows"
    else:
        result = (
            "its AUC is undefined (reported as 0.5); split the data differently, such as at "
            "random, so that it contains both labels"
        )
    return f"all {rows:,} labels of split {split!r} are {value}: {result}"


def divergence_line(epoch: Epoch, config: RunConfig) -> str:
    """Returns a warning if a model predicts far worse than a constant.

    Args:
        epoch: `Epoch`, the measurements.
        config: `RunConfig`, the settings of the run.

    Returns:
        String, one line, or "" if the training loss or the validation LogLoss is normal. Sample
        weights and penalties raise only the loss, overfitting only the LogLoss.

    Example:
        >>> epoch = Epoch(1, loss=2e18, valid_auc=0.5, valid_logloss=3e18)
        >>> divergence_line(epoch, RunConfig("data", "out", learning_rate=1e6))[:46]
        'epoch 1: loss 2e+18, valid LogLoss 3e+18; for '
    """
    valid = epoch.valid_logloss
    if not (epoch.loss > FAR and (valid is None or valid > FAR)):
        return ""
    scores = "" if valid is None else f", valid LogLoss {valid:.3g}"
    return (
        f"epoch {epoch.epoch}: loss {epoch.loss:.3g}{scores}; "
        f"for a constant 0.5 a loss is {math.log(2):.2f}, so training diverges: "
        f"{smaller_steps(config)}"
    )


def smaller_steps(config: RunConfig) -> str:
    """Returns advice for a run that diverges.

    Args:
        config: `RunConfig`, the settings of the run.

    Returns:
        String, without a final period.

    Example:
        >>> smaller_steps(RunConfig("data", "out", learning_rate=0.5))[:48]
        'use a smaller learning rate (it is 0.5) or clip '
    """
    rate = config.optimizer_args.get("learning_rate", config.learning_rate)
    now = "the optimizer's default" if rate is None else f"{rate:g}" if _plain(rate) else str(rate)
    text = (
        f"use a smaller learning rate (it is {now}) or clip gradients with the optimizer argument "
        "global_clipnorm=1.0"
    )
    if config.precision == "mixed_float16":
        text += ", or --precision=mixed_bfloat16, whose numbers do not overflow"
    return text


def _plain(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
