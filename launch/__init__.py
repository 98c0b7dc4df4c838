"""Commands: each module is run with `python -m launch.NAME`."""

import sys

if sys.argv[:1] == ["-m"]:  # set while Python looks for launch.NAME, which imports for seconds
    from launch.interrupts import quit_on_interrupt

    quit_on_interrupt()
