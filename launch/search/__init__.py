"""Searches for settings: spaces, studies that are resumed, tables and plots."""
