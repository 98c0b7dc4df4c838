"""Runs a command so that bad input ends in one clear line, not in a stack trace."""

import sys
from collections.abc import Callable, Sequence

import tensorflow as tf
from absl import app, flags

_USER_ERRORS = (ValueError, FileNotFoundError, IsADirectoryError, NotADirectoryError)
_USER_ERRORS += (PermissionError, tf.errors.OpError)


def run(main: Callable[[Sequence[str]], None]) -> None:
    """Parses the flags and runs a command; ends the process.

    The exit code is 0, or 1 after an error that the user can mend (a bad flag or value, missing
    or unreadable files), which is printed as one line `error: ...` on the standard error. Other
    errors are bugs and keep their stack trace.

    Args:
        main: The command; receives the arguments that are not flags, the program's name first.

    Raises:
        SystemExit: Always, with the exit code.

    Example:
        >>> run(lambda argv: print("hello"))  # doctest: +SKIP
    """

    def guarded(argv: Sequence[str]) -> None:
        try:
            if len(argv) > 1:
                raise ValueError(f"unexpected argument {argv[1]!r}; options start with --")
            main(argv)
        except _USER_ERRORS as error:
            _stop(error)

    app.run(guarded, flags_parser=_parse_flags)


def _parse_flags(argv: Sequence[str]) -> list[str]:
    try:
        return flags.FLAGS(argv)
    except flags.Error as error:
        _stop(error)


def _stop(error: Exception) -> None:
    message = error.message if isinstance(error, tf.errors.OpError) else str(error)
    print("error: " + " ".join(message.split()), file=sys.stderr)
    sys.exit(1)
