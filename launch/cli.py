"""Runs a command; bad input prints one line instead of a stack trace."""

import os
import re
import select
import signal
import sys
from collections.abc import Callable, Sequence
from typing import NoReturn

import tensorflow as tf
from absl import app, flags

from launch.interrupts import INTERRUPTED, quit_on_interrupt, raise_on_interrupt
from launch.store_flags import define_store_flags, use_store_flags

_USER_ERRORS = (ValueError, OSError, tf.errors.OpError)
_ASSERTION = re.compile(r"assertion failed: (\[.*?\])\s*(?:\[\[|\Z)", re.DOTALL)
# TensorFlow's message about an error in a Python function of an input pipeline.
_IN_PIPELINE = re.compile(r"(?:\{\{.*?\}\} )?[\w.]+Error: (.*?)\nTraceback ", re.DOTALL)
_OUTPUT_CLOSED = 141  # as shells count: 128 + SIGPIPE
_TERMINATED = 143  # 128 + SIGTERM


def run(
    main: Callable[[Sequence[str]], None], advice: str = "", words: Sequence[str] | None = ()
) -> None:
    """Parses the flags and runs a command; ends the process.

    The exit code is 0 on success; 1 after an error that the user can fix (a bad flag or value,
    missing or unreadable files, a full disk), printed as one line `error: ...` on the standard
    error; 130 after Ctrl-C; 143 after SIGTERM; and 141, without a message, if the standard output
    is closed, as in `... | head -1`. Other errors are bugs and keep their stack trace.

    Args:
        main: function that takes the arguments that are not flags, the program's name first.
        advice: string, printed after Ctrl-C and SIGTERM, such as how to continue.
        words: sequence of strings; the command's one argument that is not a flag must be one of
            them; `None`: `main` checks the arguments. Defaults to `()`: there is no such argument.

    Raises:
        SystemExit: always, with the exit code.

    Example:
        >>> run(lambda argv: print("hello"))  # doctest: +SKIP
    """

    def guarded(argv: Sequence[str]) -> None:
        try:
            raise_on_interrupt()
            signal.signal(signal.SIGTERM, _on_sigterm)
            if words is not None:
                _check_words(argv[1:], words)
            use_store_flags()
            main(argv)
            sys.stdout.flush()
        except BrokenPipeError as error:
            if not _output_is_closed():
                _stop(error)
            _discard_output()
            sys.exit(_OUTPUT_CLOSED)
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
            quit_on_interrupt()  # while threads and TensorFlow shut down

    define_store_flags()
    app.run(guarded, flags_parser=_parse_flags)


def whole_numbers(flag: str, texts: Sequence[str]) -> list[int]:
    """Reads the values of a flag that is a list of integers.

    Args:
        flag: string, name of the flag, for the message.
        texts: sequence of strings.

    Returns:
        List of ints.

    Raises:
        ValueError: if a value is not an integer.

    Example:
        >>> whole_numbers("edges", ["1", "10"])
        [1, 10]
    """
    found = []
    for text in texts:
        try:
            found.append(int(text))
        except ValueError:
            raise ValueError(
                f"--{flag}: {text!r} is not an integer; use such as 1,10,100"
            ) from None
    return found


def end_at_once(error: Exception) -> NoReturn:
    """Prints an error as `run` does, and ends the process with exit code 1 without cleaning up.

    TensorFlow waits for lost tasks of a cluster when a process ends as usual.

    Args:
        error: the error.
    """
    try:
        _stop(error)
    finally:
        os._exit(1)


def _check_words(given: Sequence[str], words: Sequence[str]) -> None:
    if words and (not given or given[0] not in words):
        received = f"; received {given[0]!r}" if given else ""
        raise ValueError(f"name what to do: {' or '.join(words)}{received}")
    unexpected = given[1 if words else 0 :]
    if unexpected:
        raise ValueError(f"unexpected argument {unexpected[0]!r}; options start with --")


def _is_trainer_error(error: RuntimeError) -> bool:
    """Returns whether the error says that an optimizer such as SAM needs `tf_helen.Model`.

    `tf_helen` is not imported here, which takes seconds.
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
    hint = "continue with --resume" if "resume" in flags.FLAGS else advice
    print("\n" + "; ".join(filter(None, (what, hint))), file=sys.stderr)
    sys.exit(code)


def _stop(error: Exception) -> None:
    message = _short(error.message) if isinstance(error, tf.errors.OpError) else str(error)
    line = " ".join(message.split())
    # Bytes of a binary file could change the state of the terminal.
    print("error: " + "".join(c if c.isprintable() else "?" for c in line), file=sys.stderr)
    try:
        sys.stdout.flush()
    except OSError:  # a full disk, which Python would report again at exit
        _discard_output()
    sys.exit(1)


def _output_is_closed() -> bool:
    """Returns whether the standard output, and not another connection, is closed."""
    poll = select.poll()
    poll.register(1, 0)
    return any(event & (select.POLLERR | select.POLLHUP) for _, event in poll.poll(0))


def _discard_output() -> None:
    """Discards the rest of the standard output."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.close(nowhere)


def _short(message: str) -> str:
    """Returns the message of an assertion, without its position in TensorFlow's graph."""
    in_pipeline = _IN_PIPELINE.match(message)
    if in_pipeline:
        return in_pipeline[1]
    found = _ASSERTION.search(message)
    if not found:
        return message
    # TensorFlow writes C escapes, including those of UTF-8 bytes.
    plain = re.sub(rb"\\([0-7]{3}|.)", _unescaped, found[1][1:-1].encode(), flags=re.DOTALL)
    return plain.decode(errors="replace").replace("] [", " ")


def _unescaped(match: re.Match) -> bytes:
    code = match[1]
    if len(code) == 3:
        return bytes([int(code, 8) & 0xFF])
    return {b"n": b"\n", b"t": b"\t", b"r": b"\r"}.get(code, code)
