"""The ids of dynamic tables: which have rows, how old they are, how often they occurred."""
