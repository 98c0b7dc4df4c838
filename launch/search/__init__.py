"""Searches for settings: spaces, resumable studies, tables and plots."""
