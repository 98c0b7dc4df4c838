"""Progress: plain lines in a log file, a bar in a terminal, and nothing for short tasks."""

import io
import re
import time

import pytest

from zoo.data.progress import ProgressBar


class Output(io.StringIO):
    """A standard error that is a terminal or not."""

    def __init__(self, terminal: bool):
        super().__init__()
        self._terminal = terminal

    def isatty(self) -> bool:
        return self._terminal


@pytest.fixture
def clock(monkeypatch):
    """A clock that only the test moves: `clock[0] += seconds`."""
    now = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    return now


def standard_error(monkeypatch, terminal: bool) -> Output:
    """Replaces the standard error; pytest replaces it between a fixture and its test."""
    output = Output(terminal)
    monkeypatch.setattr("sys.stderr", output)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")
    return output


def test_a_log_gets_plain_lines_further_and_further_apart(clock, monkeypatch):
    log = standard_error(monkeypatch, terminal=False)
    seconds = []
    with ProgressBar("epoch 1/4", 1_000_000) as bar:
        for second in range(1, 201):
            clock[0] += 1
            before = len(log.getvalue())
            bar.update(1_000, loss="0.5")
            if len(log.getvalue()) > before:
                seconds.append(second)
    assert seconds == [3, 6, 12, 24, 48, 96, 156]
    lines = log.getvalue().splitlines()
    assert lines[0] == "epoch 1/4: 3,000/1,000,000 rows, 1,000 rows/s, 16:37 left, loss 0.5"
    assert "\r" not in log.getvalue() and "\x1b" not in log.getvalue()


def test_the_speed_is_that_after_the_first_update(clock, monkeypatch):
    log = standard_error(monkeypatch, terminal=False)
    with ProgressBar("epoch 1/4", 10_000) as bar:
        clock[0] += 8  # traces the step
        bar.update(100)
        clock[0] += 8
        bar.update(800)
    assert log.getvalue().splitlines() == [
        "epoch 1/4: 100/10,000 rows",
        "epoch 1/4: 900/10,000 rows, 100 rows/s, 1:31 left",
    ]


def test_a_short_task_writes_nothing_to_a_log(clock, monkeypatch):
    log = standard_error(monkeypatch, terminal=False)
    with ProgressBar("reading", 10) as bar:
        for _ in range(10):
            clock[0] += 0.29
            bar.update()
    assert bar.done == 10 and log.getvalue() == ""


def test_bytes_and_unknown_sizes(clock, monkeypatch):
    log = standard_error(monkeypatch, terminal=False)
    for unit, total in (("B", 8_000_000), ("rows", None)):
        bar = ProgressBar("counting", total, unit)
        bar.move_to(0)
        clock[0] += 4
        bar.move_to(2_000_000)
    counted, unknown = log.getvalue().splitlines()
    assert counted == "counting: 2.0 MB/8.0 MB, 500.0 kB/s, 0:12 left"
    assert unknown == "counting: 2,000,000 rows, 500,000 rows/s"


def test_the_time_left_is_that_of_the_newest_speed(clock, monkeypatch):
    standard_error(monkeypatch, terminal=False)
    bar = ProgressBar("epoch 2/4", 10_000, done=1_000)
    for _ in range(100):  # slow, such as the first steps
        clock[0] += 1
        bar.update(10)
    for _ in range(60):
        clock[0] += 1
        bar.update(100)
    assert "100 rows/s, 0:20 left" in bar.text()


def test_a_terminal_gets_a_bar_that_disappears(clock, monkeypatch):
    terminal = standard_error(monkeypatch, terminal=True)
    with ProgressBar("epoch [1]/4", 100) as bar:
        clock[0] += 1
        bar.update(50, loss="0.4")
        assert "epoch [1]/4" in terminal.getvalue()
        assert "50/100 rows" in terminal.getvalue() and "loss 0.4" in terminal.getvalue()
    # The line is erased, and the cursor is shown again.
    assert re.search(r"\x1b\[2?K.*\x1b\[\?25h|\x1b\[\?25h.*\x1b\[2?K", terminal.getvalue(), re.S)


def test_bars_within_bars(clock, monkeypatch):
    terminal = standard_error(monkeypatch, terminal=True)
    with ProgressBar("outer", 10) as outer, ProgressBar("inner", 3, "files") as inner:
        clock[0] += 1
        inner.update()
        outer.update()
    text = terminal.getvalue()
    assert "outer" in text and "1/3 files" in text and "1/10 rows" in text


def test_a_delayed_bar_of_a_short_task_does_not_appear(clock, monkeypatch):
    terminal = standard_error(monkeypatch, terminal=True)
    with ProgressBar("checking", 10, delay=2.0) as bar:
        clock[0] += 1
        bar.update(10)
    assert terminal.getvalue() == ""


def test_a_closed_standard_error_ends_no_task(clock, monkeypatch):
    log = standard_error(monkeypatch, terminal=False)
    bar = ProgressBar("reading")
    log.close()
    clock[0] += 10
    bar.update(5)
    assert bar.done == 5


def test_nothing_is_shown_if_it_is_switched_off(clock, monkeypatch):
    log = standard_error(monkeypatch, terminal=False)
    with ProgressBar("reading", 10, show=False) as bar:
        clock[0] += 100
        bar.update(5)
        assert not bar.is_due
    assert log.getvalue() == ""
