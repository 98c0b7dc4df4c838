"""The console command `tf-helen`: its subcommands are the modules of `launch`."""

import runpy
import sys
from pathlib import Path

_USAGE = "usage: tf-helen COMMAND [--flag=value ...]; tf-helen COMMAND --help lists its flags"


def commands() -> list[str]:
    """Returns the names of the commands, sorted: the modules of `launch` that run as a script.

    Example:
        >>> "train" in commands()
        True
    """
    folder = Path(__file__).parent
    return sorted(
        path.stem
        for path in folder.glob("*.py")
        if '__name__ == "__main__"' in path.read_text(encoding="utf-8") and path != Path(__file__)
    )


def main() -> None:
    """Runs `python -m launch.COMMAND` with the remaining arguments.

    Raises:
        SystemExit: with the command's exit code, or 1 for an unknown command.
    """
    known = commands()
    name, *arguments = sys.argv[1:] or ["--help"]
    if name in ("--help", "-h", "help"):
        print(f"{_USAGE}\ncommands: {', '.join(known)}")
        return
    if name not in known:
        print(f"error: unknown command {name!r}; use one of {', '.join(known)}", file=sys.stderr)
        sys.exit(1)
    sys.argv = [f"tf-helen {name}", *arguments]
    runpy.run_module(f"launch.{name}", run_name="__main__", alter_sys=False)
