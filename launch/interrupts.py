"""Handling of Ctrl-C before a command starts and after it ends; imports no other module."""

import os
import signal

INTERRUPTED = 130  # as shells count: 128 + SIGINT
standard_error = 2  # file descriptor; a copy of it while TensorFlow's lines are discarded


def quit_on_interrupt() -> None:
    """Makes Ctrl-C end the process immediately with one line.

    A process that ignores Ctrl-C or has its own handler keeps it.

    Example:
        >>> quit_on_interrupt()
        >>> raise_on_interrupt()
    """
    _replace(signal.default_int_handler, _quit)


def raise_on_interrupt() -> None:
    """Makes Ctrl-C raise `KeyboardInterrupt` again.

    Example:
        >>> raise_on_interrupt()
    """
    _replace(_quit, signal.default_int_handler)


def _replace(present, handler) -> None:
    try:
        if signal.getsignal(signal.SIGINT) is present:
            signal.signal(signal.SIGINT, handler)
    except ValueError:  # allowed in the main thread only
        pass


def _quit(number, frame) -> None:
    os.write(standard_error, b"\ninterrupted\n")
    os._exit(INTERRUPTED)
