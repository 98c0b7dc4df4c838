"""Metrics over a whole set (never an average over batches) that add up across replicas."""

from tf_helen.metrics.auc import AUC
from tf_helen.metrics.log_loss import LogLoss

__all__ = ["AUC", "LogLoss"]
