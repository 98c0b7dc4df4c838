"""Runs the shell commands of a page of docs/.

`python page_commands.py PAGE ...` runs the blocks marked ```sh of each page in one folder, with the
Python that runs this file. It needs nothing that is not installed with TensorFlow, so that it also
runs where only a wheel is installed (`make test-quick-start`).
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
_FENCE = re.compile(r"^```(.*)\n((?:(?!```).*\n)*)^```$", re.MULTILINE)


def blocks(text: str, mark: str) -> list[str]:
    """Returns the blocks of a page with a mark, such as "sh"; not those marked "sh skip"."""
    return [code for info, code in _FENCE.findall(text) if info.strip() == mark]


def run_page(page: Path, folder: str) -> int:
    """Runs the blocks marked ```sh of a page in a folder, in order.

    Args:
        page: Markdown file.
        folder: string; it gets a link `examples` to the examples of the repository.

    Returns:
        Int, number of blocks.

    Raises:
        RuntimeError: if a block fails, with its code and output.
    """
    if not os.path.exists(os.path.join(folder, "examples")):
        os.symlink(ROOT / "examples", os.path.join(folder, "examples"))
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "TF_CPP_MIN_LOG_LEVEL": "3"}
    found = blocks(page.read_text(encoding="utf-8"), "sh")
    if shutil.which("gcc") is None:
        found = [code for code in found if "gcc " not in code]
    for code in found:
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", code], cwd=folder, env=environment,
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        if done.returncode:
            raise RuntimeError(
                f"{page.name}:\n{code}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
            )
    return len(found)


def run_python(page: Path) -> int:
    """Runs the blocks marked ```python of a page, in one namespace; returns how many there were."""
    namespace: dict = {"__name__": "__main__"}
    found = blocks(page.read_text(encoding="utf-8"), "python")
    for code in found:
        exec(compile(code, str(page), "exec"), namespace)
    return len(found)


def main(what: str, *pages: str) -> None:
    """Runs the shell blocks ("commands") or Python blocks ("python") of pages."""
    with tempfile.TemporaryDirectory() as folder:
        for name in pages:
            page = Path(name).resolve()
            number = run_page(page, folder) if what == "commands" else run_python(page)
            print(f"{name}: {number} blocks ran", flush=True)
            if not number:
                sys.exit(f"{name} has no such block")


if __name__ == "__main__":
    main(*sys.argv[1:])
