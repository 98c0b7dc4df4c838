"""Runs a command so that bad input ends in one clear line, not in a stack trace."""

import os
import re
import select
import signal
import sys
from collections.abc import Callable, Sequence

import tensorflow as tf
from absl import app, flags

from launch.interrupts import INTERRUPTED, quit_on_interrupt, raise_on_interrupt

_USER_ERRORS = (ValueError, OSError, tf.errors.OpError)
_ASSERTION = re.compile(r"assertion failed: (\[.*?\])\s*(?:\[\[|\Z)", re.DOTALL)
_NOBODY_READS = 141  # as shells count: 128 + SIGPIPE
_TERMINATED = 143  # 128 + SIGTERM


def run(main: Callable[[Sequence[str]], None], advice: str = "") -> None:
    """Parses the flags and runs a command; ends the process.

    The exit code is 0, or 1 after an error that the user can mend (a bad flag or value, missing
    or unreadable files, a full disk), which is printed as one line `error: ...` on the standard
    error, 130 after Ctrl-C, 143 after SIGTERM, or 141 without a word if nobody reads the standard
    output any more, as in `... | head -1`. Other errors are bugs and keep their stack trace.

    Args:
        main: The command; receives the arguments that are not flags, the program's name first.
        advice: What to say after Ctrl-C and SIGTERM, such as how to go on.

    Raises:
        SystemExit: Always, with the exit code.

    Example:
        >>> run(lambda argv: print("hello"))  # doctest: +SKIP
    """

    def guarded(argv: Sequence[str]) -> None:
        try:
            raise_on_interrupt()
            signal.signal(signal.SIGTERM, _on_sigterm)
            if len(argv) > 1:
                raise ValueError(f"unexpected argument {argv[1]!r}; options start with --")
            main(argv)
            sys.stdout.flush()
        except BrokenPipeError as error:
            if not _nobody_reads():
                _stop(error)
            _discard_output()
            sys.exit(_NOBODY_READS)
        except _USER_ERRORS as error:
            _stop(error)
        except RuntimeError as error:
            if not _is_trainer_error(error):
                raise
            _stop(error)
        except KeyboardInterrupt:
            _leave("interrupted", advice, INTERRUPTED)
        except SystemExit as error:
            if error.code != _TERMINATED:
                raise
            _leave("terminated", advice, _TERMINATED)
        finally:
            quit_on_interrupt()  # while threads and TensorFlow come to their end

    app.run(guarded, flags_parser=_parse_flags)


def _is_trainer_error(error: RuntimeError) -> bool:
    """Whether an optimizer such as SAM met a trainer of one gradient per step.

    `tf_helen` is not imported for it, because `launch.predict` runs without this project.
    """
    passes = sys.modules.get("tf_helen.optimizers.passes")
    return passes is not None and isinstance(error, passes.TrainerError)


def _parse_flags(argv: Sequence[str]) -> list[str]:
    try:
        return flags.FLAGS(argv)
    except flags.Error as error:
        _stop(error)


def _on_sigterm(number: int, frame: object) -> None:
    sys.exit(_TERMINATED)


def _leave(what: str, advice: str, code: int) -> None:
    way_on = "continue with --resume" if "resume" in flags.FLAGS else advice
    print("\n" + "; ".join(filter(None, (what, way_on))), file=sys.stderr)
    sys.exit(code)


def _stop(error: Exception) -> None:
    message = _short(error.message) if isinstance(error, tf.errors.OpError) else str(error)
    line = " ".join(message.split())
    # Bytes of a binary file would act on the terminal.
    print("error: " + "".join(c if c.isprintable() else "?" for c in line), file=sys.stderr)
    try:
        sys.stdout.flush()
    except OSError:  # a full disk, which Python would complain of again at its end
        _discard_output()
    sys.exit(1)


def _nobody_reads() -> bool:
    """Whether the other end of the standard output is closed, rather than a connection."""
    poll = select.poll()
    poll.register(1, 0)
    return any(event & (select.POLLERR | select.POLLHUP) for _, event in poll.poll(0))


def _discard_output() -> None:
    """Sends the rest of the standard output nowhere."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.close(nowhere)


def _short(message: str) -> str:
    """What an assertion says, without TensorFlow's account of where it stands in the graph."""
    found = _ASSERTION.search(message)
    if not found:
        return message
    # TensorFlow writes C escapes, bytes of UTF-8 among them.
    plain = re.sub(rb"\\([0-7]{3}|.)", _unescaped, found[1][1:-1].encode(), flags=re.DOTALL)
    return plain.decode(errors="replace").replace("] [", " ")


def _unescaped(match: re.Match) -> bytes:
    code = match[1]
    if len(code) == 3:
        return bytes([int(code, 8) & 0xFF])
    return {b"n": b"\n", b"t": b"\t", b"r": b"\r"}.get(code, code)
