"""Files of raw rows."""
