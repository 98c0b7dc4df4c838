"""Metrics over a whole data set, not averaged over batches, which are summed over replicas."""

from tf_helen.metrics.auc import AUC
from tf_helen.metrics.calibration import Calibration
from tf_helen.metrics.frequency_auc import FrequencyAUC
from tf_helen.metrics.gauc import GAUC
from tf_helen.metrics.log_loss import LogLoss
from tf_helen.metrics.normalized_entropy import NormalizedEntropy

__all__ = ["AUC", "GAUC", "Calibration", "FrequencyAUC", "LogLoss", "NormalizedEntropy"]
