"""One training run: its settings, files and measurements."""
