"""The golden tests again, with the optimizers and variables of tf_keras."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("tf_keras", reason="tf_keras is not installed: pip install 'tf-helen[tfrs]'")

ROOT = Path(__file__).parents[3]
FOLDER = ROOT / "tests" / "tf_helen" / "optimizers"
# Those that take their optimizers from tests/support/base.py.
FILES = sorted(p for p in FOLDER.glob("test_golden_*.py") if "import base\n" in p.read_text())


def test_the_golden_tests_pass_on_tf_keras(tmp_path):
    # A process of its own: which Keras TensorFlow uses is settled when it is imported. The sample
    # of recordings in the repository will do; the full set runs on the first base.
    environment = {
        **os.environ,
        "TF_HELEN_BASE": "legacy",
        "TF_USE_LEGACY_KERAS": "1",
        "TF_HELEN_SHARED": str(tmp_path),
    }
    assert len(FILES) >= 2
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *map(str, FILES)]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    passed = int(re.search(r"(\d+) passed", done.stdout).group(1))
    assert passed >= 60, done.stdout[-2000:]
    assert "failed" not in done.stdout
