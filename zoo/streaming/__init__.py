"""Rows of streams as batches, for online training."""
