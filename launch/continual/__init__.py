"""Training day by day: scoring, training, exports and their records."""
