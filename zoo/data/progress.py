"""Progress of long tasks: a bar in a terminal, plain lines in a log file."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
from collections import deque

from rich.console import Console
from rich.filesize import decimal
from rich.progress import BarColumn, Progress, TaskID, TextColumn

_REFRESH = 0.2  # seconds between two states of a bar
_FIRST_LINE, _LINE = 3.0, 60.0  # seconds: the first plain line; the longest time between two
_WINDOW = 30.0  # seconds over which the speed is measured


class ProgressBar:
    """Shows how much of a task is done, its speed, and the time left.

    In a terminal, it is a bar, which disappears when the task ends; several bars are below each
    other. If the standard error is not a terminal, it is a line after 3, 6, 12, ... seconds and
    then once a minute, so that a task of less than 3 seconds writes nothing.

    Args:
        what: string, name of the task.
        total: int, size of the task in units. Defaults to `None`: unknown.
        unit: string, name of a unit in the plural; "B": bytes. Defaults to "rows".
        show: boolean, whether to show anything. Defaults to `True`.
        done: int, units that are done at the start, such as by an interrupted process. Defaults to
            0.
        delay: float, seconds before a bar appears. Defaults to 0.

    Attributes:
        done: int, units that are done.

    Example:
        >>> with ProgressBar("reading", 3) as bar:
        ...     for _ in range(3):
        ...         bar.update(1)
        >>> bar.done
        3
    """

    def __init__(
        self,
        what: str,
        total: int | None = None,
        unit: str = "rows",
        show: bool = True,
        done: int = 0,
        delay: float = 0.0,
    ):
        self.done = done
        self._what, self._total, self._unit, self._show = what, total, unit, show
        self._notes: dict[str, str] = {}
        self._started = time.monotonic()
        # From the first update on: what comes before it, such as tracing a graph, happens once.
        self._before: deque[tuple[float, int]] = deque()
        self._terminal = show and _is_terminal()
        self._due = self._started + (delay if self._terminal else _FIRST_LINE)
        self._task: TaskID | None = None
        if self._terminal and not delay:
            self._draw()

    def __enter__(self) -> ProgressBar:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    @property
    def is_due(self) -> bool:
        """Whether the next `update` shows something: notes that take time can wait for it."""
        return self._show and time.monotonic() >= self._due

    def update(self, units: int = 1, **notes: str) -> None:
        """Adds units that are done.

        Args:
            units: int, how many. Defaults to 1.
            **notes: strings to show after the time left, such as `loss="0.41"`; they stay until
                they are replaced.
        """
        self.done += units
        self._notes.update(notes)
        if not self._show:
            return
        now = time.monotonic()
        if not self._before or now - self._before[-1][0] >= 1.0:
            self._before.append((now, self.done))
            while len(self._before) > 1 and self._before[1][0] < now - _WINDOW:
                self._before.popleft()
        if now < self._due:
            return
        if self._terminal:
            self._due = now + _REFRESH
            self._draw()
        else:
            self._due = now + min(_LINE, now - self._started)
            _write(f"{self._what}: {self.text()}")

    def move_to(self, done: int, **notes: str) -> None:
        """Sets the number of units that are done; see `update`."""
        self.update(done - self.done, **notes)

    def close(self) -> None:
        """Removes the bar, also that of an unfinished task."""
        if self._task is not None:
            _DISPLAY.remove(self._task)
            self._task = None
        self._show = False

    def text(self) -> str:
        """Returns the progress as a line: the units that are done, the speed, the time left.

        Example:
            >>> bar = ProgressBar("reading", 20_000, done=5_000)
            >>> bar.text()
            '5,000/20,000 rows'
        """
        parts = [f"{self._amount(self.done)}{self._of()}"]
        speed = self._speed()
        if speed > 0:
            parts.append(f"{self._amount(speed)}/s" if self._is_bytes else self._per_second(speed))
            if self._total is not None and self._total > self.done:
                parts.append(f"{_duration((self._total - self.done) / speed)} left")
        parts += [f"{name} {value}" for name, value in self._notes.items()]
        return ", ".join(parts)

    @property
    def _is_bytes(self) -> bool:
        return self._unit == "B"

    def _amount(self, units: float) -> str:
        return decimal(int(units)) if self._is_bytes else f"{units:,.0f}"

    def _of(self) -> str:
        total = "" if self._total is None else f"/{self._amount(self._total)}"
        return total if self._is_bytes else f"{total} {self._unit}"

    def _per_second(self, speed: float) -> str:
        digits = 0 if speed >= 10 else 1
        return f"{speed:,.{digits}f} {self._unit}/s"

    def _speed(self) -> float:
        """Units per second of about the last 30 seconds."""
        if not self._before:
            return 0.0
        now = time.monotonic()
        then, done = self._before[0]
        return (self.done - done) / (now - then) if now > then else 0.0

    def _draw(self) -> None:
        with contextlib.suppress(OSError, ValueError):  # a closed terminal ends no training
            if self._task is None:
                self._task = _DISPLAY.add(self._what, self._total, self.done)
            _DISPLAY.update(self._task, self.done, self.text())


class _Display:
    """The bars of the process: rich can draw one display at a time, with several bars."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._progress: Progress | None = None

    def add(self, what: str, total: int | None, done: int) -> TaskID:
        with self._lock:
            if self._progress is None:
                self._progress = Progress(
                    TextColumn("{task.description}", markup=False),
                    BarColumn(),
                    TextColumn("{task.fields[text]}", markup=False),
                    console=Console(file=sys.stderr, force_terminal=True, force_jupyter=False),
                    # Without a thread: processes fork, and every update draws if it is time.
                    auto_refresh=False,
                    transient=True,
                    # What is printed meanwhile appears above the bars, unless it goes elsewhere.
                    redirect_stdout=sys.stdout.isatty(),
                )
                self._progress.start()
            return self._progress.add_task(what, total=total, completed=done, text="")

    def update(self, task: TaskID, done: int, text: str) -> None:
        with self._lock:
            if self._progress is not None:
                self._progress.update(task, completed=done, text=text, refresh=True)

    def remove(self, task: TaskID) -> None:
        with self._lock, contextlib.suppress(OSError, ValueError):
            if self._progress is None:
                return
            if len(self._progress.tasks) > 1:
                self._progress.remove_task(task)
                self._progress.refresh()
                return
            # With its last bar: without one, rich leaves an empty line.
            progress, self._progress = self._progress, None
            progress.stop()


_DISPLAY = _Display()


def _is_terminal() -> bool:
    return sys.stderr.isatty() and os.environ.get("TERM") != "dumb"


def _write(line: str) -> None:
    with contextlib.suppress(OSError, ValueError):  # a full disk or closed pipe ends no training
        print(line, file=sys.stderr, flush=True)


def _duration(seconds: float) -> str:
    """Formats a time, such as `0:07` or `1:02:03`."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
