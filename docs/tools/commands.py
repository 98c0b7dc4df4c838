"""Writes docs/commands.md, the commands and their flags: `python docs/tools/commands.py`."""

from __future__ import annotations

import importlib
from pathlib import Path

from absl import flags

from launch import console

PATH = Path(__file__).parents[1] / "commands.md"
_HEAD = """# Commands

`python -m launch.COMMAND --flag=value`, or `tf-helen COMMAND --flag=value`. `--help` prints the
flags. Bad input gives one line and exit code 1; the exit code is 130 after Ctrl-C, 143 after
SIGTERM, and 141 for a closed output pipe. Commands that take more than a few seconds show the rows
done, the speed, the time left and the loss: as a bar in a terminal, as lines in a log file.
"""


def page() -> str:
    """Returns the page, from the docstrings and flags of the commands."""
    return "\n".join([_HEAD, *(_command(name) for name in console.commands())])


def _command(name: str) -> str:
    module = importlib.import_module(f"launch.{name}")
    before = set(flags.FLAGS)
    verbosity = flags.FLAGS["verbosity"].value
    module._define_flags()
    own = [flags.FLAGS[flag] for flag in sorted(set(flags.FLAGS) - before)]
    rows = [f"| `--{flag.name}` | {_default(flag)} | {_text(flag.help)} |" for flag in own]
    for flag in own:
        delattr(flags.FLAGS, flag.name)
    flags.FLAGS["verbosity"].value = verbosity
    table = ["| flag | default | |", "|---|---|---|", *rows]
    return "\n".join([f"## {name}\n", module.__doc__.strip() + "\n", *(table if own else []), ""])


def _default(flag: flags.Flag) -> str:
    if flag.default is None or flag.default in ("", []):
        return ""
    value = flag.default
    if isinstance(value, bool):
        return "on" if value else "off"
    return f"`{','.join(map(str, value)) if isinstance(value, list) else value}`"


def _text(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")


if __name__ == "__main__":
    PATH.write_text(page(), encoding="utf-8")
    print(f"written to {PATH}")
