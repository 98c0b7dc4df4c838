"""Metrics over a whole data set, not averaged over batches, which are summed over replicas."""

from tf_helen.metrics.auc import AUC
from tf_helen.metrics.log_loss import LogLoss

__all__ = ["AUC", "LogLoss"]
