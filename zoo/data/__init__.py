"""Columns, record files and vocabularies: how rows are stored and read."""
