"""Tests that need a separate process, because they change how TensorFlow is imported."""

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def passing(files, *options, **environment) -> int:
    """Runs pytest on files of the checkout in a new process, and returns how many tests passed."""
    files = [str(path.relative_to(ROOT)) for path in files]
    done = subprocess.run(
        [sys.executable, "tests/run_pytest.py", "-n0", "-rs", *options, *files],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
    )
    report = done.stdout[-6000:] + done.stderr[-2000:]
    assert done.returncode == 0, report
    assert not re.search(r"\d+ (failed|error)", done.stdout), report
    return int(re.search(r"(\d+) passed", done.stdout).group(1))
