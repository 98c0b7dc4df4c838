"""Scores of trained models with confidence intervals, for `launch.evaluate`."""
