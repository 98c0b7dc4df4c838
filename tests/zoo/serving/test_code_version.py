"""The commit of a checkout, or the version of the package."""

import shutil
import subprocess

import pytest

from tf_helen.version import __version__
from zoo.serving.code_version import code_version


def test_without_a_checkout_it_is_the_version(tmp_path, monkeypatch):
    assert code_version(tmp_path) == __version__
    (tmp_path / ".git").mkdir()  # of an unfinished clone
    assert code_version(tmp_path) == __version__
    monkeypatch.setenv("PATH", "")
    assert code_version(tmp_path) == __version__


def test_a_checkout_is_described(tmp_path, monkeypatch):
    if shutil.which("git") is None:
        pytest.skip("no git: the commit in the model card is not checked")

    def git(*arguments):
        names = ["-c", "user.name=a", "-c", "user.email=a@b.c"]
        command = ["git", *names, "-C", str(tmp_path), *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    git("init", "-q")
    (tmp_path / "code.py").write_text("1")
    git("add", ".")
    git("commit", "-qm", "one")
    commit = git("rev-parse", "HEAD")
    assert commit.startswith(code_version(tmp_path))
    (tmp_path / "code.py").write_text("2")
    assert code_version(tmp_path) == f"{git('describe', '--always')}-dirty"
    (tmp_path / "inner").mkdir()  # an environment within another project's checkout
    assert code_version(tmp_path / "inner") == __version__
    git("commit", "-qam", "two")
    git("tag", "v9")
    monkeypatch.setenv("GIT_DIR", "/nowhere")  # as in a hook
    assert code_version(tmp_path) == "v9"
