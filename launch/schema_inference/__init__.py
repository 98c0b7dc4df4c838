"""Proposes a schema from raw rows."""
