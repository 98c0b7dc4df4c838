"""A schema proposed from raw rows."""
