"""Commands: each module is run with `python -m launch.NAME`."""
