"""Raw input files."""
