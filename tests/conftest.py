"""Quiet TensorFlow, two threads, and the folder of shared data."""

import os
from pathlib import Path

# Set before TensorFlow is imported by any test module.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
os.environ.setdefault("OMP_NUM_THREADS", "2")
os.environ.setdefault("KERAS_BACKEND", "tensorflow")

import hypothesis
import pytest

# The same examples in every run, so that a green run stays green; `make fuzz` draws others, and 20
# times as many.
_FIXED = {"derandomize": True, "database": None, "deadline": None, "max_examples": 100}
hypothesis.settings.register_profile("fixed", **_FIXED)
hypothesis.settings.register_profile("fuzz", deadline=None, max_examples=2000, print_blob=True)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "fixed"))

_ABSENT = "shared data absent"
_UNCHECKED = "not checked"  # in the reason of a test that lacks a tool


@pytest.fixture(scope="session")
def shared_dir() -> Path:
    """The folder `shared` next to the checkout (or `$TF_HELEN_SHARED`); skips the test without it.

    Returns:
        An existing directory.

    Raises:
        pytest.fail.Exception: `TF_HELEN_SHARED` is set but names no directory, which is a
            mistake rather than an absence.

    Example:
        `def test_x(shared_dir): rows = (shared_dir / "data").iterdir()`
    """
    named = os.environ.get("TF_HELEN_SHARED")
    if named:
        if not Path(named).is_dir():
            pytest.fail(f"TF_HELEN_SHARED={named} is not a directory")
        return Path(named)
    folder = Path(__file__).resolve().parents[2] / "shared"
    if not folder.is_dir():
        pytest.skip(f"{_ABSENT}: no folder {folder}; set TF_HELEN_SHARED to use another")
    return folder


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Prints how many tests were skipped for lack of shared data, and which clients of exports."""
    skipped = terminalreporter.stats.get("skipped", [])
    count = sum(_ABSENT in str(report.longrepr) for report in skipped)
    terminalreporter.write_line(f"{_ABSENT}: {count} tests skipped for it")
    reasons = {str(report.longrepr[2]) for report in skipped if isinstance(report.longrepr, tuple)}
    for reason in sorted(reason for reason in reasons if _UNCHECKED in reason):
        terminalreporter.write_line(reason)
