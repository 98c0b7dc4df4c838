"""Served models, which take raw features and return probabilities."""
