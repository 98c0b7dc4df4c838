"""The golden tests again, with the optimizers and variables of tf_keras.

test_classes.py tests that each class and its Keras 3 class take the same steps.
"""

import pytest
import spawn

pytest.importorskip("tf_keras", reason="tf_keras is not installed: pip install 'tf-helen[tfrs]'")

FOLDER = spawn.ROOT / "tests" / "tf_helen" / "optimizers"
# Those that take their optimizers from tests/support/base.py.
FILES = sorted(p for p in FOLDER.glob("test_golden_*.py") if "import base\n" in p.read_text())


@pytest.mark.slow
def test_the_golden_tests_pass_on_tf_keras(tmp_path):
    assert len(FILES) >= 3
    # The sample of recordings in the repository will do: the full set runs on the first base.
    passed = spawn.passing(
        FILES, TF_HELEN_BASE="legacy", TF_USE_LEGACY_KERAS="1", TF_HELEN_SHARED=str(tmp_path)
    )
    assert passed >= 80
