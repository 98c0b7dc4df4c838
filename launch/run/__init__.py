"""One training run: its settings, its files, its measurements."""
