"""What a run that cannot come to anything says, and what helps."""

from __future__ import annotations

import math

from launch.run.config import RunConfig
from launch.run.history import Epoch
from zoo.data.manifest import load_manifest

FAR = 2 * math.log(2)  # in nats: twice the loss of a model that says 0.5 of every row


def one_class_lines(data: str, label: str) -> list[str]:
    """Says which splits have labels of one kind only, as far as the manifest tells.

    Args:
        data: prepared data folder.
        label: name of the label.

    Returns:
        A line of warning per split; usually none.

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
    """Says what follows from labels of one kind.

    Args:
        split: name of the split.
        rows: its rows.
        value: the label of all of them, 0 or 1.
        label: name of the label.

    Returns:
        One line of warning.

    Example:
        >>> one_class_line("train", 9, 1, "click")[:56]
        "all 9 labels of split 'train' are 1: there is nothing to"
    """
    if split == "train":
        result = f"there is nothing to learn; is {label!r} the label, or were rows left out?"
    else:
        result = (
            "its AUC says nothing (it is given as 0.5); split another way, such as at random, so "
            "that both kinds are in it"
        )
    return f"all {rows:,} labels of split {split!r} are {value}: {result}"


def divergence_line(epoch: Epoch, config: RunConfig) -> str:
    """Says that a model predicts far worse than none would.

    Args:
        epoch: what was measured.
        config: the run's settings.

    Returns:
        One line of warning, or "" if the training loss or the validation LogLoss is usual. Sample
        weights and penalties raise the first alone, overfitting the second alone.

    Example:
        >>> epoch = Epoch(1, loss=2e18, valid_auc=0.5, valid_logloss=3e18)
        >>> divergence_line(epoch, RunConfig("data", "out", learning_rate=1e6))[:46]
        'epoch 1: loss 2e+18, valid LogLoss 3e+18; with'
    """
    if not (epoch.loss > FAR and epoch.valid_logloss > FAR):
        return ""
    return (
        f"epoch {epoch.epoch}: loss {epoch.loss:.3g}, valid LogLoss {epoch.valid_logloss:.3g}; "
        f"with 0.5 for every row both are {math.log(2):.2f}, so training diverges: "
        f"{smaller_steps(config)}"
    )


def smaller_steps(config: RunConfig) -> str:
    """Advice against a training that diverges.

    Args:
        config: the run's settings.

    Returns:
        Some words.

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
