"""Published settings, as YAML files, and their reader."""
