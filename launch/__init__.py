"""Commands: each module is run with `python -m launch.NAME`."""

import sys

_IS_COMMAND = sys.argv[:1] == ["-m"]  # set while Python looks for launch.NAME
if _IS_COMMAND:  # which imports for seconds
    from launch.interrupts import quit_on_interrupt

    quit_on_interrupt()

try:
    import tf_helen  # noqa: F401 - checks Keras before a module here imports it
except ImportError as error:
    if not _IS_COMMAND or error.name != "keras":
        raise
    sys.exit(f"error: {error}")
