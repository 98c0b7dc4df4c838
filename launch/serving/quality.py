"""AUC and LogLoss that an export loses because its tables are quantized."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import tensorflow as tf

import tf_helen
import zoo
from tf_helen.layers import Embedding
from tf_helen.layers.lookups import replaced_lookups
from zoo.data.files import DataError
from zoo.data.manifest import load_manifest
from zoo.data.progress import ProgressBar
from zoo.models import ClickModel
from zoo.serving.lookups import served_lookups
from zoo.serving.stored_tables import StoredTable

SPLIT = "valid"
_ROWS = 4096  # per batch


@dataclasses.dataclass(frozen=True)
class Quality:
    """Scores of a model on the validation split, with its own tables and with stored ones.

    Attributes:
        auc: float, area under the ROC curve with the model's float32 tables.
        logloss: float, mean cross-entropy in nats.
        stored_auc: float, the AUC with the stored tables.
        stored_logloss: float, the LogLoss with the stored tables.

    Example:
        >>> Quality(0.75, 0.5, 0.7499, 0.5001).line()
        'valid AUC 0.75000 -> 0.74990 (loss 0.00010), LogLoss 0.50000 -> 0.50010 (loss 0.00010)'
    """

    auc: float
    logloss: float
    stored_auc: float
    stored_logloss: float

    @property
    def auc_loss(self) -> float:
        """The AUC lost; negative if the stored tables are better."""
        return self.auc - self.stored_auc

    def line(self) -> str:
        """Returns the scores as one line of text."""
        return (
            f"{SPLIT} AUC {self.auc:.5f} -> {self.stored_auc:.5f} (loss {self.auc_loss:.5f}), "
            f"LogLoss {self.logloss:.5f} -> {self.stored_logloss:.5f} "
            f"(loss {self.stored_logloss - self.logloss:.5f})"
        )


def quality_of(model: ClickModel, stored: Mapping[Embedding, StoredTable], data: str) -> Quality:
    """Measures a model with its own tables and with stored ones, in one pass over the rows.

    Args:
        model: a trained `zoo.ClickModel`.
        stored: dict, the result of `zoo.serving.stored_tables.stored_tables`.
        data: string, prepared data folder with the split "valid".

    Returns:
        `Quality`.

    Raises:
        DataError: if the folder has no validation split.

    Example:
        >>> quality_of(model, stored, "data/frappe")  # doctest: +SKIP
    """
    try:
        rows = zoo.read_tfrecords(data, SPLIT, model.schema, batch_size=_ROWS)
    except DataError as error:
        raise DataError(
            f"the loss of quantized tables is measured on the split {SPLIT!r}: {error}"
        ) from None
    aucs = [tf_helen.metrics.AUC(from_logits=True) for _ in range(2)]
    losses = [tf_helen.metrics.LogLoss(from_logits=True) for _ in range(2)]
    lookups = served_lookups(stored)

    @tf.function(input_signature=[rows.element_spec])
    def score(batch):
        features, label, *weight = batch
        for number, replaced in enumerate(({}, lookups)):
            with replaced_lookups(replaced):
                logits = model(features, training=False)
            for metric in (aucs[number], losses[number]):
                metric.update_state(label, logits, *weight)

    split = load_manifest(data).get(SPLIT)
    total = split.total_rows if split is not None else None
    with model.settled(), ProgressBar("measuring the loss", total, delay=1.0) as bar:
        for batch in rows:
            score(batch)
            bar.update(int(batch[1].shape[0]))
    (auc, stored_auc), (logloss, stored_logloss) = (
        [float(metric.result()) for metric in metrics] for metrics in (aucs, losses)
    )
    return Quality(auc, logloss, stored_auc, stored_logloss)


def check_quality(quality: Quality, max_auc_loss: float, form: str) -> None:
    """Raises `ValueError` if quantized tables lose more AUC than is allowed.

    Args:
        quality: `Quality`, the measurements.
        max_auc_loss: float, the largest AUC that may be lost.
        form: string, the format of the tables.

    Raises:
        ValueError: names the loss, and what to do.

    Example:
        >>> check_quality(Quality(0.75, 0.5, 0.7499, 0.5001), 0.001, "int8")
    """
    # Also if the AUC is not a number.
    if not quality.auc_loss <= max_auc_loss:
        raise ValueError(
            f"--tables={form} loses {quality.auc_loss:.5f} of the AUC on the split {SPLIT!r}, more "
            f"than --max_auc_loss={max_auc_loss:g}; use a wider format, or allow the loss"
        )
