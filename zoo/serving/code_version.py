"""Which code is running: the commit of a checkout, or the version of an installed package."""

from __future__ import annotations

import os
import pathlib
import subprocess

from tf_helen.version import __version__

_SECONDS = 10.0


def code_version(root: str | os.PathLike[str] | None = None) -> str:
    """Returns `git describe --tags --always --dirty` of a checkout, else the version.

    Args:
        root: path, the folder with the packages. Defaults to `None`: that of this package.

    Returns:
        String such as "v0.2.0-14-g656ceef", "656ceef-dirty" (files differ from the commit), or
        "0.2.0" if the folder is no checkout or git is not installed.

    Example:
        >>> code_version("/")
        '0.2.0'
    """
    folder = pathlib.Path(__file__).resolve().parents[2] if root is None else pathlib.Path(root)
    # Not the repository of a folder above, such as that of a project with the virtual environment.
    if not (folder / ".git").exists():
        return __version__
    # Set within hooks of git, also by other repositories.
    environment = {key: value for key, value in os.environ.items() if not key.startswith("GIT_")}
    command = ["git", "describe", "--tags", "--always", "--dirty"]
    try:
        done = subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, timeout=_SECONDS
        )
    except (OSError, subprocess.SubprocessError):
        return __version__
    return done.stdout.strip() if done.returncode == 0 else __version__
