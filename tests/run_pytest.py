"""Runs pytest over the files it is given: the main of every Bazel test."""

import sys
from pathlib import Path

import pytest


def main(files: list[str]) -> int:
    """Runs pytest over `files` with the project's settings.

    Args:
        files: paths of test files, relative to the working directory, and options of pytest.

    Returns:
        Pytest's exit code (no test at all is a failure too).

    Raises:
        FileNotFoundError: a path does not exist.

    Example:
        `python tests/run_pytest.py tests/tf_helen/test_metrics.py`
    """
    for name in files:
        if not name.startswith("-") and not Path(name).exists():
            raise FileNotFoundError(name)
    # Bazel's folder of runfiles is not ours to write caches into.
    return pytest.main(
        ["-q", "-p", "no:cacheprovider", "-c", "pyproject.toml", "--rootdir=.", *files]
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
