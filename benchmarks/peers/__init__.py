"""Models of other libraries, timed in separate processes and environments."""
